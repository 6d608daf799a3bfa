// Package sleep owns a sleep with a context: the end of the context ends the sleep.
// Package sleep does not own clocks (package instant).
package sleep

import (
	"context"
	"time"
)

// For blocks for a duration, or until ctx ends. For returns nil after the duration, and
// the error of ctx otherwise.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
