// Package fault owns what may go wrong in the eyes of a caller: a closed list
// of codes, and errors that carry one of them with a message fit for print.
//
// It does not own how they travel: package graph writes them into an answer,
// and shows nothing of an error that is not a *fault.Error but that it
// happened. A wrapped *fault.Error keeps its code.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code says what kind of thing went wrong, in the words of the schema's
// ErrorCode.
type Code string

// The whole list. docs/errors.md says what a caller should do about each.
const (
	Unauthenticated Code = "UNAUTHENTICATED" // no caller, or one whose token no longer counts
	Forbidden       Code = "FORBIDDEN"       // a known caller who may not do this
	BadInput        Code = "BAD_USER_INPUT"  // the request is wrong, and will be wrong again
	NotFound        Code = "NOT_FOUND"       // what it names is not there
	Conflict        Code = "CONFLICT"        // something else is already there
	TooLarge        Code = "TOO_LARGE"       // beyond a limit in force
	RateLimited     Code = "RATE_LIMITED"    // too often; try again later
	Unavailable     Code = "UNAVAILABLE"     // a passing fault; try again
	Internal        Code = "INTERNAL"        // a defect of the server

	KeyReused          Code = "IDEMPOTENCY_KEY_REUSED"    // the key was sent with something else
	NotPersisted       Code = "PERSISTED_QUERY_NOT_FOUND" // named by a hash that is not known: send the text
	DocumentNotTrusted Code = "DOCUMENT_NOT_TRUSTED"      // not on the operator's list

	AnswerNotKept Code = "ANSWER_NOT_KEPT" // it took effect once, and cannot be answered again
)

// Problem is one thing that is wrong with an input.
type Problem struct {
	Code    Code     `json:"code"`
	Path    []string `json:"path"`    // from the argument inwards: input, 0, md5
	Message string   `json:"message"` // the field, the value and the remedy
}

// Error is an error that a caller may read.
type Error struct {
	Code       Code
	Message    string
	Problems   []Problem     // everything that is wrong, where the input has parts
	RetryAfter time.Duration // for RateLimited and Unavailable, where it is known

	cause error // for the log only
}

// New makes an error that a caller may read.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Because makes an error that a caller may read of one that a caller may not.
// The cause goes no further than the log.
func Because(cause error, code Code, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.cause = cause
	return e
}

// Error is the message, and for the log the cause.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.cause.Error()
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.cause }

// CodeOf is the code that err carries, however deep, or Internal.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// Problems gathers everything that is wrong with an input, so that the caller
// hears it all at once. The zero value is ready for use.
type Problems struct{ list []Problem }

// Add notes one problem. Path may hold strings and integers.
func (p *Problems) Add(code Code, path []any, format string, args ...any) {
	keys := make([]string, len(path))
	for i, element := range path {
		keys[i] = fmt.Sprint(element)
	}
	p.list = append(p.list, Problem{Code: code, Path: keys, Message: fmt.Sprintf(format, args...)})
}

// Append notes all that another has noted.
func (p *Problems) Append(other Problems) { p.list = append(p.list, other.list...) }

// List is what was noted, in order.
func (p *Problems) List() []Problem { return p.list }

// Err is nil if nothing is wrong, else one error with every problem. Its code
// is that of the first.
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
