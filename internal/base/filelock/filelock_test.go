package filelock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAcquire_ASecondHolderIsRefusedUntilTheFirstHasEnded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.lock")
	first, err := Acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatalf("the first: got %v, want no error", err)
	}
	if _, err := Acquire(t.Context(), path, 0); !errors.Is(err, ErrLocked) {
		t.Errorf("the second: got %v, want %v", err, ErrLocked)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: got %v, %v, want mode 0600", info, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatalf("after the first has ended: got %v, want no error", err)
	}
	again.Close()
}

func TestAcquire_TheSecondGetsALockThatIsReleasedWhileItWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.lock")
	first, err := Acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	tries := 0
	second, err := acquire(t.Context(), path, time.Hour, func(file *os.File) error {
		if tries++; tries == 2 {
			first.Close()
		}
		return lock(file)
	})
	if err != nil || tries != 2 {
		t.Fatalf("got %v after %d tries, want no error after 2", err, tries)
	}
	second.Close()
}

func TestAcquire_TheEndOfTheContextEndsTheWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "server.lock")
	first, err := Acquire(t.Context(), path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Acquire(ctx, path, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

func TestAcquire_AFileSystemWithoutLocksIsTold(t *testing.T) {
	_, err := acquire(t.Context(), filepath.Join(t.TempDir(), "server.lock"), time.Hour, func(*os.File) error {
		return errors.ErrUnsupported
	})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want %v", err, errors.ErrUnsupported)
	}
}
