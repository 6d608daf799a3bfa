package database

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"tagma/internal/base/fault"
	"tagma/internal/base/sleep"
)

const (
	// maxTries is the number of times that RetryConflict calls a write.
	maxTries = 10
	// firstPause is the longest pause after the first conflict. The longest pause
	// doubles with each further conflict, up to longestPause.
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
	// retryAfter is the time after which a caller may send a request again that
	// RetryConflict has given up.
	retryAfter = time.Second
)

// ErrConflict is returned by a write that another request has overtaken, and
// that RetryConflict should call again.
var ErrConflict = errors.New("another request changed the same rows")

// RetryConflict calls write until write returns nil or an error that is no
// conflict, at most maxTries times, with a random pause between two calls. A
// conflict is ErrConflict or a violated unique constraint: another request was
// faster. Each call of write must read again what the write depends on.
//
// RetryConflict returns the last error of write, the error of ctx if ctx ends
// during a pause, or a *fault.Error with the code Unavailable if every call
// ended in a conflict.
func RetryConflict(ctx context.Context, write func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := write()
		if !errors.Is(err, ErrConflict) && !IsUnique(err) {
			return err
		}
		if try == maxTries {
			unavailable := fault.Wrap(err, fault.Unavailable,
				"other requests changed the same data during each of %d tries: send the request again in a second", maxTries)
			unavailable.RetryAfter = retryAfter
			return unavailable
		}
		if err := sleep.For(ctx, rand.N(pause)); err != nil {
			return err
		}
		pause = min(2*pause, longestPause)
	}
}
