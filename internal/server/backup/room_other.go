//go:build !(linux || darwin || freebsd)

package backup

import "os"

// freeBytes returns false: on this system a backup begins without a check of
// the free space.
func freeBytes(string) (bytes uint64, known bool) { return 0, false }

// sameDevice returns false: the device of a file is unknown on this system.
func sameDevice(_, _ os.FileInfo) bool { return false }
