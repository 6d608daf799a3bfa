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
	// maxTries is the largest number of calls of a write by RetryConflict.
	maxTries = 10
	// firstPause is the longest pause after the first conflict. The longest pause
	// doubles with each further conflict, up to longestPause.
	firstPause   = 5 * time.Millisecond
	longestPause = 200 * time.Millisecond
	// retryAfter is the advice to the caller of the API after the last try: the
	// time to wait before sending the request again.
	retryAfter = time.Second
)

// ErrConflict is returned by a write if another request has changed the same
// rows. RetryConflict then calls the write again.
var ErrConflict = errors.New("another request changed the same rows")

// RetryConflict calls write until write returns nil or an error other than a
// conflict, at most maxTries times, with a random pause between two calls. A
// conflict is ErrConflict or a violated unique constraint: another request was
// faster. Each call of write must read all its input rows again.
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
