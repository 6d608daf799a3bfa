package push

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/photo"
	"tagma/internal/progress"
)

// found is a photograph on the disk, changed so long ago.
func found(t *testing.T, folder, name, content string, ago time.Duration) *photograph {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := time.Now().Add(-ago)
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
	all, err := find(t.Context(), []string{path})
	if err != nil || len(all.photographs) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return all.photographs[0]
}

// read takes the fingerprint of one photograph, and tells whether its file was
// read for it.
func read(t *testing.T, p *photograph, cache string) (md5 string, fromFile bool) {
	t.Helper()
	var said bytes.Buffer
	if err := fingerprint(t.Context(), []*photograph{p}, Options{Cache: cache, Output: progress.To(&said)}); err != nil {
		t.Fatal(err)
	}
	return p.md5, strings.Contains(said.String(), "reading 1 photograph")
}

const night = "0a5bb6f4.2020-06-20_20-00-00.jpg"

func TestCache_AFileIsReadAgainOnlyIfItChanged(t *testing.T) {
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "new", "folder", "cache.db")
	first, fromFile := read(t, found(t, folder, night, "abc", time.Hour), cache)
	if !fromFile || first != "900150983cd24fb0d6963f7d28e17f72" {
		t.Errorf("%s, from the file: %v", first, fromFile)
	}
	p := found(t, folder, night, "abc", time.Hour)
	p.modified = mustStat(t, p.path)
	for name, test := range map[string]struct {
		content string
		ago     time.Duration
	}{
		"another size": {"abcd", time.Hour}, "another time": {"xyz", 30 * time.Minute},
	} {
		changed := found(t, folder, night, test.content, test.ago)
		if _, fromFile := read(t, changed, cache); !fromFile {
			t.Errorf("%s: it is not read", name)
		}
		again := *changed
		again.md5 = ""
		if md5, fromFile := read(t, &again, cache); fromFile || md5 != changed.md5 {
			t.Errorf("%s: it is read twice, or %s is not %s", name, md5, changed.md5)
		}
	}
}

func mustStat(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.ModTime().UnixNano()
}

func TestCache_AFileThatWasJustWrittenIsNotTrusted(t *testing.T) {
	folder, cache := t.TempDir(), filepath.Join(t.TempDir(), "cache.db")
	p := found(t, folder, night, "abc", 0)
	for range 2 {
		again := *p
		if _, fromFile := read(t, &again, cache); !fromFile {
			t.Error("it is not read")
		}
	}
}

func TestCache_WithoutOneEverythingIsRead(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "cache.db")
	if err := os.WriteFile(broken, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cache := range []string{"", broken, filepath.Join(broken, "below")} {
		if md5, fromFile := read(t, found(t, t.TempDir(), night, "abc", time.Hour), cache); !fromFile || md5 == "" {
			t.Errorf("%q: %s, %v", cache, md5, fromFile)
		}
	}
}

func TestBatches_NoneIsBeyondTheLimitsAndNoneIsLost(t *testing.T) {
	all := make([]*photograph, 0, 40)
	for n := range 40 {
		all = append(all, &photograph{path: fmt.Sprint(n), size: int64(n%7) * 1000})
	}
	all[9].size = 50_000 // alone beyond it, which the server may say
	for _, limit := range []struct {
		files int
		bytes int64
	}{{1, 1 << 30}, {7, 20_000}, {100, 12_000}, {100, 1 << 30}} {
		n := 0
		for _, batch := range batches(all, limit.files, limit.bytes) {
			bytes := int64(formBytes)
			for _, p := range batch {
				if p != all[n] {
					t.Fatalf("%v: %s is out of order", limit, p.path)
				}
				n++
				bytes += p.size + headBytes
			}
			if len(batch) == 0 || len(batch) > limit.files || len(batch) > 1 && bytes > limit.bytes {
				t.Errorf("%v: a batch of %d files and %d bytes", limit, len(batch), bytes)
			}
		}
		if n != len(all) {
			t.Errorf("%v: %d of %d", limit, n, len(all))
		}
	}
}

func TestFind_LinksToFilesAreFollowedAndAFileIsFoundOnce(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(folder, "object")
	if err := os.WriteFile(target, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		filepath.Join(folder, "a", "b", strings.ToUpper(night)): target,
		filepath.Join(folder, "a", "loop"):                      folder,
		filepath.Join(folder, "top"):                            filepath.Join(folder, "a"),
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	all, err := find(t.Context(), []string{filepath.Join(folder, "top"), filepath.Join(folder, "a"), folder})
	if err != nil || len(all.photographs) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	want := photo.Name{Device: "0a5bb6f4", TakenAt: 1592683200000}
	if p := all.photographs[0]; p.name != want || p.size != 3 {
		t.Errorf("%+v", p)
	}
}
