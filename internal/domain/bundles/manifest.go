package bundles

import (
	"cmp"
	"crypto/md5" //nolint:gosec // a fingerprint that clients know, not a defence
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
)

// NewFile describes a file to publish.
type NewFile struct {
	Key        string          `json:"key"`
	MD5        string          `json:"md5"`
	SHA256     *string         `json:"sha256,omitempty"` // if given, decides whether contents are equal
	Size       int64           `json:"size"`
	ModifiedAt instant.Instant `json:"modifiedAt"`
}

// manifest lists the files of an unpublished version, sorted by key. Files with
// equal MD5 have equal contents.
type manifest []NewFile

var (
	md5Form    = regexp.MustCompile(`^[0-9a-f]{32}$`)
	sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// validate returns the manifest of the given files. The error reports every
// problem.
func (s *Service) validate(name string, files []NewFile) (manifest, error) {
	if len(files) > s.limits.Files {
		return nil, fault.New(fault.TooLarge, "files has %d items: a bundle has at most %d", len(files), s.limits.Files)
	}
	var problems fault.Problems
	if !nameForm.MatchString(name) {
		problems.Add(fault.BadInput, []any{"name"}, "%.40q is not a bundle's name: write 1 to 100 letters, digits, dots, dashes or underscores, beginning with a letter or a digit", name)
	}
	if len(files) == 0 {
		problems.Add(fault.BadInput, []any{"files"}, "there are none: a bundle has at least one")
	}
	result := slices.Clone(files)
	for n := range result {
		s.validateFile(&problems, n, &result[n])
	}
	validatePaths(&problems, result)
	s.validateContents(&problems, result)
	slices.SortFunc(result, func(x, y NewFile) int { return cmp.Compare(x.Key, y.Key) })
	return result, problems.Err()
}

// validateFile checks one file, and converts the hashes to lower case.
func (s *Service) validateFile(problems *fault.Problems, n int, f *NewFile) {
	path := func(field string) []any { return []any{"files", n, field} }
	if reason := keyProblem(f.Key); reason != "" {
		problems.Add(fault.BadInput, path("key"), "%.80q is refused: %s", f.Key, reason)
	}
	if f.MD5 = strings.ToLower(f.MD5); !md5Form.MatchString(f.MD5) {
		problems.Add(fault.BadInput, path("md5"), "%.40q is not an MD5: write 32 hex digits", f.MD5)
	}
	if f.SHA256 != nil {
		sum := strings.ToLower(*f.SHA256)
		f.SHA256 = &sum
		if !sha256Form.MatchString(sum) {
			problems.Add(fault.BadInput, path("sha256"), "%.80q is not a SHA-256: write 64 hex digits, or leave it out", sum)
		}
	}
	switch {
	case f.Size < 0:
		problems.Add(fault.BadInput, path("size"), "%d is not a number of bytes", f.Size)
	case f.Size > s.limits.FileBytes:
		problems.Add(fault.TooLarge, path("size"), "the file has %d bytes: at most %d are taken", f.Size, s.limits.FileBytes)
	}
}

// validatePaths checks that all files fit into one folder: no duplicate keys, and
// no file in the place of a folder.
func validatePaths(problems *fault.Problems, files []NewFile) {
	keys, seenKeys := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		keys[f.Key] = keyProblem(f.Key) == ""
	}
	for n, f := range files {
		if seenKeys[f.Key] {
			problems.Add(fault.BadInput, []any{"files", n, "key"}, "%.80q is there twice", f.Key)
		}
		seenKeys[f.Key] = true
		for i, c := range f.Key {
			if c == '/' && keys[f.Key[:i]] {
				problems.Add(fault.BadInput, []any{"files", n, "key"}, "%.80q lies in %.80q, which is a file: name one of them otherwise", f.Key, f.Key[:i])
			}
		}
	}
}

// validateContents checks that files of equal MD5 have equal contents, and that
// the total size is within the limit.
func (s *Service) validateContents(problems *fault.Problems, files []NewFile) {
	first := map[string]NewFile{}
	var bytes int64
	for n, f := range files {
		if other, ok := first[f.MD5]; !ok {
			first[f.MD5] = f
		} else if other.Size != f.Size || stringOrEmpty(other.SHA256) != stringOrEmpty(f.SHA256) {
			problems.Add(fault.BadInput, []any{"files", n, "md5"}, "%.80q has the same MD5 and another size or SHA-256: a bundle holds one content of an MD5", other.Key)
		}
		bytes += max(0, min(f.Size, s.limits.FileBytes)) // so that the sum cannot overflow
	}
	if bytes > s.limits.Bytes {
		problems.Add(fault.TooLarge, []any{"files"}, "the files have %d bytes together: at most %d are taken", bytes, s.limits.Bytes)
	}
}

func stringOrEmpty(sum *string) string {
	if sum == nil {
		return ""
	}
	return *sum
}

// encode returns the stored form of the manifest, and a hash that identifies
// the manifest among uploads.
func (m manifest) encode(name string) (rawjson.Value, string, error) {
	text, err := rawjson.Of(m)
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256([]byte(name + "\n" + string(text)))
	return text, hex.EncodeToString(sum[:]), nil
}

// decode returns the manifest that encode stored.
func decode(upload *ent.BundleUpload) (manifest, error) {
	var m manifest
	err := json.Unmarshal(upload.Manifest, &m)
	return m, err
}

// md5 returns the MD5 of the output of md5sum for the files, sorted by key.
// Anyone who has the files can compute it with
//
//	find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' md5sum | md5sum
func (m manifest) md5() string {
	sum := md5.New() //nolint:gosec // see above
	for _, f := range m {
		fmt.Fprintf(sum, "%s  %s\n", f.MD5, f.Key)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (m manifest) md5s() []string {
	sums := make([]string, len(m))
	for n, f := range m {
		sums[n] = f.MD5
	}
	return sums
}
