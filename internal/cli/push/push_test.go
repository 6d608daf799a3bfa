package push

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/cli/fingerprint"
	"tagma/internal/photo"
)

const night = "0a5bb6f4.2020-06-20_20-00-00.jpg"

func TestBatches_NoneIsBeyondTheLimitsAndNoneIsLost(t *testing.T) {
	scan := make([]*photograph, 0, 40)
	for n := range 40 {
		scan = append(scan, &photograph{File: fingerprint.File{Path: fmt.Sprint(n), Size: int64(n%7) * 1000}})
	}
	scan[9].Size = 50_000 // alone beyond it, which the server may say
	for _, limit := range []struct {
		files int
		bytes int64
	}{{1, 1 << 30}, {7, 20_000}, {100, 12_000}, {100, 1 << 30}} {
		n := 0
		for _, batch := range batches(scan, limit.files, limit.bytes) {
			bytes := int64(formBytes)
			for _, p := range batch {
				if p != scan[n] {
					t.Fatalf("%v: %s is out of order", limit, p.Path)
				}
				n++
				bytes += p.Size + headBytes
			}
			if len(batch) == 0 || len(batch) > limit.files || len(batch) > 1 && bytes > limit.bytes {
				t.Errorf("%v: a batch of %d files and %d bytes", limit, len(batch), bytes)
			}
		}
		if n != len(scan) {
			t.Errorf("batches with the limit %v: got %d files, want %d", limit, n, len(scan))
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
	scan, err := find(t.Context(), []string{filepath.Join(folder, "top"), filepath.Join(folder, "a"), folder})
	if err != nil || len(scan.photographs) != 1 {
		t.Fatalf("find: got %+v, error %v, want 1 photograph", scan, err)
	}
	want := photo.Name{Device: "0a5bb6f4", TakenAt: 1592683200000}
	if p := scan.photographs[0]; p.name != want || p.Size != 3 {
		t.Errorf("photograph: got %+v, want name %v and 3 bytes", p, want)
	}
}
