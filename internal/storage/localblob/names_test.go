package localblob

import (
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"tagma/internal/storage/bucket"
)

func TestFileName_KeepsOrdinaryKeysAndEscapesOddOnes(t *testing.T) {
	long := strings.Repeat("x", partLimit)
	for key, want := range map[string]string{
		"1a2b3c4d/1a2b3c4d.2020-06-20_21-33-24.jpg": "1a2b3c4d/1a2b3c4d.2020-06-20_21-33-24.jpg",
		"Größe und Maß.jpg":                         "Größe und Maß.jpg",
		"a//b/":                                     "a/%_/b/%_",
		"/a":                                        "%_/a",
		"../a/./..b":                                "%2E./a/%2E/..b",
		"a\x00\n\x7f":                               "a%00%0A%7F",
		`C:\x%y`:                                    "C%3A%5Cx%25y",
		temporaryPrefix + "A":                       "%25tmp-A",
		long:                                        long + "%+/%_",
		long + "..":                                 long + "%+/%2E.",
		long + "y/z":                                long + "%+/y/z",
	} {
		if got := fileName(key); got != want {
			t.Errorf("%q is the file %q, want %q", key, got, want)
		}
	}
}

// oddKey draws keys of few different parts, most of them near some border, so
// that keys often share their beginnings.
func oddKey() *rapid.Generator[string] {
	long := strings.Repeat("x", partLimit-1)
	pieces := []string{"a", "b", "/", "//", ".", "..", "%", "%_", "%+", "%2E", "%tmp-", "-", "0", "é", "☺", "\x00", "~", `\`, long, long + "x", long + "é"}
	return rapid.Map(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 5), func(s []string) string { return strings.Join(s, "") })
}

func isKey(key string) bool { return bucket.CheckKey(key) == nil }

// keyOf reads a path back as a listing does.
func keyOf(t *rapid.T, name string) string {
	var key strings.Builder
	names := strings.Split(name, "/")
	for i, name := range names {
		part, cut, ok := keyPart(name)
		if !ok || len(name) > 255 || name == "." || name == ".." || name == "" || !utf8.ValidString(name) {
			t.Fatalf("%q is no name", name)
		}
		key.WriteString(part)
		if !cut && i < len(names)-1 {
			key.WriteByte('/')
		}
	}
	return key.String()
}

func TestFileName_IsReadBackAsTheSameKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.OneOf(oddKey(), rapid.StringN(1, 300, 1024)).Draw(t, "key")
		if got := keyOf(t, fileName(key)); got != key {
			t.Fatalf("%q became %q became %q", key, fileName(key), got)
		}
	})
}

// A list of what was written must be the sorted keys, for each prefix.
func TestList_IsSortedByKeyAndCompleteWhateverTheKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "localblob")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		b, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		var written []string
		for _, key := range rapid.SliceOfNDistinct(oddKey().Filter(isKey), 1, 6, rapid.ID).Draw(t, "keys") {
			// A key that is also the folder of another is refused.
			if bucket.WriteAll(t.Context(), b, key, []byte("x")) == nil {
				written = append(written, key)
			}
		}
		prefix := rapid.OneOf(rapid.Just(""), oddKey()).Draw(t, "prefix")

		var want []string
		for _, key := range written {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		var got []string
		for file, err := range b.List(t.Context(), prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, file.Key)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the list is %q, want %q", got, want)
		}
	})
}

func TestList_LeavesOutWhatIsNoBlob(t *testing.T) {
	b, dir := newBucket(t)
	write(t, b, "a:b", "x")
	for _, name := range []string{"c:d", "%zz", "%", "%2e", "%0A", "%2E", "%_", temporaryPrefix + "A"} {
		if err := os.WriteFile(dir+"/"+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a%3Ab", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, b, ""); !slices.Equal(got, []string{"a:b"}) {
		t.Errorf("the list is %q", got)
	}
}
