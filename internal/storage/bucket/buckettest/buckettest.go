// Package buckettest owns the tests of the promises of bucket.Bucket, for the tests
// of each implementation.
//
// Package buckettest does not own tests of one implementation, such as durability on
// the local disk, or links to files in S3.
package buckettest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"tagma/internal/storage/bucket"
)

// Run tests the buckets of open. Each call of open returns an empty bucket, and has
// the bucket closed at the end of the test.
func Run(t *testing.T, open func(t *testing.T) bucket.Bucket) {
	for name, test := range map[string]func(*testing.T, bucket.Bucket){
		"ReadWholeAndInParts":          readWholeAndInParts,
		"EmptyFile":                    emptyFile,
		"MissingFile":                  missingFile,
		"InvalidKey":                   invalidKey,
		"OddKey":                       oddKey,
		"Concurrent":                   concurrent,
		"ReplacedWhileRead":            replacedWhileRead,
		"Delete":                       deleted,
		"Copy":                         copied,
		"Check":                        checked,
		"ListByPrefix":                 listByPrefix,
		"ListWhileFilesChange":         listWhileFilesChange,
		"ListEnds":                     listEnds,
		"CreateReplacesNothing":        createReplacesNothing,
		"CreateRace":                   createRace,
		"WriteReplaces":                writeReplaces,
		"WriteRace":                    writeRace,
		"WriteIsInvisibleUntilTheEnd":  writeIsInvisibleUntilTheEnd,
		"WriteOfASourceThatFails":      writeOfASourceThatFails,
		"WriteAfterTheEndOfAContext":   writeAfterTheEndOfAContext,
		"WriteOfALargeFileStreams":     writeOfALargeFileStreams,
		"WriteOfASizeAroundAPartOfS3s": writeOfASizeAroundAPartOfS3s,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// write writes a file.
func write(t *testing.T, b bucket.Bucket, key, content string) {
	t.Helper()
	if err := b.Write(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatalf("write %q: got %v, want no error", key, err)
	}
}

// wantFile fails unless the file of key has the content want.
func wantFile(t *testing.T, b bucket.Bucket, key, want string) {
	t.Helper()
	if got, err := bucket.ReadAll(t.Context(), b, key); string(got) != want || err != nil {
		t.Errorf("file %q: got %d bytes %.20q, %v, want %d bytes %.20q", key, len(got), got, err, len(want), want)
	}
}

// wantMissing fails if key has a file.
func wantMissing(t *testing.T, b bucket.Bucket, key string) {
	t.Helper()
	if exists, err := bucket.Exists(t.Context(), b, key); exists || err != nil {
		t.Errorf("file %q: got exists %t, %v, want false", key, exists, err)
	}
}

// list returns the listed files, sorted by key.
func list(t *testing.T, b bucket.Bucket, prefix string) []bucket.Info {
	t.Helper()
	var all []bucket.Info
	for file, err := range b.List(t.Context(), prefix) {
		if err != nil {
			t.Fatalf("list %q: got %v, want no error", prefix, err)
		}
		all = append(all, file)
	}
	slices.SortFunc(all, func(a, b bucket.Info) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// wantKeys fails unless a list has exactly the keys want, each once.
func wantKeys(t *testing.T, b bucket.Bucket, prefix string, want ...string) {
	t.Helper()
	var got []string
	for _, file := range list(t, b, prefix) {
		got = append(got, file.Key)
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("keys with the prefix %q: got %q, want %q", prefix, got, want)
	}
}

func readWholeAndInParts(t *testing.T, b bucket.Bucket) {
	const key, content = "images/a/b.jpg", "0123456789"
	write(t, b, key, content)
	r, err := b.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open: got %v, want a reader", err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if string(got) != content || err != nil {
		t.Errorf("read: got %q, %v, want %q", got, err, content)
	}
	for _, c := range []struct {
		offset         int64
		whence         int
		length, at     int64
		want, wantRest string
	}{
		{0, io.SeekStart, 3, 0, "012", "3456789"},
		{4, io.SeekStart, 2, 4, "45", "6789"},
		{-3, io.SeekEnd, 1, 7, "7", "89"},
		{0, io.SeekEnd, 1, 10, "", ""},
		{5, io.SeekEnd, 1, 15, "", ""},
		{-15, io.SeekCurrent, 100, 0, content, ""},
		{-2, io.SeekCurrent, 0, 8, "", "89"},
		{0, io.SeekCurrent, 5, 10, "", ""},
		{1000, io.SeekStart, 5, 1000, "", ""},
		{0, io.SeekStart, 10, 0, content, ""},
	} {
		at, err := r.Seek(c.offset, c.whence)
		if at != c.at || err != nil {
			t.Fatalf("seek %d from %d: got %d, %v, want %d", c.offset, c.whence, at, err, c.at)
		}
		got, err := io.ReadAll(io.LimitReader(r, c.length))
		rest, restErr := io.ReadAll(r)
		if string(got) != c.want || string(rest) != c.wantRest || err != nil || restErr != nil {
			t.Errorf("read after seek %d from %d: got %q, %v and %q, %v, want %q and %q", c.offset, c.whence, got, err, rest, restErr, c.want, c.wantRest)
		}
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek to -1: got no error, want one")
	}
	stat, err := b.Stat(t.Context(), key)
	if opened := r.Info(); err != nil || stat != opened {
		t.Errorf("stat: got %+v, %v, want %+v as of the open file", stat, err, opened)
	}
	if stat.Key != key || stat.Size != int64(len(content)) || time.Since(stat.ModTime).Abs() > time.Minute {
		t.Errorf("stat: got %+v, want %q with %d bytes, modified now", stat, key, len(content))
	}
}

func emptyFile(t *testing.T, b bucket.Bucket) {
	write(t, b, "a/empty", "")
	wantFile(t, b, "a/empty", "")
	if err := b.Create(t.Context(), "a/empty", strings.NewReader("x")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over an empty file: got %v, want %v", err, fs.ErrExist)
	}
	if got := list(t, b, ""); len(got) != 1 || got[0].Key != "a/empty" || got[0].Size != 0 {
		t.Errorf("list: got %+v, want one empty file", got)
	}
}

func missingFile(t *testing.T, b bucket.Bucket) {
	write(t, b, "images/there.jpg", "x")
	for _, key := range []string{"images/missing.jpg", "images", "images/there.jpg.thumbnail", "images/there.jpg/x", "missing/missing.jpg"} {
		_, open := b.Open(t.Context(), key)
		_, stat := b.Stat(t.Context(), key)
		for method, err := range map[string]error{
			"Open": open, "Stat": stat, "Delete": b.Delete(t.Context(), key), "Copy": b.Copy(t.Context(), "copy", key),
		} {
			if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrExist) || !strings.Contains(fmt.Sprint(err), key[strings.LastIndex(key, "/")+1:]) {
				t.Errorf("%s of %q: got %v, want %v with the key", method, key, err, fs.ErrNotExist)
			}
		}
		wantMissing(t, b, key)
	}
	wantKeys(t, b, "", "images/there.jpg")
}

func invalidKey(t *testing.T, b bucket.Bucket) {
	write(t, b, "a", "x")
	for _, key := range []string{"", ".", "..", "/a", "a/", "a//b", "../a", "a/../a", "a/..", "./a", "a\nb", "a\x00", "\x7f", "\xbd\xb2", strings.Repeat("x/", 512) + "x"} {
		_, open := b.Open(t.Context(), key)
		_, stat := b.Stat(t.Context(), key)
		for method, err := range map[string]error{
			"Open": open, "Stat": stat, "Delete": b.Delete(t.Context(), key),
			"Create": b.Create(t.Context(), key, strings.NewReader("x")), "Write": b.Write(t.Context(), key, strings.NewReader("x")),
			"Copy from": b.Copy(t.Context(), "copy", key), "Copy to": b.Copy(t.Context(), key, "a"),
		} {
			if !errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of %q: got %v, want %v", method, key, err, fs.ErrInvalid)
			}
		}
	}
	wantKeys(t, b, "", "a")
}

func oddKey(t *testing.T, b bucket.Bucket) {
	keys := []string{
		"a b", "a+b", "a%20b", "a%b", "a%2Fb", "ä/☺.jpg", "a?b=c&d", "a#b", "a=b;c,d", `quotes "'`, "(a)!*~", "colon:and|pipe", "..a/...", "CAPITALS", "capitals",
		`back\slash\\es`, `..\dots`, "<angles>", "{braces}[brackets]^`$@", "12345", "__0x2f__", "-dash", "~tilde", " space ",
		"long/" + strings.Repeat("x", 200), strings.Repeat("y", 250), strings.Repeat(strings.Repeat("z", 200)+"/", 5) + "end",
	}
	for _, key := range keys {
		write(t, b, key, key)
	}
	wantKeys(t, b, "", slices.Clone(keys)...)
	for _, key := range keys {
		wantFile(t, b, key, key)
		wantKeys(t, b, key, key)
		if err := b.Copy(t.Context(), "copy", key); err != nil {
			t.Errorf("copy %q: got %v, want no error", key, err)
			continue
		}
		wantFile(t, b, "copy", key)
		if err := b.Delete(t.Context(), key); err != nil {
			t.Errorf("delete %q: got %v, want no error", key, err)
		}
	}
	wantKeys(t, b, "", "copy")
}

func concurrent(t *testing.T, b bucket.Bucket) {
	const count = 20
	content := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, 4096) }
	for what, do := range map[string]func(n int) error{
		"write and read": func(n int) error {
			key := fmt.Sprintf("folder%d/key%d", n%3, n)
			if err := bucket.WriteAll(t.Context(), b, key, content(n)); err != nil {
				return err
			}
			got, err := bucket.ReadAll(t.Context(), b, key)
			if !bytes.Equal(got, content(n)) {
				err = errors.Join(err, fmt.Errorf("file %s: got %d bytes, want %d times %d", key, len(got), len(content(n)), n))
			}
			return err
		},
	} {
		var group errgroup.Group
		for n := range count {
			group.Go(func() error { return do(n) })
		}
		if err := group.Wait(); err != nil {
			t.Errorf("%s, %d at once: got %v, want no error", what, count, err)
		}
	}
}

