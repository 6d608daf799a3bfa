package localblob

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"tagma/internal/storage/bucket"
)

// faultyBucket opens a bucket whose flushes go through flush. What flush is
// given is a folder's name below dir, or "temporary" for a file.
func faultyBucket(t *testing.T, dir string, flush func(name string, f *os.File) error) *Bucket {
	t.Helper()
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b.flush = func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return flush("temporary", f)
		}
		for _, name := range []string{".", "a", "a/b"} {
			if known, err := b.root.Stat(name); err == nil && os.SameFile(known, info) {
				return flush(name, f)
			}
		}
		return errors.New("some other folder was flushed")
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// method is a method of a Bucket that writes.
type method func(*Bucket, context.Context, string, io.Reader) error

func TestWrite_FlushesTheFileThenItsNameAndEveryNewFolder(t *testing.T) {
	dir := t.TempDir()
	var flushed []string
	b := faultyBucket(t, dir, func(name string, f *os.File) error {
		if _, err := os.Stat(path.Join(dir, "a/b/1.jpg")); err == nil {
			name += " when the blob was there"
		}
		flushed = append(flushed, name)
		return f.Sync()
	})
	write(t, b, "a/b/1.jpg", "x")
	want := []string{".", "a", "temporary", "a/b when the blob was there"}
	if !slices.Equal(flushed, want) {
		t.Errorf("flushed were %q, want %q", flushed, want)
	}
	flushed = nil
	if err := b.Create(t.Context(), "a/b/1.jpg", strings.NewReader("")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over a file: got %v, want %v", err, fs.ErrExist)
	}
	want = []string{"temporary when the blob was there", "a/b when the blob was there"}
	if !slices.Equal(flushed, want) {
		t.Errorf("for a name that is taken, flushed were %q, want %q", flushed, want)
	}
	flushed = nil
	if err := b.Delete(t.Context(), "a/b/1.jpg"); err != nil {
		t.Error(err)
	}
	if want := []string{"a/b"}; !slices.Equal(flushed, want) {
		t.Errorf("for a deletion, flushed were %q, want %q", flushed, want)
	}
}

func TestWrite_AFlushThatFailsIsNeverAcknowledgedNorTriedAgain(t *testing.T) {
	for _, failing := range []string{".", "a", "temporary", "a/b"} {
		for _, write := range []method{(*Bucket).Write, (*Bucket).Create} {
			dir := t.TempDir()
			failures := 0
			b := faultyBucket(t, dir, func(name string, f *os.File) error {
				if name == failing {
					failures++
					return errors.New("the disk is failing")
				}
				return f.Sync()
			})
			err := write(b, t.Context(), "a/b/1.jpg", strings.NewReader("x"))
			if err == nil || failures != 1 {
				t.Errorf("%s: the write said %v after %d failures", failing, err, failures)
			}
			// Only the last flush comes when the blob has its name.
			want := []string(nil)
			if failing == "a/b" {
				want = []string{"a/b/1.jpg"}
			}
			if all := files(t, dir); !slices.Equal(all, want) {
				t.Errorf("%s: there are %q, want %q", failing, all, want)
			}
		}
	}
}

func TestWrite_AFullDiskIsToldWithTheFolder(t *testing.T) {
	for _, failing := range []string{".", "temporary", "a"} {
		dir := t.TempDir()
		b := faultyBucket(t, dir, func(name string, f *os.File) error {
			if name == failing {
				return &os.PathError{Op: "fsync", Path: f.Name(), Err: syscall.ENOSPC}
			}
			return f.Sync()
		})
		err := bucket.WriteAll(t.Context(), b, "a/1.jpg", []byte("x"))
		failed, ok := errors.AsType[*WriteError](err)
		if !ok || !errors.Is(err, syscall.ENOSPC) || failed.Dir != dir {
			t.Errorf("%s: the write said %v", failing, err)
		}
	}
}

