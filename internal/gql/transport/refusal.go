package transport

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"tagma/internal/base/fault"
)

// refusal is a request that never became an operation, and the answer to it.
// Its message repeats nothing of a body, because a body may hold a password.
type refusal struct {
	status  int
	code    fault.Code
	message string
	allow   string // the methods that would do, with status 405
	// retryAfter is how long to wait before another try, where that is known.
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

// readRefusal says what a failed read of a body means. A timeout is told apart
// because it is worth another try; what was too large, because it is not.
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
