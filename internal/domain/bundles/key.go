package bundles

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a key, in bytes. A client's file system must be able to hold the
// key.
const (
	maxKey     = 500
	maxKeyPart = 200
)

var (
	nameForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	driveForm = regexp.MustCompile(`^[A-Za-z]:`)
)

// keyProblem returns the reason for refusing a key, with a remedy, or "". A key
// becomes a path on the disk of a client: on every system, the path must lead
// to the same place below the client's folder.
func keyProblem(key string) string {
	switch {
	case key == "":
		return "it is empty: give a path such as data/picture.jpg"
	case len(key) > maxKey:
		return "it is too long: give at most 500 bytes"
	case !utf8.ValidString(key):
		return "it is not UTF-8"
	case strings.ContainsRune(key, 0):
		return "it holds a NUL character"
	case strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "it holds control characters, or others that cannot be seen"
	case strings.Contains(key, `\`):
		return `it holds \: separate folders with /`
	case strings.HasPrefix(key, "/") || driveForm.MatchString(key):
		return "it is absolute: give a path from the bundle's folder"
	}
	if reason := partProblem(key); reason != "" {
		return reason
	}
	// A program between server and disk may decode %2e%2e.
	if decodedKey, err := url.PathUnescape(key); err == nil && decodedKey != key && keyProblem(decodedKey) != "" {
		return "it becomes another path where %XX is read as a character: take out the %"
	}
	return ""
}

func partProblem(key string) string {
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return "it has an empty part: take out the / that is too many"
		case part == "." || part == "..":
			return "it has the part " + part + ": give a plain path"
		case len(part) > maxKeyPart:
			return "one of its parts is too long: give at most 200 bytes between slashes"
		case strings.HasSuffix(strings.ToLower(part), ".attrs"):
			return "it ends in .attrs, which stores of files keep for themselves: name it otherwise"
		case strings.HasSuffix(part, " ") || strings.HasSuffix(part, "."):
			return "one of its parts ends in a space or a dot, which some systems leave out: name it otherwise"
		}
	}
	return ""
}
