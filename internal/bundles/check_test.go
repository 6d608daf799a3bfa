package bundles

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestChecks_GoOnWhenWhoAskedHasGoneAndAreMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, made := newChecks(), 0
		release := make(chan struct{})
		ask := func(ctx context.Context, name string, want error) {
			got, err := c.do(ctx, name, func(ctx context.Context) (checked, error) {
				made++
				<-release
				return checked{wrong: name}, ctx.Err()
			})
			if !errors.Is(err, want) || want == nil && got.wrong != name {
				t.Errorf("%+v, %v", got, err)
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
		if made != 1 {
			t.Errorf("it is made %d times", made)
		}
		go ask(t.Context(), "b", nil)
		synctest.Wait()
		if made != 2 {
			t.Errorf("another waits for it")
		}
		close(release)
		synctest.Wait()
	})
}
