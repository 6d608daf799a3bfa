package fingerprint

import (
	"io/fs"
	"syscall"
)

// changeTime returns the time of the last change of a file, in nanoseconds since the
// Unix epoch, or 0 if the file system does not say.
func changeTime(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ctim.Nano()
	}
	return 0
}
