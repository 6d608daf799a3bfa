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

// Modes of tree entries, as git writes the modes.
const (
	modeFile      = "100644"
	modeFolder    = "40000"
	modeLink      = "120000"
	modeSubmodule = "160000" // a commit of another repository
)

var errMalformedTree = errors.New("malformed tree")

// treeEntry is one entry of a tree.
type treeEntry struct {
	mode  string
	name  []byte // part of the tree's content
	hash  bare.Hash
	start int // offset of the first byte
	end   int // offset after the last byte; 0 for no entry
}

func (e treeEntry) isFolder() bool { return e.mode == modeFolder }

// isFile reports whether the entry is a regular file, not a link or a submodule.
func (e treeEntry) isFile() bool { return strings.HasPrefix(e.mode, "100") }

// fileKind returns the kind of an entry that is not a folder.
func (e treeEntry) fileKind() FileKind {
	switch e.mode {
	case modeLink:
		return Link
	case modeSubmodule:
		return Submodule
	}
	return Regular
}

// treeCursor reads the entries of a tree. A tree is a sorted sequence of entries
// "<mode> <name>\x00<20 bytes of hash>".
type treeCursor struct {
	content []byte
	pos     int
}

// next returns the next entry, and false after the last entry. It returns
// errMalformedTree for invalid content.
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

// parseTree yields the entries of a tree. It ends with errMalformedTree at
// invalid content.
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

// modeName returns string(mode) without an allocation for files and folders.
func modeName(mode []byte) string {
	switch string(mode) {
	case modeFile:
		return modeFile
	case modeFolder:
		return modeFolder
	}
	return string(mode)
}

// findEntry returns the entry with the given name and its offset. Without such an
// entry, it returns the zero entry and the offset at which to insert an entry of
// that mode.
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
			pos = e.start // go on: an entry of another mode may have this name
		}
	}
	if pos < 0 {
		pos = len(content)
	}
	return entry, pos, nil
}

// compareEntries compares entries in git's order of a tree: by bytes, with a
// slash after the name of a folder.
func compareEntries(a, b treeEntry) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	return cmp.Compare(a.byteAt(n), b.byteAt(n))
}

// byteAt returns the byte of the name at i for compareEntries, and 0 after the
// end.
func (e treeEntry) byteAt(i int) byte {
	switch {
	case i < len(e.name):
		return e.name[i]
	case e.isFolder():
		return '/'
	}
	return 0
}

// setEntry replaces the entry old, or inserts an entry at pos if old is the zero
// entry. It changes content in place if possible, and returns the new content and
// the edit.
func setEntry(content []byte, old treeEntry, pos int, name, mode string, hash bare.Hash) ([]byte, bare.Edit) {
	line := fmt.Appendf(nil, "%s %s\x00%s", mode, name, hash[:])
	edit := bare.Edit{Offset: pos, Added: len(line)}
	if old.end > 0 {
		edit.Removed = old.end - old.start
	}
	return slices.Replace(content, pos, pos+edit.Removed, line...), edit
}

// validatePath returns an error for a path that git does not accept, or that not
// every file system of a clone accepts.
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
