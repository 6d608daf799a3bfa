package localblob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"
	"gocloud.dev/gcerrors"
)

// harness is what the conformance tests of Go CDK ask for.
type harness struct{ dir string }

func (h harness) MakeDriver(context.Context) (driver.Bucket, error) { return open(h.dir) }

// There is no bucket that does not exist: Open makes it.
func (h harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	return nil, nil
}
func (h harness) HTTPClient() *http.Client         { return nil }
func (h harness) SupportsCopy() bool               { return true }
func (h harness) SupportsNonSlashDelimiters() bool { return true }
func (h harness) Close()                           {}

func TestBucket_DoesWhatGoCDKAsksOfEveryDriver(t *testing.T) {
	drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
		return harness{t.TempDir()}, nil
	}, nil)
}

// newBucket opens a bucket in a new folder.
func newBucket(t testing.TB) (*blob.Bucket, string) {
	t.Helper()
	dir := t.TempDir()
	bucket, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bucket.Close() })
	return bucket, dir
}

func write(t testing.TB, bucket *blob.Bucket, key, text string) {
	t.Helper()
	if err := bucket.WriteAll(t.Context(), key, []byte(text), nil); err != nil {
		t.Fatal(err)
	}
}

// keys lists the bucket in pages of the given size.
func keys(t testing.TB, bucket *blob.Bucket, size int, opts *blob.ListOptions) []string {
	t.Helper()
	var all []string
	for token := blob.FirstPageToken; token != nil; {
		page, next, err := bucket.ListPage(t.Context(), token, size, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range page {
			all = append(all, object.Key)
		}
		token = next
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
	bucket, dir := newBucket(t)
	const key = "1a2b3c4d/1a2b3c4d.2020-06-20_21-33-24.jpg"
	opts := &blob.WriterOptions{ContentType: "image/jpeg"}
	if err := bucket.WriteAll(t.Context(), key, []byte("the bytes"), opts); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, key))
	if err != nil || string(got) != "the bytes" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if all := files(t, dir); len(all) != 1 {
		t.Errorf("there are %q, want one file", all)
	}
	f, err := os.Open(filepath.Join(dir, key))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := getAttribute(f); len(text) > 0 || err != nil {
		t.Errorf("it has the attributes %q, %v", text, err)
	}
}

func TestAttributes_AFileThatACopyBroughtHasTheTypeOfItsName(t *testing.T) {
	bucket, dir := newBucket(t)
	if err := os.WriteFile(filepath.Join(dir, "a.jpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := bucket.Attributes(t.Context(), "a.jpg")
	if err != nil || a.ContentType != "image/jpeg" {
		t.Errorf("attributes: got %v, %v, want image/jpeg", a, err)
	}
}

func TestOpen_MakesTheFolderAndThoseAboveIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // missing, then there
		bucket, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		write(t, bucket, "key", "x")
		bucket.Close()
	}
	if _, err := Open(filepath.Join(dir, "key")); err == nil {
		t.Error("a file was opened as a bucket")
	}
}

func TestSymlinks_DoNotLeadOutOfTheFolder(t *testing.T) {
	bucket, dir := newBucket(t)
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
		if got, err := bucket.ReadAll(t.Context(), key); err == nil {
			t.Errorf("%s: read %q", key, got)
		}
	}
	if err := bucket.WriteAll(t.Context(), "folder/new", []byte("x"), nil); err == nil {
		t.Error("wrote through a link")
	}
	write(t, bucket, "file", "replaced")
	if got, _ := os.ReadFile(filepath.Join(outside, "secret")); string(got) != "secret" {
		t.Errorf("the file outside is now %q", got)
	}
	if all := files(t, outside); len(all) != 1 {
		t.Errorf("outside there are %q", all)
	}
}

