package localblob

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A key's path is the key itself, part by part, but for what a file system
// cannot hold or would read as something else:
//
//   - a control character, and any of % \ : * ? " < > | becomes %XX (two upper
//     hexadecimal digits), so that the folder can move to any file system;
//   - the first dot of "." and ".." becomes %2E;
//   - an empty part, as in "a//b" or "a/", becomes %_;
//   - a part that reaches partLimit bytes is cut there: its beginning, with %+
//     at its end, is a folder that holds the rest.
//
// The cut depends on nothing but what stands before it. So every key that
// begins in the same way lies in the same folder, and a walk through sorted
// names meets the keys in order (list.go).
//
// A name that begins with temporaryPrefix comes from no key.
const (
	escaped         = `%\:*?"<>|`
	emptyPart       = "%_"
	cutMark         = "%+"
	temporaryPrefix = "%tmp-"

	// File systems end a name at 255 bytes. The last character before the cut
	// may go a few bytes beyond this.
	partLimit = 200
)

// fileName is the path of key's file, with slashes, below the bucket's folder.
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

// keyPart is what one name in a path stands for in the key, and whether the
// part goes on in the names below it. It is false for a name that no key has;
// it is true for some of those too, which fileName then tells apart.
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