func TestWrite_OfASourceThatFailsLeavesNothingAndDoesNotBlameTheDisk(t *testing.T) {
	b, dir := newBucket(t)
	write(t, b, "a/key", "before")
	errGone := errors.New("the sender hung up")
	source := func() io.Reader { return io.MultiReader(strings.NewReader("a part"), iotest.ErrReader(errGone)) }
	for _, err := range []error{b.Write(t.Context(), "a/key", source()), b.Create(t.Context(), "a/new", source())} {
		if !errors.Is(err, errGone) || isWriteError(err) {
			t.Errorf("write from a source that fails: got %v, want %v and no error of the disk", err, errGone)
		}
	}
	if got, err := bucket.ReadAll(t.Context(), b, "a/key"); string(got) != "before" || err != nil {
		t.Errorf("file after a write that failed: got %q, %v, want before", got, err)
	}
	if all := files(t, dir); !slices.Equal(all, []string{"a/key"}) {
		t.Errorf("files on the disk: got %q, want a/key", all)
	}
}

func TestFill_AnErrorOfTheFileNamesTheFolder(t *testing.T) {
	b, dir := newBucket(t)
	unwritable, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unwritable.Close()
	err = b.fill(t.Context(), unwritable, strings.NewReader("x"))
	if failed, ok := errors.AsType[*WriteError](err); !ok || failed.Dir != dir {
		t.Errorf("fill of a folder: got %v, want a WriteError below %s", err, dir)
	}
}

func TestWrite_OfAFolderThatWasMovedAwayNothingIsAcknowledged(t *testing.T) {
	for name, disturb := range map[string]func(t *testing.T, dir string){
		"moved":    func(t *testing.T, dir string) { rename(t, dir, dir+".moved") },
		"replaced": func(t *testing.T, dir string) { rename(t, dir, dir+".moved"); mkdir(t, dir) },
		"removed": func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, writeTo := range []method{(*Bucket).Write, (*Bucket).Create} {
			for _, when := range []string{"before", "while it is flushed", "while its folder is flushed"} {
				dir := path.Join(t.TempDir(), "files")
				armed := ""
				b := faultyBucket(t, dir, func(name string, f *os.File) error {
					if armed == "while it is flushed" && name == "temporary" || armed == "while its folder is flushed" && name == "a" {
						disturb(t, dir)
						armed = ""
					}
					return f.Sync()
				})
				write(t, b, "a/1.jpg", "x") // so that the folder is known
				if armed = when; when == "before" {
					disturb(t, dir)
				}
				err := writeTo(b, t.Context(), "a/2.jpg", strings.NewReader("y"))
				if !errors.Is(err, ErrMoved) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s %s: the write said %v, want that the folder was moved", name, when, err)
				}
				if failed, ok := errors.AsType[*WriteError](err); !ok || failed.Dir != dir {
					t.Errorf("%s %s: %v does not name %s", name, when, err, dir)
				}
				if err := b.Delete(t.Context(), "a/1.jpg"); err == nil {
					t.Errorf("%s %s: a deletion was acknowledged", name, when)
				}
				for _, folder := range []string{dir, dir + ".moved"} {
					if _, err := os.Stat(path.Join(folder, "a/2.jpg")); err == nil && when == "before" {
						t.Errorf("%s: the blob is in %s", name, folder)
					}
				}
			}
		}
	}
}

func TestWrite_AFolderThatCameBackTakesBlobsAgain(t *testing.T) {
	dir := path.Join(t.TempDir(), "files")
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	rename(t, dir, dir+".moved")
	if err := bucket.WriteAll(t.Context(), b, "key", nil); !errors.Is(err, ErrMoved) {
		t.Errorf("the write said %v", err)
	}
	rename(t, dir+".moved", dir)
	write(t, b, "key", "x")
	if all := files(t, dir); !slices.Equal(all, []string{"key"}) {
		t.Errorf("there are %q, want the key", all)
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, folderMode); err != nil {
		t.Fatal(err)
	}
}
