package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	"tagma/internal/testing/testenv"
)

// onBoth runs a test on an empty store of each kind: what Tagma leans on must
// be so in all of them.
func onBoth(t *testing.T, test func(t *testing.T, bucket *blob.Bucket)) {
	t.Helper()
	t.Run("local folder", func(t *testing.T) { test(t, open(t, settings(t, "")).Bucket) })
	t.Run("S3", func(t *testing.T) {
		server := testenv.S3(t)
		server.Enter(t)
		c := settings(t, "")
		c.Storage = server.URL()
		test(t, open(t, c).Bucket)
	})
}

// photographs is what files of photographs are written with.
var photographs = &blob.WriterOptions{ContentType: "image/jpeg", IfNotExist: true}

func put(t *testing.T, bucket *blob.Bucket, key, content string) {
	t.Helper()
	if err := bucket.Upload(t.Context(), key, strings.NewReader(content), photographs); err != nil {
		t.Fatal(err)
	}
}

func TestFiles_WhatWasWrittenIsReadBackInWholeAndInParts(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		const key, content = "images/a/b.jpg", "0123456789"
		before := time.Now().Add(-2 * time.Second) // some stores know whole seconds only
		put(t, bucket, key, content)
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, -1, content}, {0, 3, "012"}, {4, 2, "45"}, {7, -1, "789"}, {8, 100, "89"}, {0, 0, ""}, {5, 0, ""}} {
			reader, err := bucket.NewRangeReader(t.Context(), key, c.offset, c.length, nil)
			if err != nil {
				t.Fatalf("range %d, %d: got %v, want a reader", c.offset, c.length, err)
			}
			got, err := io.ReadAll(reader)
			if string(got) != c.want || err != nil || reader.Size() != int64(len(content)) || reader.ContentType() != "image/jpeg" {
				t.Errorf("range %d, %d: got %q, %v, size %d, type %s, want %q, size %d, type image/jpeg", c.offset, c.length, got, err, reader.Size(), reader.ContentType(), c.want, len(content))
			}
			_ = reader.Close()
		}
		got, err := bucket.Attributes(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if got.ContentType != "image/jpeg" || got.Size != int64(len(content)) || got.ETag == "" ||
			got.ModTime.Before(before) || got.ModTime.After(time.Now().Add(2*time.Second)) {
			t.Errorf("attributes: got %+v, want image/jpeg of %d bytes with an ETag, modified now", got, len(content))
		}
		if sum := md5.Sum([]byte(content)); got.MD5 != nil && !bytes.Equal(got.MD5, sum[:]) { // not every store has one
			t.Errorf("the MD5 is %x", got.MD5)
		}
	})
}

func TestFiles_OneThatIsMissingIsToldAsSuch(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		put(t, bucket, "images/there.jpg", "x")
		for _, key := range []string{"images/missing.jpg", "images", "images/there.jpg.thumbnail", "missing/missing.jpg"} {
			_, read := bucket.ReadAll(t.Context(), key)
			_, attributes := bucket.Attributes(t.Context(), key)
			exists, err := bucket.Exists(t.Context(), key)
			if gcerrors.Code(read) != gcerrors.NotFound || gcerrors.Code(attributes) != gcerrors.NotFound || exists || err != nil {
				t.Errorf("%s: got read %v, attributes %v, exists %t, %v, want not found", key, read, attributes, exists, err)
			}
			if err := bucket.Delete(t.Context(), key); gcerrors.Code(err) != gcerrors.NotFound {
				t.Errorf("%s is deleted: %v", key, err)
			}
		}
	})
}

func TestFiles_NothingIsEverOverwritten(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		put(t, bucket, "images/a.jpg", "the first")
		err := bucket.Upload(t.Context(), "images/a.jpg", strings.NewReader("another"), photographs)
		if gcerrors.Code(err) != gcerrors.FailedPrecondition {
			t.Errorf("the second is taken: %v", err)
		}
		if got, err := bucket.ReadAll(t.Context(), "images/a.jpg"); string(got) != "the first" || err != nil {
			t.Errorf("file after a second upload: got %q, %v, want the first", got, err)
		}

		// Of many at once, one wins, and is whole.
		var group errgroup.Group
		won := make([]bool, 8)
		for n := range won {
			group.Go(func() error {
				err := bucket.Upload(t.Context(), "images/race.jpg", strings.NewReader(strings.Repeat(string(rune('0'+n)), 100_000)), photographs)
				won[n] = err == nil
				return nil
			})
		}
		_ = group.Wait()
		got, err := bucket.ReadAll(t.Context(), "images/race.jpg")
		if err != nil || len(got) != 100_000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if n := slices.Index(won, true); n < 0 || slices.Contains(won[n+1:], true) || string(got) != strings.Repeat(string(rune('0'+n)), 100_000) {
			t.Errorf("%v, and it is %.3s…", won, got)
		}
	})
}

