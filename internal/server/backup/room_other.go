//go:build !(linux || darwin || freebsd)

package backup

import "os"

// freeBytes returns false: on these systems a backup begins without asking for
// room.
func freeBytes(string) (bytes uint64, known bool) { return 0, false }

// sameDevice reports false: these systems do not tell.
func sameDevice(_, _ os.FileInfo) bool { return false }
