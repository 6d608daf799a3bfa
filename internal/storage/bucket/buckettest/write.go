package buckettest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sync/errgroup"

	"tagma/internal/storage/bucket"
)

// large is a size above the limit from which S3 receives a file in parts.
const large = 17 << 20

// random returns a source of random bytes without methods other than Read.
func random(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{}), size)
}

// method is Create or Write of a bucket.
type method func(ctx context.Context, key string, r io.Reader) error

func methods(b bucket.Bucket) map[string]method {
	return map[string]method{"Create": b.Create, "Write": b.Write}
}

func createReplacesNothing(t *testing.T, b bucket.Bucket) {
	for key, size := range map[string]int{"images/small.jpg": 100, "images/large.jpg": large} {
		first := strings.Repeat("1", size)
		if err := b.Create(t.Context(), key, strings.NewReader(first)); err != nil {
			t.Errorf("create %q: got %v, want no error", key, err)
		}
		if err := b.Create(t.Context(), key, strings.NewReader(strings.Repeat("2", size))); !errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("create %q again: got %v, want %v", key, err, fs.ErrExist)
		}
		wantFile(t, b, key, first)
	}
}

// race writes eight contents at once. race returns the number of the content in the
// file afterwards, and the writes that succeeded.
func race(t *testing.T, b bucket.Bucket, key string, write method) (last int, succeeded []bool) {
	t.Helper()
	content := func(n int) []byte { return bytes.Repeat([]byte{'0' + byte(n)}, 100_000) }
	succeeded = make([]bool, 8)
	var group errgroup.Group
	for n := range succeeded {
		group.Go(func() error {
			succeeded[n] = write(t.Context(), key, bytes.NewReader(content(n))) == nil
			return nil
		})
	}
	_ = group.Wait() // always nil
	got, err := bucket.ReadAll(t.Context(), b, key)
	if err != nil || len(got) == 0 || !bytes.Equal(got, content(int(got[0]-'0'))) {
		t.Fatalf("file after a race: got %d bytes %.3q, %v, want one of the contents", len(got), got, err)
	}
	return int(got[0] - '0'), succeeded
}

func createRace(t *testing.T, b bucket.Bucket) {
	for round := range 3 {
		last, succeeded := race(t, b, fmt.Sprintf("images/%d.jpg", round), b.Create)
		if n := slices.Index(succeeded, true); n != last || slices.Contains(succeeded[n+1:], true) {
			t.Errorf("creates of one file at once: got success %v and content %d, want one success, of that content", succeeded, last)
		}
	}
}

func writeRace(t *testing.T, b bucket.Bucket) {
	if _, succeeded := race(t, b, "mark", b.Write); slices.Contains(succeeded, false) {
		t.Errorf("writes of one file at once: got success %v, want all", succeeded)
	}
}

func writeReplaces(t *testing.T, b bucket.Bucket) {
	for _, content := range []string{"the first", "the second, longer", "3", "", strings.Repeat("large", large/5), "small"} {
		write(t, b, "a/b", content)
		wantFile(t, b, "a/b", content)
	}
	wantKeys(t, b, "", "a/b")
}

// probe calls look before each Read.
type probe struct {
	io.Reader
	look func()
}

func (p probe) Read(b []byte) (int, error) {
	p.look()
	return p.Reader.Read(b)
}

func writeIsInvisibleUntilTheEnd(t *testing.T, b bucket.Bucket) {
	write(t, b, "old", "the old bytes")
	looks := 0
	source := func() io.Reader {
		return probe{iotest.OneByteReader(strings.NewReader("the new bytes")), func() {
			looks++
			wantFile(t, b, "old", "the old bytes")
			wantMissing(t, b, "new")
			wantKeys(t, b, "", "old")
		}}
	}
	if err := b.Create(t.Context(), "new", source()); err != nil {
		t.Errorf("create: got %v, want no error", err)
	}
	wantFile(t, b, "new", "the new bytes")
	if err := b.Delete(t.Context(), "new"); err != nil {
		t.Errorf("delete: got %v, want no error", err)
	}
	if err := b.Write(t.Context(), "old", source()); err != nil || looks < 2*len("the new bytes") {
		t.Errorf("write: got %v after %d looks, want no error and a look for each byte", err, looks)
	}
	wantFile(t, b, "old", "the new bytes")
}

