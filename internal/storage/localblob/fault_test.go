package localblob

import (
	"errors"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// faultyBucket opens a bucket whose flushes go through flush. What flush is
// given is a folder's name below dir, or "temporary" for a file.
func faultyBucket(t *testing.T, dir string, flush func(name string, f *os.File) error) *blob.Bucket {
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
	bucket := blob.NewBucket(b)
	t.Cleanup(func() { bucket.Close() })
	return bucket
}

func TestWrite_FlushesTheFileThenItsNameAndEveryNewFolder(t *testing.T) {
	dir := t.TempDir()
	var flushed []string
	bucket := faultyBucket(t, dir, func(name string, f *os.File) error {
		if _, err := os.Stat(path.Join(dir, "a/b/1.jpg")); err == nil {
			name += " when the blob was there"
		}
		flushed = append(flushed, name)
		return f.Sync()
	})
	write(t, bucket, "a/b/1.jpg", "x")
	want := []string{".", "a", "temporary", "a/b when the blob was there"}
	if !slices.Equal(flushed, want) {
		t.Errorf("flushed were %q, want %q", flushed, want)
	}
	flushed = nil
	if err := bucket.WriteAll(t.Context(), "a/b/1.jpg", nil, &blob.WriterOptions{IfNotExist: true}); err == nil {
		t.Error("it was overwritten")
	}
	want = []string{"temporary when the blob was there", "a/b when the blob was there"}
	if !slices.Equal(flushed, want) {
		t.Errorf("for a name that is taken, flushed were %q, want %q", flushed, want)
	}
	flushed = nil
	if err := bucket.Delete(t.Context(), "a/b/1.jpg"); err != nil {
		t.Error(err)
	}
	if want := []string{"a/b"}; !slices.Equal(flushed, want) {
		t.Errorf("for a deletion, flushed were %q, want %q", flushed, want)
	}
}

func TestWrite_AFlushThatFailsIsNeverAcknowledgedNorTriedAgain(t *testing.T) {
	for _, failing := range []string{".", "a", "temporary", "a/b"} {
		for _, opts := range []*blob.WriterOptions{nil, {IfNotExist: true}} {
			dir := t.TempDir()
			failures := 0
			bucket := faultyBucket(t, dir, func(name string, f *os.File) error {
				if name == failing {
					failures++
					return errors.New("the disk is failing")
				}
				return f.Sync()
			})
			err := bucket.WriteAll(t.Context(), "a/b/1.jpg", []byte("x"), opts)
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
		bucket := faultyBucket(t, dir, func(name string, f *os.File) error {
			if name == failing {
				return &os.PathError{Op: "fsync", Path: f.Name(), Err: syscall.ENOSPC}
			}
			return f.Sync()
		})
		err := bucket.WriteAll(t.Context(), "a/1.jpg", []byte("x"), nil)
		failed, ok := errors.AsType[*WriteError](err)
		if !ok || !errors.Is(err, syscall.ENOSPC) || failed.Dir != dir {
			t.Errorf("%s: the write said %v", failing, err)
		}
	}
}

// Close comes after a failed Write too, and must not make a blob of what got
// through.
func TestWrite_AfterAWriteFailedNothingIsPublished(t *testing.T) {
	dir := t.TempDir()
	b, err := open(dir)
	if err != nil {
		t.Fatal(err)
	}
	bucket := blob.NewBucket(b)
	defer bucket.Close()
	write(t, bucket, "key", "before")

	w, err := b.NewTypedWriter(t.Context(), "key", "", &driver.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("a part")); err != nil {
		t.Fatal(err)
	}
	inner := w.(*writer)
	working := inner.file
	inner.file, err = os.Open(dir) // which cannot be written to
	if err != nil {
		t.Fatal(err)
	}
	defer func(f *os.File) { f.Close() }(inner.file)
	for how, err := range map[string]error{
		"Write":  func() error { _, err := w.Write([]byte("the rest")); return err }(),
		"Upload": inner.Upload(strings.NewReader("the rest")),
	} {
		if failed, ok := errors.AsType[*WriteError](err); !ok || failed.Dir != dir {
			t.Errorf("%s to a folder said %v, want that writing below %s failed", how, err, dir)
		}
	}
	source := iotest.ErrReader(errors.New("the sender hung up"))
	if err := inner.Upload(source); isWriteError(err) {
		t.Errorf("a source that fails is taken for the disk: %v", err)
	}
	inner.file = working
	if err := w.Close(); err == nil {
		t.Error("Close went well")
	}
	if got, err := bucket.ReadAll(t.Context(), "key"); string(got) != "before" || err != nil {
		t.Errorf("the blob is %q, %v", got, err)
	}
	if all := files(t, dir); !slices.Equal(all, []string{"key"}) {
		t.Errorf("there are %q", all)
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
		for _, opts := range []*blob.WriterOptions{nil, {IfNotExist: true}} {
			for _, when := range []string{"before", "while it is flushed", "while its folder is flushed"} {
				dir := path.Join(t.TempDir(), "files")
				armed := ""
				bucket := faultyBucket(t, dir, func(name string, f *os.File) error {
					if armed == "while it is flushed" && name == "temporary" || armed == "while its folder is flushed" && name == "a" {
						disturb(t, dir)
						armed = ""
					}
					return f.Sync()
				})
				write(t, bucket, "a/1.jpg", "x") // so that the folder is known
				if armed = when; when == "before" {
					disturb(t, dir)
				}
				err := bucket.WriteAll(t.Context(), "a/2.jpg", []byte("y"), opts)
				if !errors.Is(err, ErrMoved) || gcerrors.Code(err) == gcerrors.NotFound {
					t.Errorf("%s %s: the write said %v, want that the folder was moved", name, when, err)
				}
				if failed, ok := errors.AsType[*WriteError](err); !ok || failed.Dir != dir {
					t.Errorf("%s %s: %v does not name %s", name, when, err, dir)
				}
				if err := bucket.Delete(t.Context(), "a/1.jpg"); err == nil {
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
	bucket, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	rename(t, dir, dir+".moved")
	if err := bucket.WriteAll(t.Context(), "key", nil, nil); !errors.Is(err, ErrMoved) {
		t.Errorf("the write said %v", err)
	}
	rename(t, dir+".moved", dir)
	write(t, bucket, "key", "x")
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
