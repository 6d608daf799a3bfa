package labelrepo

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/domain/labelrepo/bare"
)

// Fault is a defect of the label repository on the disk.
type Fault struct {
	Kind     FaultKind
	Object   string // hash of the object; "" for a fault of a file that is not an object
	File     string // path within the repository; "" if the fault is not in one file
	Referrer string // for a missing object: hash or name of the object or reference that needs the object
	Err      error
}

// FaultKind is the kind of a fault.
type FaultKind string

// The kinds of faults.
const (
	Missing FaultKind = "missing" // an object or a reference names an object that does not exist
	Damaged FaultKind = "damaged" // the hash of an object, or the checksum of a file, is wrong
)

// Pace is called with the number of bytes read since the last call, and may
// block. An error of Pace ends a check.
type Pace func(bytes int64) error

// noPace is a Pace that does not block.
func noPace(int64) error { return nil }

// Check reads the whole repository in dir without its lock, while a server may
// write to the repository. As git fsck does, Check compares each object with its
// hash and each pack and index with its checksum, and looks for all objects that
// an object or a reference names. Check calls report for each fault, continues
// after a fault, and returns the number of objects read. A folder without a
// repository has no objects.
func Check(ctx context.Context, dir string, pace Pace, report func(Fault)) (objects int, err error) {
	view, err := bare.OpenView(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer view.Close()
	c := checker{view: view, missing: map[bare.Hash]string{}}
	err = view.Check(ctx, pace, func(h bare.Hash, kind bare.Kind, content []byte) error {
		objects++
		c.checkReferences(h, kind, content, report)
		return nil
	}, func(f bare.Fault) { report(convertFault(f)) })
	if err != nil {
		return objects, err
	}
	for name, h := range view.Refs() {
		c.addIfMissing(h, name)
	}
	return objects, c.reportMissing(dir, report)
}

func convertFault(f bare.Fault) Fault { return Fault{Damaged, shaOf(f.Object), f.File, "", f.Err} }

// checker collects the missing objects of a repository.
type checker struct {
	view         *bare.View
	missing      map[bare.Hash]string // hash of a missing object → first object or reference that names the object
	previousTree []byte               // content of the last tree in checkTreeEntries
}

// checkReferences looks for the objects that an object names.
func (c *checker) checkReferences(h bare.Hash, kind bare.Kind, content []byte, report func(Fault)) {
	var err error
	if kind == bare.Tree {
		err = c.checkTreeEntries(h, content)
	} else {
		var hashes []bare.Hash
		hashes, err = referencesOf(kind, content)
		for _, hash := range hashes {
			c.addIfMissing(hash, h.String())
		}
	}
	if err != nil {
		report(Fault{Kind: Damaged, Object: h.String(), Err: err})
	}
}

// checkTreeEntries looks for the entries of a tree. It leaves out the first
// entries if the previous tree begins with the same bytes: each tree of a flat
// folder lists all files.
func (c *checker) checkTreeEntries(h bare.Hash, content []byte) error {
	commonPrefix := 0
	for commonPrefix < min(len(content), len(c.previousTree)) && content[commonPrefix] == c.previousTree[commonPrefix] {
		commonPrefix++
	}
	for e, err := range parseTree(content) {
		if err != nil {
			return err
		}
		if e.end > commonPrefix && e.mode != modeSubmodule {
			c.addIfMissing(e.hash, h.String())
		}
	}
	c.previousTree = append(c.previousTree[:0], content...)
	return nil
}

// addIfMissing adds an object to missing, unless the repository has the object.
func (c *checker) addIfMissing(h bare.Hash, referrer string) {
	if !c.view.Has(h) {
		if _, known := c.missing[h]; !known {
			c.missing[h] = referrer
		}
	}
}

// reportMissing reports the missing objects, after a second look. During the
// first look, a server or an ordinary git may have merged packs.
func (c *checker) reportMissing(dir string, report func(Fault)) error {
	if len(c.missing) == 0 {
		return nil
	}
	secondView, err := bare.OpenView(dir)
	if err != nil {
		return err
	}
	defer secondView.Close()
	for _, h := range sortedHashes(c.missing) {
		if !secondView.Has(h) {
			report(Fault{Kind: Missing, Object: h.String(), Referrer: c.missing[h], Err: bare.ErrMissing})
		}
	}
	return nil
}

func sortedHashes[V any](set map[bare.Hash]V) []bare.Hash {
	hashes := make([]bare.Hash, 0, len(set))
	for h := range set {
		hashes = append(hashes, h)
	}
	slices.SortFunc(hashes, func(a, b bare.Hash) int { return bytes.Compare(a[:], b[:]) })
	return hashes
}

// referencesOf returns the hashes of the objects that an object names: parents
// and tree of a commit, entries of a tree, target of a tag. Submodules are left
// out.
func referencesOf(kind bare.Kind, content []byte) ([]bare.Hash, error) {
	switch kind {
	case bare.Commit:
		c, err := parseCommit(content)
		return append(c.parents, c.tree), err
	case bare.Tree:
		var hashes []bare.Hash
		for e, err := range parseTree(content) {
			if err != nil {
				return nil, err
			}
			if e.mode != modeSubmodule {
				hashes = append(hashes, e.hash)
			}
		}
		return hashes, nil
	case plumbing.TagObject:
		line, _, _ := strings.Cut(string(content), "\n")
		hash, ok := strings.CutPrefix(line, "object ")
		if !ok || !plumbing.IsHash(hash) {
			return nil, errMalformedTag
		}
		return []bare.Hash{hashOf(hash)}, nil
	}
	return nil, nil
}

var errMalformedTag = errors.New("malformed tag")
