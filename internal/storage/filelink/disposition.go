package filelink

import (
	"mime"
	"path"
	"regexp"
	"strings"
	"unicode"
)

func isPhotograph(key string) bool { return strings.HasSuffix(key, ".jpg") }

// ContentType returns the Content-Type of a file: a browser shows a photograph, and
// saves any other file.
func ContentType(key string) string {
	if isPhotograph(key) {
		return "image/jpeg"
	}
	return "application/octet-stream"
}

// fileID matches the file id in a key. The file id distinguishes uploads, and has
// no meaning for a person who saves the file.
var fileID = regexp.MustCompile(`\.[0-9a-f]{16}(\.[a-z.]+)$`)

// Disposition returns the Content-Disposition of a file: inline for a photograph,
// attachment for any other file. If name is empty, the file name is the last part
// of key without the file id.
func Disposition(key, name string) string {
	if name == "" {
		name = fileID.ReplaceAllString(path.Base(key), "$1")
	}
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || !unicode.IsPrint(r) { // could mislead the person about folder or name
			return '_'
		}
		return r
	}, strings.ToValidUTF8(name, "_"))
	kind := "attachment"
	if isPhotograph(key) {
		kind = "inline"
	}
	return mime.FormatMediaType(kind, map[string]string{"filename": name})
}
