package images

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
)

// keys are those that a photograph can have.
func keys() *rapid.Generator[Key] {
	return rapid.Custom(func(r *rapid.T) Key {
		return Key{
			Device:  rapid.StringMatching(`[0-9a-f]{8}`).Draw(r, "device"),
			TakenAt: instant.Instant(rapid.Int64Range(1572566400, 253402300799).Draw(r, "second") * 1000),
		}
	})
}

func TestFileKey_IsReadBackAndSortsUnderItsDeviceAndMonth(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		key, id := keys().Draw(r, "key"), newFileID()
		seen := map[string]bool{}
		for variant := range suffixes {
			file := FileKey(&ent.Image{DeviceID: key.Device, TakenAt: key.TakenAt, FileID: id}, variant)
			got, gotID, ok := parseFileKey(file)
			if !ok || got != key || gotID != id || seen[file] {
				r.Errorf("%s is read as %v, %s, %t", file, got, gotID, ok)
			}
			seen[file] = true
			if !regexp.MustCompile(`^images/` + key.Device + `/\d{4}-\d\d/[\w.-]+\.jpg$`).MatchString(file) {
				r.Errorf("file key: got %s, want images, the device %s and the month", file, key.Device)
			}
		}
		if len(seen) != 3 {
			r.Errorf("%d files", len(seen))
		}
	})
	want := "images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.mini.jpg"
	if got := FileKeyOf(Key{"0a5bb6f4", 1592688804000}, "0123456789abcdef", ThumbnailMini); got != want {
		t.Error(got)
	}
}

// What is read is taken for a file of Tagma's, and cleared away if it has no
// row.
func TestParseFileKey_ANameThatWasNotGivenHereIsNobodys(t *testing.T) {
	const good = "images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg"
	if _, _, ok := parseFileKey(good); !ok {
		t.Fatal("the right one is refused")
	}
	for _, file := range []string{
		"", "images/", "0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg", "backup/" + good,
		strings.Replace(good, "2020-06/", "2020-07/", 1), strings.Replace(good, "0a5bb6f4/", "ffffffff/", 1),
		strings.ReplaceAll(good, "0a5bb6f4", "0A5BB6F4"), strings.Replace(good, ".jpg", ".jpeg", 1), strings.Replace(good, ".jpg", ".JPG", 1),
		strings.Replace(good, ".jpg", ".large.jpg", 1), strings.Replace(good, ".jpg", ".jpg.tmp", 1), strings.Replace(good, ".jpg", "", 1),
		strings.Replace(good, "0123456789abcdef", "0123456789abcde", 1), strings.Replace(good, "06-20", "06-31", 1),
		strings.Replace(good, "0a5bb6f4.2020", "notes.2020", 1),
	} {
		if of, id, ok := parseFileKey(file); ok {
			t.Errorf("%q is taken for %v, %s", file, of, id)
		}
	}
}

func FuzzParseFileKey(f *testing.F) {
	f.Add("images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg")
	f.Fuzz(func(t *testing.T, file string) {
		of, id, ok := parseFileKey(file)
		if !ok {
			return
		}
		for variant := range suffixes {
			if FileKeyOf(of, id, variant) == file {
				return
			}
		}
		t.Errorf("%q is taken for %v, %s", file, of, id)
	})
}
