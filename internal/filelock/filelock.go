// Package filelock owns exclusive locks on files. A lock ends with the process
// that holds the lock, however the process ends.
//
// The package does not own what the locks protect, nor what the files say.
package filelock

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrLocked is returned for a file that another process has locked.
var ErrLocked = errors.New("another process holds the lock")

// pause is the time between two tries, because flock cannot wait for a limited
// time.
const pause = 25 * time.Millisecond

// patience is how long Lock waits. A process that was killed while it started a
// child has left the lock to that child until the child runs its own program.
const patience = 500 * time.Millisecond

// Lock is Acquire for a process that expects no other: Lock waits half a second
// for a holder that was killed. Where there are no such locks, Lock only opens the
// file: there the operator sees to it that one process at a time works.
func Lock(path string) (*os.File, error) {
	file, err := Acquire(context.Background(), path, patience)
	if errors.Is(err, errors.ErrUnsupported) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	}
	return file, err
}

// Acquire takes an exclusive lock on the file at path, and makes the file,
// readable by its owner alone, if the file is missing. Closing the file that
// Acquire returns releases the lock.
//
// While another process holds the lock, Acquire tries again until the time wait
// has passed, and returns ErrLocked then. Acquire returns errors.ErrUnsupported if
// the system, or the file system of path, has no such locks.
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
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(pause):
		}
	}
	_ = file.Close()
	return nil, err
}
