//go:build !unix

package filelock

import (
	"errors"
	"os"
)

// lock reports that there are no such locks.
func lock(*os.File) error { return errors.ErrUnsupported }
