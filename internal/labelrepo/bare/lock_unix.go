//go:build unix

package bare

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// acquire takes a lock that ends with the process, however it ends. It waits
// a little for the last holder: one that was killed while it started a git has
// left the lock to that child until the child is really git.
func acquire(path string) (*os.File, error) {
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
			break
		}
		err = ErrInUse
		<-time.After(25 * time.Millisecond) // flock has no wait with an end
	}
	f.Close()
	return nil, err
}
