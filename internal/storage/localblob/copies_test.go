package localblob

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// openCopies opens a bucket for copies whose flushes are counted by file name,
// and fail for the folder named failing.
func openCopies(t *testing.T, failing string) (copies *Bucket, flush func() error, flushed map[string]int) {
	t.Helper()
	dir := t.TempDir()
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	flushed = map[string]int{}
	b.flush = func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		name := "file"
		if info.IsDir() {
			if name, err = filepath.Rel(dir, f.Name()); err != nil {
				return err
			}
		}
		flushed[name]++
		if name == failing {
			return errors.New("the disk is failing")
		}
		return f.Sync()
	}
	flush = b.deferFolders()
	t.Cleanup(func() { b.Close() })
	return b, flush, flushed
}

func TestOpenCopies_EachFileIsFlushedOnceAndEachFolderOnce(t *testing.T) {
	copies, flush, flushed := openCopies(t, "")
	for _, key := range []string{"a/b/1.jpg", "a/b/2.jpg", "a/b/3.jpg", "a/4.jpg"} {
		write(t, copies, key, key)
	}
	if len(flushed) != 1 || flushed["file"] != 4 {
		t.Errorf("flushes before the end: got %v, want 4 of files", flushed)
	}
	if err := flush(); err != nil {
		t.Fatalf("flush: got %v, want no error", err)
	}
	for _, folder := range []string{".", "a", "a/b"} {
		if flushed[folder] != 1 {
			t.Errorf("flushes of %q: got %d, want 1 of %v", folder, flushed[folder], flushed)
		}
	}
	if err := flush(); err != nil || flushed["a/b"] != 1 {
		t.Errorf("flush again: got %v and %v, want no error and no flush", err, flushed)
	}
}

func TestOpenCopies_AFolderThatCannotBeFlushedIsAnError(t *testing.T) {
	copies, flush, _ := openCopies(t, "a")
	write(t, copies, "a/1.jpg", "x")
	if err := flush(); err == nil {
		t.Error("flush: got no error, want that of the disk")
	}
	if keys := slices.Sorted(slices.Values(keys(t, copies, ""))); !slices.Equal(keys, []string{"a/1.jpg"}) {
		t.Errorf("keys: got %q", keys)
	}
}