// replacedWhileRead accepts the old bytes and an error, but no new bytes.
func replacedWhileRead(t *testing.T, b bucket.Bucket) {
	before := strings.Repeat("old", 300_000)
	write(t, b, "replaced", before)
	write(t, b, "deleted", before)
	for key, change := range map[string]func() error{
		"replaced": func() error { return bucket.WriteAll(t.Context(), b, "replaced", bytes.Repeat([]byte("new"), 400_000)) },
		"deleted":  func() error { return b.Delete(t.Context(), "deleted") },
	} {
		r, err := b.Open(t.Context(), key)
		if err != nil {
			t.Fatalf("open: got %v, want a reader", err)
		}
		defer r.Close()
		if err := change(); err != nil {
			t.Fatalf("change while the file is open: got %v, want no error", err)
		}
		if got, err := io.ReadAll(r); err == nil && string(got) != before || !strings.HasPrefix(before, string(got)) {
			t.Errorf("read of a %s file: got %d bytes, %v, want the old bytes or an error", key, len(got), err)
		}
		if _, err := r.Seek(3, io.SeekStart); err != nil {
			t.Errorf("seek in a %s file: got %v, want no error", key, err)
		}
		if got, err := io.ReadAll(r); err == nil && string(got) != before[3:] || !strings.HasPrefix(before, string(got)) {
			t.Errorf("read of a %s file after a seek: got %d bytes, %v, want the old bytes or an error", key, len(got), err)
		}
	}
}

