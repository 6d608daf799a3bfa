// Package fault owns the errors for callers: a closed list of codes, and errors
// with a code and a message fit for print. Only an error of this package is
// shown to a caller.
//
// Package fault does not own how errors reach the caller: package graph writes
// errors into an answer. For an error without a *fault.Error in its chain,
// package graph answers INTERNAL or UNAVAILABLE, without the text of the error.
// A wrapped *fault.Error keeps its code.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is the kind of an error, spelt as in the schema's ErrorCode.
type Code string

// All codes. docs/errors.md says how a caller should handle each code.
const (
	Unauthenticated Code = "UNAUTHENTICATED" // no caller, or the token is no longer valid
	Forbidden       Code = "FORBIDDEN"       // the caller is known, and lacks the right
	BadInput        Code = "BAD_USER_INPUT"  // the request is wrong, and a retry will fail again
	NotFound        Code = "NOT_FOUND"       // a named object does not exist
	Conflict        Code = "CONFLICT"        // the request contradicts existing data
	TooLarge        Code = "TOO_LARGE"       // the request exceeds a limit in force
	RateLimited     Code = "RATE_LIMITED"    // too many requests; retry later
	Unavailable     Code = "UNAVAILABLE"     // a temporary failure; retry
	Internal        Code = "INTERNAL"        // a defect of the server

	KeyReused          Code = "IDEMPOTENCY_KEY_REUSED"    // the key was sent before with a different request
	NotPersisted       Code = "PERSISTED_QUERY_NOT_FOUND" // the hash of the query is unknown: send the text
	DocumentNotTrusted Code = "DOCUMENT_NOT_TRUSTED"      // the document is not on the operator's list

	AnswerNotKept Code = "ANSWER_NOT_KEPT" // the request took effect once; its answer cannot be repeated
)

// Problem is one error in an input.
type Problem struct {
	Code    Code     `json:"code"`
	Path    []string `json:"path"`    // from the argument inwards: input, 0, md5
	Message string   `json:"message"` // names the field, the value and the remedy
}

// Error is an error for the caller: code and message are shown to the caller.
type Error struct {
	Code       Code
	Message    string
	Problems   []Problem     // all errors of an input with several parts
	RetryAfter time.Duration // for RateLimited and Unavailable, if known

	cause error // for the log only
}

// New returns an error for the caller.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap returns an error for the caller, with a cause for the log. The caller
// never sees the cause.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.cause = cause
	return e
}

// Error returns the message followed by the cause, for the log.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf returns the code of the *Error in the chain of err, or Internal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Problems collects all errors of an input, so that the caller sees all errors
// at once. The zero value is ready for use.
type Problems struct{ list []Problem }

// Add adds a problem. Path may hold strings and integers.
func (p *Problems) Add(code Code, path []any, format string, args ...any) {
	keys := make([]string, len(path))
	for i, element := range path {
		keys[i] = fmt.Sprint(element)
	}
	p.list = append(p.list, Problem{Code: code, Path: keys, Message: fmt.Sprintf(format, args...)})
}

// Append adds all problems of other.
func (p *Problems) Append(other Problems) { p.list = append(p.list, other.list...) }

// List returns the problems in the order of Add.
func (p *Problems) List() []Problem { return p.list }

// Err returns nil if there are no problems. Otherwise Err returns one error
// with every problem and the code of the first problem.
func (p *Problems) Err() error {
	if len(p.list) == 0 {
		return nil
	}
	first := p.list[0]
	message := first.Message
	if len(first.Path) > 0 {
		message = strings.Join(first.Path, ".") + ": " + message
	}
	if rest := len(p.list) - 1; rest > 0 {
		message += fmt.Sprintf(" (and %d more)", rest)
	}
	return &Error{Code: first.Code, Message: message, Problems: p.list}
}
