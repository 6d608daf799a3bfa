package localblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
)

func TestBucket(t *testing.T) {
	buckettest.Run(t, func(t *testing.T) bucket.Bucket {
		b, _ := newBucket(t)
		return b
	})
}

// newBucket opens a bucket in a new folder.
func newBucket(t testing.TB) (*Bucket, string) {
	t.Helper()
	dir := t.TempDir()
	b, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, dir
}

func write(t testing.TB, b *Bucket, key, text string) {
	t.Helper()
	if err := bucket.WriteAll(t.Context(), b, key, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// keys returns the listed keys with a prefix.
func keys(t testing.TB, b *Bucket, prefix string) []string {
	t.Helper()
	var all []string
	for file, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, file.Key)
	}
	return all
}

// files is every file below dir, by its path there.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWrite_APhotographIsAPlainFileUnderItsOwnName(t *testing.T) {
	b, dir := newBucket(t)
	const key = "1a2b3c4d/1a2b3c4d.2020-06-20_21-33-24.jpg"
	write(t, b, key, "the bytes")
	got, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil || string(got) != "the bytes" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if all := files(t, dir); len(all) != 1 {
		t.Errorf("there are %q, want one file", all)
	}
}

func TestStat_AFileThatACopyBroughtIsAFile(t *testing.T) {
	b, dir := newBucket(t)
	if err := os.WriteFile(filepath.Join(dir, "a.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := b.Stat(t.Context(), "a.jpg"); err != nil || info.Size != 1 {
		t.Errorf("stat: got %+v, %v, want 1 byte", info, err)
	}
}

func TestOpen_MakesTheFolderAndThoseAboveIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // missing, then there
		b, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		write(t, b, "key", "x")
		b.Close()
	}
	if _, err := Open(filepath.Join(dir, "key")); err == nil {
		t.Error("a file was opened as a bucket")
	}
}

func TestSymlinks_DoNotLeadOutOfTheFolder(t *testing.T) {
	b, dir := newBucket(t)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"folder": outside, "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"folder/secret", "file", "../secret", "folder/../../secret", "/etc/passwd"} {
		if got, err := bucket.ReadAll(t.Context(), b, key); err == nil {
			t.Errorf("%s: read %q", key, got)
		}
	}
	if err := bucket.WriteAll(t.Context(), b, "folder/new", []byte("x")); err == nil {
		t.Error("wrote through a link")
	}
	write(t, b, "file", "replaced")
	if got, _ := os.ReadFile(filepath.Join(outside, "secret")); string(got) != "secret" {
		t.Errorf("the file outside is now %q", got)
	}
	if all := files(t, outside); len(all) != 1 {
		t.Errorf("outside there are %q", all)
	}
}

