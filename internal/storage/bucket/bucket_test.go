package bucket

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
)

func filled(t *testing.T, count int) *blob.Bucket {
	t.Helper()
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { _ = bucket.Close() })
	for n := range count {
		for _, folder := range []string{"a", "b"} {
			if err := bucket.WriteAll(t.Context(), fmt.Sprintf("%s/%05d", folder, n), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	return bucket
}

func TestListBefore_GivesEachFileOfThePrefixOnceInPartsAndNoneThatIsYoung(t *testing.T) {
	const count = 2*listSize + 1
	bucket := filled(t, count)
	var parts []int
	var all []string
	for keys, err := range ListBefore(t.Context(), bucket, "a/", time.Now().Add(time.Hour)) {
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
	for keys, err := range ListBefore(t.Context(), bucket, "", time.Now().Add(-time.Hour)) {
		t.Errorf("young files are given: %v, %v", keys, err)
	}
	for range ListBefore(t.Context(), bucket, "", time.Now().Add(time.Hour)) {
		break // and nothing comes after
	}
}

func TestListBefore_AStoreThatFailsIsTheLastThingThatIsTold(t *testing.T) {
	bucket := filled(t, 1)
	_ = bucket.Close()
	told := 0
	for keys, err := range ListBefore(t.Context(), bucket, "", time.Now().Add(time.Hour)) {
		if err == nil || keys != nil {
			t.Errorf("Old in a closed store: got %v, %v, want an error", keys, err)
		}
		told++
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
}

func TestDelete_TellsHowManyWentAndDoesNotMindThoseThatHaveGone(t *testing.T) {
	bucket := filled(t, 50)
	keys := []string{"a/00000", "a/00001", "a/nothing", "b/00049"}
	if n, err := Delete(t.Context(), bucket, keys); n != 3 || err != nil {
		t.Errorf("Delete of %q: got %d, %v, want 3", keys, n, err)
	}
	if n, err := Delete(t.Context(), bucket, keys); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
	if there, err := bucket.Exists(t.Context(), "a/00002"); !there || err != nil {
		t.Errorf("another has gone: %v", err)
	}
	_ = bucket.Close()
	if _, err := Delete(t.Context(), bucket, keys); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("a store that is closed: %v", err)
	}
}
