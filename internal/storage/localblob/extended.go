//go:build linux || darwin

package localblob

import (
	"errors"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributeName is the extended attribute that holds a blob's attributes. On Linux,
// the owner of a file may write attributes in the namespace "user.".
const attributeName = "user.tagma.blob"

func setAttribute(f *os.File, text []byte) error {
	return unix.Fsetxattr(int(f.Fd()), attributeName, text, 0)
}

// getAttribute returns the extended attribute of a file. It returns no bytes if the
// file has no such attribute, as most files, and on a file system without extended
// attributes.
func getAttribute(f *os.File) ([]byte, error) {
	missing := syscall.ENODATA
	if runtime.GOOS == "darwin" {
		missing = 93 // ENOATTR, which package syscall lacks on Linux
	}
	size, err := unix.Fgetxattr(int(f.Fd()), attributeName, nil)
	if errors.Is(err, missing) || errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text := make([]byte, size)
	size, err = unix.Fgetxattr(int(f.Fd()), attributeName, text)
	if err != nil {
		return nil, err
	}
	return text[:size], nil
}
