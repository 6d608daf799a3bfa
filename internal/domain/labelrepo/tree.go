package labelrepo

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"tagma/internal/domain/labelrepo/bare"
)

// Modes of a tree's entries that matter here, as git writes them.
const (
	modeFile   = "100644"
	modeFolder = "40000"
)

var errMalformedTree = errors.New("malformed tree")

// treeEntry is one line of a tree.
type treeEntry struct {
	mode  string
	name  []byte // part of the tree's content
	hash  bare.Hash
	start int // where the line begins
	end   int // and where the next one does
}

func (e treeEntry) isFolder() bool { return e.mode == modeFolder }

// isFile says whether the entry is content, and not a link or a submodule.
func (e treeEntry) isFile() bool { return strings.HasPrefix(e.mode, "100") }

// treeCursor goes through the lines of a tree, which git keeps as one run of
// "<mode> <name>\x00<20 bytes of hash>", sorted.
type treeCursor struct {
	content []byte
	pos     int
}

// next is the line at the cursor, and false behind the last one. errMalformedTree says
// that the content does not follow the form.
func (c *treeCursor) next() (treeEntry, bool, error) {
	if c.pos == len(c.content) {
		return treeEntry{}, false, nil
	}
	rest := c.content[c.pos:]
	space := bytes.IndexByte(rest, ' ')
	zero := bytes.IndexByte(rest, 0)
	size := zero + 1 + len(bare.Hash{})
	if space <= 0 || zero <= space+1 || size > len(rest) {
		return treeEntry{}, false, errMalformedTree
	}
	e := treeEntry{mode: modeName(rest[:space]), name: rest[space+1 : zero], start: c.pos, end: c.pos + size}
	copy(e.hash[:], rest[zero+1:])
	c.pos = e.end
	return e, true, nil
}

// parseTree is the lines of a tree. It ends with errMalformedTree where the content
// does not follow the form.
func parseTree(content []byte) iter.Seq2[treeEntry, error] {
	return func(yield func(treeEntry, error) bool) {
		cursor := treeCursor{content: content}
		for {
			e, ok, err := cursor.next()
			if err != nil {
				yield(e, err)
				return
			}
			if !ok || !yield(e, nil) {
				return
			}
		}
	}
}

// modeName is string(mode), without a new string for the usual ones.
func modeName(mode []byte) string {
	switch string(mode) {
	case modeFile:
		return modeFile
	case modeFolder:
		return modeFolder
	}
	return string(mode)
}

// findEntry looks a name up. Where it is not there, at says where it would
// stand as an entry of that mode.
func findEntry(content []byte, name, mode string) (entry treeEntry, pos int, err error) {
	target := treeEntry{mode: mode, name: []byte(name)}
	pos = -1
	for e, err := range parseTree(content) {
		if err != nil {
			return entry, 0, err
		}
		if bytes.Equal(e.name, target.name) {
			return e, e.start, nil
		}
		if pos < 0 && compareEntries(target, e) < 0 {
			pos = e.start // no end yet: a folder of that name stands elsewhere
		}
	}
	if pos < 0 {
		pos = len(content)
	}
	return entry, pos, nil
}

// compareEntries is git's order of a tree: by bytes, a folder's name as if it
// ended with a slash.
func compareEntries(a, b treeEntry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return cmp.Compare(a.byteAt(n), b.byteAt(n))
}

func (e treeEntry) byteAt(i int) byte {
	switch {
	case i < len(e.name):
		return e.name[i]
	case e.isFolder():
		return '/'
	}
	return 0
}

// setEntry makes name stand in content with that mode and hash, in the place
// of old if there is one, else at at. It changes content in place where it can.
func setEntry(content []byte, old treeEntry, pos int, name, mode string, hash bare.Hash) ([]byte, bare.Edit) {
	line := fmt.Appendf(nil, "%s %s\x00%s", mode, name, hash[:])
	edit := bare.Edit{Offset: pos, Added: len(line)}
	if old.end > 0 {
		edit.Removed = old.end - old.start
	}
	return slices.Replace(content, pos, pos+edit.Removed, line...), edit
}

// validatePath refuses what git, or a file system that a clone may live on, would
// not take as a file's path, and says why.
func validatePath(path string) error {
	refuse := func(why string) error { return fmt.Errorf("the path %.80q %s", path, why) }
	switch {
	case path == "" || len(path) > 1000:
		return refuse("is empty or too long (at most 1000 bytes)")
	case !utf8.ValidString(path) || strings.ContainsFunc(path, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(`\:*?"<>|`, c) }):
		return refuse(`has a character that not every file system takes: control characters, \ : * ? " < > |`)
	}
	for part := range strings.SplitSeq(path, "/") {
		lower := strings.ToLower(part)
		switch {
		case part == "" || part == "." || part == ".." || len(part) > 255:
			return refuse("has an empty, dotted or overlong part")
		case strings.HasPrefix(lower, ".git") || strings.HasPrefix(lower, "git~"):
			return refuse("has a part that git keeps for itself")
		case strings.HasSuffix(part, ".") || strings.HasSuffix(part, " "):
			return refuse("has a part that ends with a dot or a space")
		}
	}
	return nil
}
