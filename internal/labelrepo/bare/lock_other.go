//go:build !unix

package bare

import "os"

// acquire opens the file only: where there is no flock, the operator sees to
// it that one process uses the repository.
func acquire(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
