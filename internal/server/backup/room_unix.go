//go:build linux || darwin || freebsd

package backup

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeBytes returns the free bytes on the file system of a folder, for a user
// without privileges.
func freeBytes(path string) (bytes uint64, known bool) {
	var about unix.Statfs_t
	if err := unix.Statfs(path, &about); err != nil {
		return 0, false
	}
	return uint64(about.Bavail) * uint64(about.Bsize), true
}

// sameDevice reports whether two existing files are on the same device.
func sameDevice(a, b os.FileInfo) bool {
	first, ok := a.Sys().(*syscall.Stat_t)
	second, also := b.Sys().(*syscall.Stat_t)
	return ok && also && first.Dev == second.Dev
}
