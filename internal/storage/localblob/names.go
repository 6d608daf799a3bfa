package localblob

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The path of a file is its key, part by part, with these changes:
//
//   - a control character, and any of % \ : * ? " < > | becomes %XX (two upper
//     hexadecimal digits), so that the folder can move to any file system;
//   - the first dot of "." and ".." becomes %2E;
//   - an empty part, as in "a//b" or "a/", becomes %_;
//   - a part that reaches partLimit bytes is cut there: the beginning of the part,
//     with %+ appended, is a folder that holds the rest.
//
// The place of a cut depends only on the bytes before the cut. So all keys with a
// common prefix lie in one folder, and a walk through sorted names visits keys in
// order (list.go).
//
// No key has a path with a name that begins with temporaryPrefix.
const (
	escaped         = `%\:*?"<>|`
	emptyPart       = "%_"
	cutMark         = "%+"
	temporaryPrefix = "%tmp-"

	// partLimit is less than the 255 bytes of a name in file systems, because the last
	// character before the cut may exceed partLimit by a few bytes.
	partLimit = 200
)

// fileName returns the path of the file of key, with slashes, below the bucket's
// folder.
func fileName(key string) string {
	name := make([]byte, 0, len(key)+8)
	for i, part := range strings.Split(key, "/") {
		if i > 0 {
			name = append(name, '/')
		}
		name = appendPart(name, part)
	}
	return string(name)
}

func appendPart(name []byte, part string) []byte {
	switch part {
	case "":
		return append(name, emptyPart...)
	case ".", "..":
		return append(append(name, "%2E"...), part[1:]...)
	}
	start := len(name)
	for len(part) > 0 {
		r, size := utf8.DecodeRuneInString(part)
		if r < ' ' || r == 0x7f || strings.ContainsRune(escaped, r) {
			name = fmt.Appendf(name, "%%%02X", r)
		} else {
			name = append(name, part[:size]...)
		}
		part = part[size:]
		if len(name)-start >= partLimit {
			return appendPart(append(name, cutMark+"/"...), part)
		}
	}
	return name
}

// keyPart returns the part of a key that a name in a path stands for. Cut reports
// whether the part continues in the names below. Ok is false for a name that no key
// has. Ok is true for some such names too, which a comparison with fileName detects.
func keyPart(name string) (part string, cut, ok bool) {
	if name == emptyPart {
		return "", false, true
	}
	name, cut = strings.CutSuffix(name, cutMark)
	before, after, found := strings.Cut(name, "%")
	if !found {
		return name, cut, true
	}
	var b strings.Builder
	for ; found; before, after, found = strings.Cut(after, "%") {
		b.WriteString(before)
		if len(after) < 2 {
			return "", false, false
		}
		c, err := strconv.ParseUint(after[:2], 16, 8)
		if err != nil {
			return "", false, false
		}
		b.WriteByte(byte(c))
		after = after[2:]
	}
	b.WriteString(before)
	return b.String(), cut, true
}
