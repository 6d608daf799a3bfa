//go:build unix

package filelock

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Lock opens the file at path, creates the file if there is none, and locks the
// file. Closing the returned file releases the lock. Lock returns ErrLocked if
// another process holds the lock.
//
// Lock waits half a second for the last holder: a process that was killed while
// it started a child has left the lock to that child until the child runs its
// own program.
func Lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for range 20 {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			err = &os.PathError{Op: "lock", Path: path, Err: err}
			break
		}
		err = ErrLocked
		<-time.After(25 * time.Millisecond) // flock has no timeout
	}
	f.Close()
	return nil, err
}
