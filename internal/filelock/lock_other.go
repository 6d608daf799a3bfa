//go:build !unix

package filelock

import "os"

// Lock opens the file at path, and creates the file if there is none. These
// systems have no flock, so Lock does not lock: the operator sees to it that one
// process at a time works.
func Lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
