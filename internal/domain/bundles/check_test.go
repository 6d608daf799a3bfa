package bundles

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestChecks_GoOnWhenWhoAskedHasGoneAndAreMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, count := newChecks(), 0
		release := make(chan struct{})
		ask := func(ctx context.Context, name string, want error) {
			got, err := c.do(ctx, name, func(ctx context.Context) (checkResult, error) {
				count++
				<-release
				return checkResult{mismatch: name}, ctx.Err()
			})
			if !errors.Is(err, want) || want == nil && got.mismatch != name {
				t.Errorf("check %s: got %+v, error %v, want error %v", name, got, err, want)
			}
		}
		ctx, leave := context.WithCancel(t.Context())
		go ask(ctx, "a", context.Canceled)
		synctest.Wait()
		leave()
		synctest.Wait() // whoever asked has gone
		for range 3 {
			go ask(t.Context(), "a", nil)
		}
		synctest.Wait()
		if count != 1 {
			t.Errorf("got %d checks, want 1", count)
		}
		go ask(t.Context(), "b", nil)
		synctest.Wait()
		if count != 2 {
			t.Errorf("another waits for it")
		}
		close(release)
		synctest.Wait()
	})
}
