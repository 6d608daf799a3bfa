package bucket_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tagma/internal/storage/bucket"
	"tagma/internal/storage/localblob"
)

// listSize is the number of keys in an element of ListBefore.
const listSize = 1000

// filled returns a bucket with count files below a and below b.
func filled(t *testing.T, count int) bucket.Bucket {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
		for n := range count { // without the flushes of a bucket
			if err := os.WriteFile(filepath.Join(dir, folder, fmt.Sprintf("%05d", n)), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	b, err := localblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestListBefore_GivesEachFileOfThePrefixOnceInPartsAndNoneThatIsYoung(t *testing.T) {
	const count = 2*listSize + 1
	b := filled(t, count)
	var parts []int
	var all []string
	for keys, err := range bucket.ListBefore(t.Context(), b, "a/", time.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, len(keys))
		all = append(all, keys...)
	}
	slices.Sort(all)
	if !slices.Equal(parts, []int{listSize, listSize, 1}) || len(slices.Compact(all)) != count || all[count-1] != "a/02000" {
		t.Errorf("%v parts, %d files", parts, len(all))
	}
	for keys, err := range bucket.ListBefore(t.Context(), b, "", time.Now().Add(-time.Hour)) {
		t.Errorf("young files are given: %v, %v", keys, err)
	}
	for range bucket.ListBefore(t.Context(), b, "", time.Now().Add(time.Hour)) {
		break // and nothing comes after
	}
}

func TestListBefore_AnErrorIsTheLastElement(t *testing.T) {
	b := filled(t, 1)
	_ = b.Close()
	elements := 0
	for keys, err := range bucket.ListBefore(t.Context(), b, "", time.Now().Add(time.Hour)) {
		if err == nil || keys != nil {
			t.Errorf("ListBefore of a closed bucket: got %v, %v, want an error", keys, err)
		}
		elements++
	}
	if elements != 1 {
		t.Errorf("elements: got %d, want 1", elements)
	}
}

func TestDelete_TellsHowManyWentAndDoesNotMindThoseThatHaveGone(t *testing.T) {
	b := filled(t, 50)
	keys := []string{"a/00000", "a/00001", "a/nothing", "b/00049"}
	if n, err := bucket.Delete(t.Context(), b, keys); n != 3 || err != nil {
		t.Errorf("Delete of %q: got %d, %v, want 3", keys, n, err)
	}
	if n, err := bucket.Delete(t.Context(), b, keys); n != 0 || err != nil {
		t.Errorf("Delete again: got %d, %v, want 0", n, err)
	}
	if exists, err := bucket.Exists(t.Context(), b, "a/00002"); !exists || err != nil {
		t.Errorf("a/00002 exists: got %t, %v, want true", exists, err)
	}
	_ = b.Close()
	if _, err := bucket.Delete(t.Context(), b, keys); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("a store that is closed: %v", err)
	}
}
