package database

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"tagma/internal/base/fault"
)

func TestRetryConflict_AWriteThatLosesIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := RetryConflict(t.Context(), func() error {
			if tries++; tries < 4 {
				return ErrConflict
			}
			return nil
		})
		if err != nil || tries != 4 {
			t.Errorf("a write with three conflicts: got %v after %d tries, want no error after 4", err, tries)
		}
	})
}

func TestRetryConflict_AnotherErrorIsReturnedAtOnce(t *testing.T) {
	broken := errors.New("broken")
	tries := 0
	err := RetryConflict(t.Context(), func() error {
		tries++
		return broken
	})
	if !errors.Is(err, broken) || tries != 1 {
		t.Errorf("a write that fails otherwise: got %v after %d tries, want %v after 1", err, tries, broken)
	}
}

func TestRetryConflict_GivesUpAndSaysWhenToTryAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		err := RetryConflict(t.Context(), func() error {
			tries++
			return ErrConflict
		})
		refused, ok := errors.AsType[*fault.Error](err)
		if !ok || refused.Code != fault.Unavailable || refused.RetryAfter <= 0 {
			t.Errorf("a write that always conflicts: got %#v, want UNAVAILABLE with a time to try again", err)
		}
		if tries != 10 {
			t.Errorf("a write that always conflicts: got %d tries, want 10", tries)
		}
	})
}

func TestRetryConflict_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := RetryConflict(ctx, func() error {
		cancel()
		return ErrConflict
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends during a pause: got %v, want %v", err, context.Canceled)
	}
}
