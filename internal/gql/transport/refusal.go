package transport

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"tagma/internal/base/fault"
)

// refusal is the error of a request that is refused before an operation runs. The
// message repeats nothing of a body, because a body may contain a password.
type refusal struct {
	status  int
	code    fault.Code
	message string
	allow   string // allowed methods, with status 405
	// retryAfter is the time until another try, or 0 if unknown.
	retryAfter time.Duration
	cause      error // for the log only
}

func (r *refusal) Error() string { return r.message }

func newRefusal(status int, code fault.Code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *refusal {
	return newRefusal(http.StatusBadRequest, fault.BadInput, format, args...)
}

func tooLarge(format string, args ...any) *refusal {
	return newRefusal(http.StatusRequestEntityTooLarge, fault.TooLarge, format, args...)
}

// readRefusal returns the refusal for a failed read of a body. After a timeout the
// client may try again; a body beyond the limit stays too large.
func readRefusal(err error) *refusal {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return bodyTooLarge(large.Limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return newRefusal(http.StatusRequestTimeout, fault.Unavailable, "the body took too long to arrive")
	}
	return badRequest("the body is cut short or broken")
}

func bodyTooLarge(limit int64) *refusal {
	return tooLarge("the body is larger than the limit of %d bytes", limit)
}
