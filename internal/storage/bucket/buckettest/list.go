package buckettest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/storage/bucket"
)

func listByPrefix(t *testing.T, b bucket.Bucket) {
	var all, images []string
	for _, folder := range []string{"images/0a5bb6f4/2020-06/", "images/0a5bb6f4/2020-07/", "images/ffffffff/2020-06/", "imagesque/", "other/"} {
		for _, name := range []string{"a.jpg", "a.mini.jpg", "b.jpg"} {
			write(t, b, folder+name, "x")
			all = append(all, folder+name)
			if strings.HasPrefix(folder, "images/") {
				images = append(images, folder+name)
			}
		}
	}
	write(t, b, "images.jpg", "x")
	all = append(all, "images.jpg")
	for prefix, want := range map[string][]string{
		"": all, "images/": images, "images/f": images[6:], "images/0a5bb6f4/2020-06/a.jpg": images[:1], "images/0a5bb6f4/2020-06/a": images[:2],
		"o": all[12:15], "none": nil, "images/0a5bb6f4/2020-06/a.jpg/": nil, "/": nil, "..": nil, "images//": nil,
	} {
		wantKeys(t, b, prefix, slices.Clone(want)...)
	}
	for _, file := range list(t, b, "") {
		if stat, err := b.Stat(t.Context(), file.Key); file.Size != 1 || time.Since(file.ModTime).Abs() > time.Minute ||
			err != nil || stat.Size != file.Size || stat.ModTime.Sub(file.ModTime).Abs() >= time.Second {
			t.Errorf("listed file: got %+v, want 1 byte, modified now, as Stat returns: %+v, %v", file, stat, err)
		}
	}
}

// listWhileFilesChange deletes each listed file, as a sweep does, and writes new files.
func listWhileFilesChange(t *testing.T, b bucket.Bucket) {
	const count = 30
	var want []string
	for n := range count {
		key := fmt.Sprintf("old/%d/%02d", n%3, n)
		write(t, b, key, "x")
		want = append(want, key)
	}
	var got []string
	for file, err := range b.List(t.Context(), "old/") {
		if err != nil {
			t.Fatalf("list: got %v, want no error", err)
		}
		got = append(got, file.Key)
		if err := b.Delete(t.Context(), file.Key); err != nil {
			t.Errorf("delete %q: got %v, want no error", file.Key, err)
		}
		write(t, b, "new/"+file.Key, "y")
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("list while the files are deleted: got %q, want %q", got, want)
	}
	wantKeys(t, b, "old/")
	if got := list(t, b, "new/"); len(got) != count {
		t.Errorf("new files: got %d, want %d", len(got), count)
	}
}

func listEnds(t *testing.T, b bucket.Bucket) {
	wantKeys(t, b, "")
	for n := range 5 {
		write(t, b, fmt.Sprintf("a/%d", n), "x")
	}
	for _, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Errorf("list: got %v, want a file", err)
		}
		break // List must not call yield again: a range panics then
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	elements := 0
	for file, err := range b.List(ctx, "") {
		elements++
		if err == nil {
			t.Errorf("list after the end of the context: got %+v, want an error", file)
		}
	}
	if elements != 1 {
		t.Errorf("list after the end of the context: got %d elements, want an error alone", elements)
	}
}

// Keys returns the keys of all files in a bucket, in order.
func Keys(t testing.TB, b bucket.Bucket) []string {
	t.Helper()
	var keys []string
	for file, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, file.Key)
	}
	slices.Sort(keys)
	return keys
}
