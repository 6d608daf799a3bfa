package labelrepo

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/domain/labelrepo/bare"
)

// Fault is something that is wrong with the label repository on the disk.
type Fault struct {
	Kind   FaultKind
	Object string // the object's hash, or "" for a file that is no object
	File   string // the file's name within the repository, if the fault is in a file
	From   string // for a missing object: the object or reference that names it
	Err    error
}

// FaultKind is what is wrong.
type FaultKind string

// The kinds of faults.
const (
	Missing FaultKind = "missing" // something names the object, and it is not there
	Damaged FaultKind = "damaged" // the object is not what its hash says, or a file not what its checksum says
)

// Pace is told how many bytes were read, and may wait. Its error ends a check.
type Pace func(bytes int64) error

// noPace does not wait.
func noPace(int64) error { return nil }

// Check reads the whole repository in a folder, without its lock: beside the
// server that writes to it. As git fsck does, Check compares each object with its
// hash, each pack and index with its checksum, and looks up whatever an object or
// a reference names. Check calls found for each fault, goes on after it, and
// returns how many objects were read. A folder without a repository has none.
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
		c.checkExists(h, name)
	}
	return objects, c.reportMissing(dir, report)
}

func convertFault(f bare.Fault) Fault { return Fault{Damaged, shaOf(f.Object), f.File, "", f.Err} }

// checker looks up what objects name.
type checker struct {
	view         *bare.View
	missing      map[bare.Hash]string // by what named them first
	previousTree []byte               // the tree before, whose entries were looked up
}

// checkReferences looks up what an object names.
func (c *checker) checkReferences(h bare.Hash, kind bare.Kind, content []byte, report func(Fault)) {
	var err error
	if kind == bare.Tree {
		err = c.checkTreeEntries(h, content)
	} else {
		var names []bare.Hash
		names, err = referencesOf(kind, content)
		for _, name := range names {
			c.checkExists(name, h.String())
		}
	}
	if err != nil {
		report(Fault{Kind: Damaged, Object: h.String(), Err: err})
	}
}

// checkTreeEntries looks up the entries of a tree, but for those that the tree before
// had too at the same place: in a flat folder each is as long as all files.
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
			c.checkExists(e.hash, h.String())
		}
	}
	c.previousTree = append(c.previousTree[:0], content...)
	return nil
}

func (c *checker) checkExists(h bare.Hash, referrer string) {
	if !c.view.Has(h) {
		if _, known := c.missing[h]; !known {
			c.missing[h] = referrer
		}
	}
}

// reportMissing tells of what is missing, after a second look: a server or a git may
// have gathered packs while their folder was listed.
func (c *checker) reportMissing(dir string, report func(Fault)) error {
	if len(c.missing) == 0 {
		return nil
	}
	again, err := bare.OpenView(dir)
	if err != nil {
		return err
	}
	defer again.Close()
	for _, h := range sortedHashes(c.missing) {
		if !again.Has(h) {
			report(Fault{Kind: Missing, Object: h.String(), From: c.missing[h], Err: bare.ErrMissing})
		}
	}
	return nil
}

func sortedHashes[V any](set map[bare.Hash]V) []bare.Hash {
	all := make([]bare.Hash, 0, len(set))
	for h := range set {
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b bare.Hash) int { return bytes.Compare(a[:], b[:]) })
	return all
}

// modeSubmodule is the mode of an entry that names a commit of another repository.
const modeSubmodule = "160000"

// referencesOf returns the objects that an object names.
func referencesOf(kind bare.Kind, content []byte) ([]bare.Hash, error) {
	switch kind {
	case bare.Commit:
		c, err := parseCommit(content)
		return append(c.parents, c.tree), err
	case bare.Tree:
		var names []bare.Hash
		for e, err := range parseTree(content) {
			if err != nil {
				return nil, err
			}
			if e.mode != modeSubmodule {
				names = append(names, e.hash)
			}
		}
		return names, nil
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

// Describe returns what a fault is of, in words: without the address of anything
// on this machine.
func (f Fault) Describe() string { return cmp.Or(f.Object, f.File) }