func TestCreate_OneOfManyWritersWinsAcrossBuckets(t *testing.T) {
	dir := t.TempDir()
	const writers, rounds = 8, 20
	buckets := make([]*Bucket, writers)
	for i := range buckets {
		b, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		buckets[i] = b
	}
	for round := range rounds {
		key := fmt.Sprint("round/", round)
		var winner atomic.Int64
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i, b := range buckets {
			wg.Go(func() {
				err := b.Create(t.Context(), key, strings.NewReader(fmt.Sprint(i)))
				switch {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(i))
				case !errors.Is(err, fs.ErrExist):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := bucket.ReadAll(t.Context(), buckets[0], key)
		if err != nil || wins.Load() != 1 || string(got) != fmt.Sprint(winner.Load()) {
			t.Fatalf("%d won, the last was %d, the blob is %q, %v", wins.Load(), winner.Load(), got, err)
		}
	}
	if all := files(t, dir); len(all) != rounds {
		t.Errorf("%d files are there, want %d: %q", len(all), rounds, all)
	}
}

func TestKeys_ABlobIsNotAFolderToo(t *testing.T) {
	b, _ := newBucket(t)
	write(t, b, "a", "x")
	if err := bucket.WriteAll(t.Context(), b, "a/b", []byte("y")); err == nil {
		t.Error("a/b was written into the blob a")
	}
	if _, err := bucket.ReadAll(t.Context(), b, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading a/b: %v", err)
	}
	write(t, b, "c/d", "x")
	if err := b.Delete(t.Context(), "c"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("delete of a folder: got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestWrite_AFolderRemovedByHandIsMadeAgain(t *testing.T) {
	b, dir := newBucket(t)
	write(t, b, "a/b/c", "x")
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	write(t, b, "a/b/d", "y")
	if got := keys(t, b, ""); !slices.Equal(got, []string{"a/b/d"}) {
		t.Errorf("the bucket lists %q", got)
	}
}

func TestRead_GoesOnWithTheBytesItBeganWith(t *testing.T) {
	b, _ := newBucket(t)
	before := strings.Repeat("old", 10_000)
	write(t, b, "key", before)
	r, err := b.Open(t.Context(), "key")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, b, "key", strings.Repeat("new", 20_000))
	if err := b.Delete(t.Context(), "key"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || string(got) != before {
		t.Errorf("read after a write and a deletion: got %d bytes, %v, want the %d of before", len(got), err, len(before))
	}
	if _, err := r.Seek(3, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != before[3:] {
		t.Errorf("read after a seek: got %d bytes, %v, want %d", len(got), err, len(before)-3)
	}
}

func TestSweep_RemovesWhatACrashLeftAndNothingElse(t *testing.T) {
	b, dir := newBucket(t)
	write(t, b, "a/blob.jpg", "x")
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"a/" + temporaryPrefix + "OLD":   25 * time.Hour,
		"a/" + temporaryPrefix + "YOUNG": 23 * time.Hour,
		"a/blob.jpg":                     1000 * time.Hour,
	} {
		name = filepath.Join(dir, name)
		f, err := os.OpenFile(name, os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if err := os.Chtimes(name, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, b, ""); !slices.Equal(got, []string{"a/blob.jpg"}) {
		t.Errorf("before the sweep the bucket lists %q", got)
	}
	removed, err := Sweep(t.Context(), dir, now)
	if err != nil || removed != 1 {
		t.Errorf("removed %d, %v", removed, err)
	}
	want := []string{"a/" + temporaryPrefix + "YOUNG", "a/blob.jpg"}
	if got := files(t, dir); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}

func TestSweep_StopsWhenItIsTold(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Sweep(ctx, t.TempDir(), time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("it said %v", err)
	}
}

// BenchmarkWrite says what the flushing costs, for a photograph of 2 MB.
func BenchmarkWrite(b *testing.B) {
	photograph := bytes.Repeat([]byte("photo"), 400_000)
	b.Run("Create", func(b *testing.B) {
		files, _ := newBucket(b)
		b.SetBytes(int64(len(photograph)))
		for n := 0; b.Loop(); n++ {
			if err := files.Create(b.Context(), fmt.Sprintf("device/%d.jpg", n), bytes.NewReader(photograph)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("os.WriteFile without a flush", func(b *testing.B) {
		dir := b.TempDir()
		b.SetBytes(int64(len(photograph)))
		for n := 0; b.Loop(); n++ {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", n)), photograph, 0o600); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestCheck_AFolderThatWasMovedOrReplacedIsNotAccessible(t *testing.T) {
	b, dir := newBucket(t)
	accessible := func(want bool, what string) {
		t.Helper()
		if err := b.Check(t.Context()); (err == nil) != want || err != nil && !errors.Is(err, ErrMoved) {
			t.Errorf("check of a folder %s: got %v, want accessible %t", what, err, want)
		}
		for _, err := range b.List(t.Context(), "") {
			if (err == nil) != want || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("list of a folder %s: got %v, want accessible %t", what, err, want)
			}
		}
	}
	write(t, b, "a", "x")
	accessible(true, "as it was opened")
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	accessible(false, "renamed")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	accessible(false, "with another in its place")
	if err := errors.Join(os.Remove(dir), os.Rename(dir+".moved", dir)); err != nil {
		t.Fatal(err)
	}
	accessible(true, "put back")
}

func TestOpenExisting_AFolderThatIsMissingOrNoFolderIsRefusedAndNotMade(t *testing.T) {
	dir := t.TempDir()
	missing, file := filepath.Join(dir, "missing"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExisting(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: got %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the folder was made")
	}
	if _, err := OpenExisting(file); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file: got %v, want another error than %v", err, fs.ErrNotExist)
	}
	b, err := OpenExisting(dir)
	if err != nil {
		t.Fatalf("a folder: got %v, want no error", err)
	}
	defer b.Close()
	write(t, b, "a/b.jpg", "x")
}
