//go:build unix

package filelock

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock takes the lock, or returns at once.
func lock(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrLocked
	case errors.Is(err, syscall.ENOLCK): // NFS without its lock service
		return fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return err
}
