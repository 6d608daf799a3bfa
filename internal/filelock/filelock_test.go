package filelock

import (
	"errors"
	"path/filepath"
	"testing"
)

func TestLock_TheSecondIsRefusedUntilTheFirstCloses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(path)
	if err != nil {
		t.Fatalf("lock a new file: got %v, want no error", err)
	}
	if second, err := Lock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("lock a locked file: got %v, %v, want %v", second, err, ErrLocked)
	}
	if err := first.Close(); err != nil {
		t.Fatalf("close: got %v, want no error", err)
	}
	again, err := Lock(path)
	if err != nil {
		t.Fatalf("lock a released file: got %v, want no error", err)
	}
	_ = again.Close()
}