func writeOfASourceThatFails(t *testing.T, b bucket.Bucket) {
	errGone := errors.New("gone")
	for name, source := range map[string]func() io.Reader{
		"at once":        func() io.Reader { return iotest.ErrReader(errGone) },
		"after a little": func() io.Reader { return io.MultiReader(random(1000), iotest.ErrReader(errGone)) },
		"after much":     func() io.Reader { return io.MultiReader(random(large), iotest.ErrReader(errGone)) },
		"with bytes":     func() io.Reader { return iotest.DataErrReader(io.MultiReader(random(10), iotest.ErrReader(errGone))) },
		"in a check at the end": func() io.Reader {
			return bucket.CheckAtEOF(strings.NewReader("altered"), func() error { return errGone })
		},
		"in a check at the end of a large file": func() io.Reader {
			return bucket.CheckAtEOF(random(16<<20), func() error { return errGone })
		},
	} {
		write(t, b, "old", "the old bytes")
		for method, do := range methods(b) {
			if err := do(t.Context(), "new", source()); err != errGone { //nolint:errorlint // promised unchanged
				t.Errorf("%s from a source that fails %s: got %v, want %v unchanged", method, name, err, errGone)
			}
		}
		if err := b.Write(t.Context(), "old", source()); err != errGone { //nolint:errorlint // promised unchanged
			t.Errorf("Write over a file from a source that fails %s: got %v, want %v unchanged", name, err, errGone)
		}
		wantFile(t, b, "old", "the old bytes")
		wantKeys(t, b, "", "old")
	}
}

func writeAfterTheEndOfAContext(t *testing.T, b bucket.Bucket) {
	write(t, b, "old", "the old bytes")
	for _, c := range []struct {
		size     int64
		cancelAt int // the number of a read of the source; 0 is before the write
	}{{0, 0}, {0, 1}, {1000, 0}, {1000, 1}, {1000, 2}, {large, 0}, {large, 3}} {
		for _, key := range []string{"old", "new"} {
			for name, do := range methods(b) {
				ctx, cancel := context.WithCancel(t.Context())
				reads := 0
				look := func() {
					if reads == c.cancelAt {
						cancel()
					}
					reads++
				}
				look()
				if err := do(ctx, key, probe{random(c.size), look}); err == nil {
					t.Errorf("%s %q of %d bytes, context cancelled at read %d: got no error, want one", name, key, c.size, c.cancelAt)
				}
				cancel()
				wantFile(t, b, "old", "the old bytes")
			}
		}
	}
	wantKeys(t, b, "", "old")
}

func writeOfALargeFileStreams(t *testing.T, b bucket.Bucket) {
	const size = 40 << 20 // several parts in S3
	if err := b.Create(t.Context(), "bundles/weights", random(size)); err != nil {
		t.Fatalf("create: got %v, want no error", err)
	}
	want, got := sha256.New(), sha256.New()
	_, _ = io.Copy(want, random(size)) // no error: neither fails
	r, err := b.Open(t.Context(), "bundles/weights")
	if err != nil {
		t.Fatalf("open: got %v, want a reader", err)
	}
	defer r.Close()
	if n, err := io.Copy(got, r); n != size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("read: got %d bytes, %v, equal %t, want the %d bytes written", n, err, bytes.Equal(got.Sum(nil), want.Sum(nil)), size)
	}
	if err := b.Create(t.Context(), "bundles/weights", random(size)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create again: got %v, want %v", err, fs.ErrExist)
	}
}

// writeOfASizeAroundAPartOfS3s writes files around 16 MiB, because S3 receives files
// from 16 MiB on in parts. Another file has a multiple of 8 MiB, the size of a part.
func writeOfASizeAroundAPartOfS3s(t *testing.T, b bucket.Bucket) {
	for _, size := range []int64{16<<20 - 1, 16 << 20, 24 << 20} {
		key := fmt.Sprint("size/", size)
		if err := b.Write(t.Context(), key, random(size)); err != nil {
			t.Errorf("write of %d bytes: got %v, want no error", size, err)
			continue
		}
		want, err := io.ReadAll(random(size))
		if err != nil {
			t.Fatalf("random bytes: got %v, want no error", err)
		}
		if got, err := bucket.ReadAll(t.Context(), b, key); !bytes.Equal(got, want) || err != nil {
			t.Errorf("file of %d bytes: got %d bytes, %v, equal %t, want the bytes written", size, len(got), err, bytes.Equal(got, want))
		}
	}
}
