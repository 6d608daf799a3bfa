// Package fsync owns the flush of a folder to the disk.
//
// Package fsync does not own the flush of a file: (*os.File).Sync does that.
package fsync

import (
	"errors"
	"os"
)

// Folder flushes the names in the folder at path to the disk. A created, renamed or
// removed file survives a loss of power only after Folder.
func Folder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
