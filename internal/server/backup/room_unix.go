//go:build linux || darwin || freebsd

package backup

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// freeBytes returns how many bytes the file system of a folder has room for.
func freeBytes(path string) (bytes uint64, known bool) {
	var about unix.Statfs_t
	if err := unix.Statfs(path, &about); err != nil {
		return 0, false
	}
	return uint64(about.Bavail) * uint64(about.Bsize), true
}

// sameDevice reports whether two files that exist are on one device.
func sameDevice(a, b os.FileInfo) bool {
	first, ok := a.Sys().(*syscall.Stat_t)
	second, also := b.Sys().(*syscall.Stat_t)
	return ok && also && first.Dev == second.Dev
}
