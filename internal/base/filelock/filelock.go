// Package filelock owns exclusive locks on files. The system releases a lock when
// the holding process ends, however the process ends.
//
// The package does not own the data behind a lock, nor the content of the file.
package filelock

import (
	"context"
	"errors"
	"os"
	"time"

	"tagma/internal/base/sleep"
)

// ErrLocked is returned for a file locked by another process.
var ErrLocked = errors.New("another process holds the lock")

// pause is the time between two tries, because flock cannot wait for a limited
// time.
const pause = 25 * time.Millisecond

// patience is how long Lock waits. A process killed while starting a child leaves
// the lock to the child until the child runs its own program.
const patience = 500 * time.Millisecond

// Lock is Acquire with a wait of half a second, for a holder killed just now. Where
// the system has no locks, Lock returns the open file without a lock: there the
// operator must run one process at a time.
func Lock(path string) (*os.File, error) {
	file, err := Acquire(context.Background(), path, patience)
	if errors.Is(err, errors.ErrUnsupported) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	return file, err
}

// Acquire takes an exclusive lock on the file at path and returns the open file. A
// missing file is created with mode 0600. Closing the file releases the lock.
//
// Acquire blocks for at most wait while another process holds the lock, and then
// returns ErrLocked. Acquire returns errors.ErrUnsupported if the system or the
// file system has no locks.
func Acquire(ctx context.Context, path string, wait time.Duration) (*os.File, error) {
	return acquire(ctx, path, wait, lock)
}

func acquire(ctx context.Context, path string, wait time.Duration, lock func(*os.File) error) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(wait)
	for {
		if err = lock(file); err == nil {
			return file, nil
		}
		if !errors.Is(err, ErrLocked) || !time.Now().Before(deadline) {
			break
		}
		if sleep.For(ctx, pause) != nil {
			return nil, errors.Join(context.Cause(ctx), file.Close())
		}
	}
	_ = file.Close()
	return nil, err
}