func TestFiles_WhatIsDeletedIsGoneAndNothingElse(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		for _, key := range []string{"images/a.jpg", "images/a.thumbnail.jpg", "images/b.jpg"} {
			put(t, bucket, key, "x")
		}
		if err := bucket.Delete(t.Context(), "images/a.jpg"); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, bucket, "", 0); !slices.Equal(got, []string{"images/a.thumbnail.jpg", "images/b.jpg"}) {
			t.Errorf("files after a deletion: got %q, want the other two", got)
		}
		put(t, bucket, "images/a.jpg", "a new one")
		if got, err := bucket.ReadAll(t.Context(), "images/a.jpg"); string(got) != "a new one" || err != nil {
			t.Errorf("file after deletion and upload: got %q, %v, want a new one", got, err)
		}
	})
}

// listed is the keys with a prefix, fetched so many at a time.
func listed(t *testing.T, bucket *blob.Bucket, prefix string, atOnce int) []string {
	t.Helper()
	if atOnce == 0 {
		atOnce = 1000
	}
	var keys []string
	for token := blob.FirstPageToken; token != nil; {
		page, next, err := bucket.ListPage(t.Context(), token, atOnce, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > atOnce {
			t.Fatalf("a page of %d has %d", atOnce, len(page))
		}
		for _, object := range page {
			if object.Size != 1 || time.Since(object.ModTime).Abs() > time.Minute {
				t.Errorf("listed object: got %+v, want 1 byte, modified now", object)
			}
			keys = append(keys, object.Key)
		}
		token = next
	}
	return keys
}

func TestFiles_AListIsCompleteByPages(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		var all, images []string
		for _, folder := range []string{"images/0a5bb6f4/2020-06/", "images/0a5bb6f4/2020-07/", "images/ffffffff/2020-06/", "imagesque/", "other/"} {
			for _, name := range []string{"a.jpg", "a.mini.jpg", "b.jpg"} {
				put(t, bucket, folder+name, "x")
				all = append(all, folder+name)
				if strings.HasPrefix(folder, "images/") {
					images = append(images, folder+name)
				}
			}
		}
		for _, atOnce := range []int{1, 2, 4, 1000} {
			for prefix, want := range map[string][]string{"": all, "images/": images, "images/f": images[6:], "none": nil} {
				if got := listed(t, bucket, prefix, atOnce); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
					t.Errorf("%q, %d at once: %q", prefix, atOnce, got)
				}
			}
		}
	})
}

func TestFiles_OddKeysAreKeptAsTheyAre(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		keys := []string{
			"a b", "a+b", "a%20b", "a%b", "ä/☺.jpg", "a?b=c&d", "a#b", "a=b;c,d", `quotes "'`, "(a)!*~", "colon:and|pipe", "..a/...", "CAPITALS", "capitals",
			"long/" + strings.Repeat("x", 200),
		}
		for _, key := range keys {
			put(t, bucket, key, "x")
		}
		if got := listed(t, bucket, "", 0); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(keys))) {
			t.Errorf("listed keys: got %q, want %q", got, keys)
		}
		for _, key := range keys {
			if got, err := bucket.ReadAll(t.Context(), key); string(got) != "x" || err != nil {
				t.Errorf("file %q: got %q, %v, want x", key, got, err)
			}
		}
	})
}

func TestFiles_ALargeOneStreamsBothWays(t *testing.T) {
	const size = 40 << 20 // several parts in S3
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		source := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), size) }
		if err := bucket.Upload(t.Context(), "bundles/weights", source(), &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true}); err != nil {
			t.Fatal(err)
		}
		want, got := sha256.New(), sha256.New()
		_, _ = io.Copy(want, source())
		reader, err := bucket.NewReader(t.Context(), "bundles/weights", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		if n, err := io.Copy(got, reader); n != size || err != nil || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("%d bytes, %v, and other ones: %t", n, err, !bytes.Equal(got.Sum(nil), want.Sum(nil)))
		}
		err = bucket.Upload(t.Context(), "bundles/weights", source(), &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true})
		if gcerrors.Code(err) != gcerrors.FailedPrecondition {
			t.Errorf("a second is taken: %v", err)
		}
	})
}

// failing gives some bytes and then an error, as a client does who goes away.
type failing struct{ io.Reader }

var errGone = errors.New("gone")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errGone
	}
	return n, err
}

func TestFiles_OneThatIsNotFinishedIsNotThere(t *testing.T) {
	onBoth(t, func(t *testing.T, bucket *blob.Bucket) {
		for name, size := range map[string]int64{"small": 1000, "large": 20 << 20} {
			source := failing{io.LimitReader(rand.NewChaCha8([32]byte{}), size)}
			if err := bucket.Upload(t.Context(), name, source, photographs); !errors.Is(err, errGone) {
				t.Errorf("upload of a %s file that breaks off: got %v, want %v", name, err, errGone)
			}
			ctx, cancel := context.WithCancel(t.Context())
			w, err := bucket.NewWriter(ctx, name, photographs)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write([]byte("a beginning"))
			cancel()
			if err := w.Close(); err == nil {
				t.Errorf("%s is finished though it was broken off", name)
			}
		}
		if got := listed(t, bucket, "", 0); len(got) > 0 {
			t.Errorf("files after broken uploads: got %q, want none", got)
		}
	})
}
