package localblob

import (
	"errors"
	"os"
	"path"
	"slices"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
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
	if _, err := w.Write([]byte("the rest")); err == nil {
		t.Fatal("a write to a folder went well")
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
