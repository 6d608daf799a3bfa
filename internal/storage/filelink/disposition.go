package filelink

import (
	"mime"
	"path"
	"regexp"
	"strings"
	"unicode"
)

func isPhotograph(key string) bool { return strings.HasSuffix(key, ".jpg") }

// fileID is what tells the files of two uploads apart: nothing for those who
// save them.
var fileID = regexp.MustCompile(`\.[0-9a-f]{16}(\.[a-z.]+)$`)

// Disposition is the Content-Disposition of the file of key: a browser shows a
// photograph and saves any other, under that name. If it is empty, the key says
// it, without its folder and its file id.
func Disposition(key, name string) string {
	if name == "" {
		name = fileID.ReplaceAllString(path.Base(key), "$1")
	}
	name = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || !unicode.IsPrint(r) { // what could mislead the one who saves it
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
