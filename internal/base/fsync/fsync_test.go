package fsync

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
)

func TestFolder(t *testing.T) {
	folder := t.TempDir()
	if err := Folder(folder); err != nil {
		t.Errorf("Folder of a folder: got %v, want nil", err)
	}
	if err := Folder(filepath.Join(folder, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Folder of a missing folder: got %v, want %v", err, fs.ErrNotExist)
	}
}
