package fingerprint

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/cli/progress"
)

// newFile is a file on the disk, changed so long ago.
func newFile(t *testing.T, folder, content string, ago time.Duration) *File {
	t.Helper()
	path := filepath.Join(folder, "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := time.Now().Add(-ago)
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFile(path, info)
	return &f
}

// take takes the fingerprint of a file, and tells whether it was read for it.
func take(t *testing.T, f *File, cache string) (fromFile bool) {
	t.Helper()
	var output bytes.Buffer
	if err := Compute(t.Context(), []*File{f}, Options{Cache: cache, Output: progress.New(&output)}); err != nil || f.Err != nil {
		t.Fatal(err, f.Err)
	}
	return strings.Contains(output.String(), "reading 1 of 1 files")
}

func TestTake_AFileIsReadAgainOnlyIfItChanged(t *testing.T) {
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder", "cache.db")
	for _, step := range []struct {
		what, content string
		ago           time.Duration
	}{
		{"a new file", "abc", time.Hour},
		{"another size", "abcd", time.Hour},
		{"another time", "abce", 30 * time.Minute},
	} {
		f := newFile(t, folder, step.content, step.ago)
		if !take(t, f, cache) {
			t.Errorf("%s: it is not read", step.what)
		}
		sum := md5.Sum([]byte(step.content))
		first := hex.EncodeToString(sum[:])
		if take(t, f, cache) || f.MD5 != first {
			t.Errorf("%s: it is read twice, or %s is not %s", step.what, f.MD5, first)
		}
	}
}

func TestTake_AFileThatWasJustWrittenIsNotTrusted(t *testing.T) {
	f, cache := newFile(t, t.TempDir(), "abc", 0), filepath.Join(t.TempDir(), "cache.db")
	for range 2 {
		if !take(t, f, cache) {
			t.Error("it is not read")
		}
	}
}

func TestTake_ContentUnderTheOldSizeAndTimeIsRead(t *testing.T) {
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache.db")
	before := newFile(t, folder, "abc", time.Hour)
	take(t, before, cache)
	if err := os.WriteFile(before.Path, []byte("xyz"), 0o600); err != nil {
		t.Fatal(err)
	}
	modified := time.Unix(0, before.Modified)
	if err := os.Chtimes(before.Path, modified, modified); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(before.Path)
	if err != nil {
		t.Fatal(err)
	}
	after := NewFile(before.Path, info)
	if after.changed == 0 {
		after.changed = 1 // a system without the time of the last change
	}
	if !take(t, &after, cache) || after.MD5 == before.MD5 {
		t.Errorf("file with other bytes: got %+v from the cache, want it read", after)
	}
}

func TestTake_AWrongEntryIsCorrectedByReadingAgain(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache.db")
	f := newFile(t, t.TempDir(), "abc", time.Hour)
	take(t, f, cache)
	right := f.MD5
	opened, err := openCache(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	f.MD5 = strings.Repeat("0", 32)
	opened.put(t.Context(), f)
	opened.close()
	if take(t, f, cache); f.MD5 == right || !f.Cached {
		t.Fatalf("the wrong entry: got %+v, want the MD5 of the entry", f)
	}
	if err := Compute(t.Context(), []*File{f}, Options{Cache: cache, Reread: true, Output: progress.New(&bytes.Buffer{})}); err != nil || f.MD5 != right || f.Cached {
		t.Errorf("reading again: got %+v, error %v, want MD5 %s", f, err, right)
	}
	if take(t, f, cache) || f.MD5 != right {
		t.Errorf("afterwards: got %+v, want MD5 %s from the cache", f, right)
	}
}

func TestTake_ADamagedCacheIsMadeAnew(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache.db")
	if err := os.WriteFile(cache, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	f := newFile(t, t.TempDir(), "abc", time.Hour)
	if !take(t, f, cache) {
		t.Error("first time: got a fingerprint from a damaged cache, want the file read")
	}
	if take(t, f, cache) {
		t.Error("second time: got the file read again, want its fingerprint from the new cache")
	}
}

func TestTake_WithoutACacheEverythingIsRead(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cache.db")
	if err := os.WriteFile(broken, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{"", broken, filepath.Join(broken, "below")} {
		f := newFile(t, t.TempDir(), "abc", time.Hour)
		if !take(t, f, cache) || f.MD5 != "900150983cd24fb0d6963f7d28e17f72" {
			t.Errorf("cache %q: got %+v, want the MD5 of abc", cache, f)
		}
	}
}

func TestTake_AFileThatCannotBeReadSaysSo(t *testing.T) {
	f := &File{Path: filepath.Join(t.TempDir(), "nowhere")}
	if err := Compute(t.Context(), []*File{f}, Options{Output: progress.New(&bytes.Buffer{})}); err != nil || f.Err == nil || f.MD5 != "" {
		t.Errorf("missing file: got error %v and %+v, want the error in the file", err, f)
	}
}