func TestIfNotExist_OneOfManyWritersWinsAcrossBuckets(t *testing.T) {
	dir := t.TempDir()
	const writers, rounds = 8, 20
	buckets := make([]*blob.Bucket, writers)
	for i := range buckets {
		bucket, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer bucket.Close()
		buckets[i] = bucket
	}
	for round := range rounds {
		key := fmt.Sprint("round/", round)
		var winner atomic.Int64
		var wins atomic.Int32
		var wg sync.WaitGroup
		for i, bucket := range buckets {
			wg.Go(func() {
				err := bucket.WriteAll(t.Context(), key, fmt.Append(nil, i), &blob.WriterOptions{IfNotExist: true})
				switch {
				case err == nil:
					wins.Add(1)
					winner.Store(int64(i))
				case gcerrors.Code(err) != gcerrors.FailedPrecondition:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := buckets[0].ReadAll(t.Context(), key)
		if err != nil || wins.Load() != 1 || string(got) != fmt.Sprint(winner.Load()) {
			t.Fatalf("%d won, the last was %d, the blob is %q, %v", wins.Load(), winner.Load(), got, err)
		}
	}
	if all := files(t, dir); len(all) != rounds {
		t.Errorf("%d files are there, want %d: %q", len(all), rounds, all)
	}
}

func TestKeys_ABlobIsNotAFolderToo(t *testing.T) {
	bucket, _ := newBucket(t)
	write(t, bucket, "a", "x")
	if err := bucket.WriteAll(t.Context(), "a/b", []byte("y"), nil); err == nil {
		t.Error("a/b was written into the blob a")
	}
	if _, err := bucket.ReadAll(t.Context(), "a/b"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("reading a/b: %v", err)
	}
	write(t, bucket, "c/d", "x")
	for _, key := range []string{"c", "c/"} {
		if err := bucket.Delete(t.Context(), key); gcerrors.Code(err) != gcerrors.NotFound {
			t.Errorf("deleting the folder %q: %v", key, err)
		}
	}
}

func TestWrite_AFolderRemovedByHandIsMadeAgain(t *testing.T) {
	bucket, dir := newBucket(t)
	write(t, bucket, "a/b/c", "x")
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	write(t, bucket, "a/b/d", "y")
	if got := keys(t, bucket, 10, nil); !slices.Equal(got, []string{"a/b/d"}) {
		t.Errorf("the bucket lists %q", got)
	}
}

func TestWrite_AWrongMD5LeavesNothing(t *testing.T) {
	bucket, dir := newBucket(t)
	opts := &blob.WriterOptions{ContentMD5: make([]byte, 16)}
	err := bucket.WriteAll(t.Context(), "a/b.jpg", []byte("not that"), opts)
	if gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("the write said %v", err)
	}
	if all := files(t, dir); len(all) > 0 {
		t.Errorf("left behind: %q", all)
	}
}

func TestRead_GoesOnWithTheBytesItBeganWith(t *testing.T) {
	bucket, _ := newBucket(t)
	before := strings.Repeat("old", 10_000)
	write(t, bucket, "key", before)
	r, err := bucket.NewReader(t.Context(), "key", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, bucket, "key", strings.Repeat("new", 20_000))
	var got bytes.Buffer
	if _, err := r.WriteTo(&got); err != nil || got.String() != before {
		t.Errorf("read %d bytes, %v", got.Len(), err)
	}
}

func TestSweep_RemovesWhatACrashLeftAndNothingElse(t *testing.T) {
	bucket, dir := newBucket(t)
	write(t, bucket, "a/blob.jpg", "x")
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
	if got := keys(t, bucket, 10, nil); !slices.Equal(got, []string{"a/blob.jpg"}) {
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
	b.Run("blob", func(b *testing.B) {
		bucket, _ := newBucket(b)
		opts := &blob.WriterOptions{ContentType: "image/jpeg", IfNotExist: true}
		b.SetBytes(int64(len(photograph)))
		for n := 0; b.Loop(); n++ {
			if err := bucket.WriteAll(b.Context(), fmt.Sprintf("device/%d.jpg", n), photograph, opts); err != nil {
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

func TestList_AFolderThatWasMovedOrReplacedIsNotAccessible(t *testing.T) {
	bucket, dir := newBucket(t)
	accessible := func(want bool, what string) {
		t.Helper()
		if ok, err := bucket.IsAccessible(t.Context()); ok != want || err != nil {
			t.Errorf("%s: got accessible %v, %v, want %v", what, ok, err, want)
		}
	}
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
	bucket, err := OpenExisting(dir)
	if err != nil {
		t.Fatalf("a folder: got %v, want no error", err)
	}
	defer bucket.Close()
	write(t, bucket, "a/b.jpg", "x")
}