func deleted(t *testing.T, b bucket.Bucket) {
	for _, key := range []string{"images/a.jpg", "images/a.thumbnail.jpg", "images/b.jpg"} {
		write(t, b, key, "x")
	}
	if err := b.Delete(t.Context(), "images/a.jpg"); err != nil {
		t.Fatalf("delete: got %v, want no error", err)
	}
	wantKeys(t, b, "", "images/a.thumbnail.jpg", "images/b.jpg")
	wantMissing(t, b, "images/a.jpg")
	if err := b.Delete(t.Context(), "images/a.jpg"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("delete again: got %v, want %v", err, fs.ErrNotExist)
	}
	if err := b.Create(t.Context(), "images/a.jpg", strings.NewReader("a new one")); err != nil {
		t.Errorf("create after the deletion: got %v, want no error", err)
	}
	wantFile(t, b, "images/a.jpg", "a new one")
	many := []string{"images/a.jpg", "images/missing.jpg", "images/b.jpg"}
	if n, err := bucket.Delete(t.Context(), b, many); n != 2 || err != nil {
		t.Errorf("delete of three files, one missing: got %d, %v, want 2", n, err)
	}
}

func copied(t *testing.T, b bucket.Bucket) {
	write(t, b, "incoming/a", "the bytes")
	write(t, b, "existing", "other bytes")
	for _, to := range []string{"new/folder/a", "existing"} {
		if err := b.Copy(t.Context(), to, "incoming/a"); err != nil {
			t.Errorf("copy to %q: got %v, want no error", to, err)
		}
		wantFile(t, b, to, "the bytes")
	}
	wantFile(t, b, "incoming/a", "the bytes")
	if err := b.Copy(t.Context(), "existing", "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("copy of a missing file: got %v, want %v", err, fs.ErrNotExist)
	}
	wantFile(t, b, "existing", "the bytes")
	write(t, b, "incoming/a", "changed")
	wantFile(t, b, "existing", "the bytes")
}

func checked(t *testing.T, b bucket.Bucket) {
	for _, what := range []string{"empty bucket", "bucket with a file"} {
		if err := b.Check(t.Context()); err != nil {
			t.Errorf("check of an %s: got %v, want no error", what, err)
		}
		write(t, b, "a/b", "x")
	}
}
