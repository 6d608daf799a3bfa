// Package filelock owns locks on files that one process at a time holds. The
// system releases a lock when its process ends, however it ends.
//
// The package does not own what a lock protects, nor what a process does that
// finds a file locked.
package filelock

import "errors"

// ErrLocked is returned by Lock for a file that another process has locked.
var ErrLocked = errors.New("another process holds the lock")
