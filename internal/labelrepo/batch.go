package labelrepo

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/labelrepo/bare"
)

// batch builds commits upon a tip, in memory: nothing outside changes until
// its pack is sent and published.
type batch struct {
	repo    *Repo
	base    bare.Hash // the tip it builds upon
	tip     bare.Hash // the last commit so far
	pack    *bare.Pack
	folders map[string]*folder // by path; "" is the root
}

// folder is a tree as it stands in the batch, to which its content belongs.
type folder struct {
	content []byte
	hash    bare.Hash
}

func (r *Repo) newBatch(base bare.Hash) (*batch, error) {
	b := &batch{repo: r, base: base, tip: base, folders: map[string]*folder{}}
	root := &folder{}
	if !base.IsZero() {
		commit, err := r.readCommit(base)
		if err != nil {
			return nil, err
		}
		if root, err = b.load(commit.tree); err != nil {
			return nil, err
		}
	}
	b.folders[""] = root
	var err error
	b.pack, err = r.store.NewPack()
	return b, err
}

// load makes a folder of a tree that is in the repository.
func (b *batch) load(hash bare.Hash) (*folder, error) {
	content, found := b.repo.trees.take(hash)
	if !found {
		shared, err := b.repo.readTree(hash)
		if err != nil {
			return nil, err
		}
		content = bytes.Clone(shared)
		b.repo.store.Forget() // no other folder builds upon what this one does
	}
	return &folder{content: content, hash: hash}, nil
}

// giveBack leaves the folders to the next batch, when they are in the
// repository as they stand. Those of a batch that failed are read again.
func (b *batch) giveBack() {
	for _, f := range b.folders {
		b.repo.trees.put(f.hash, f.content)
	}
}

// add makes one commit of c, or none if the file already has that content.
// What is wrong with c alone is in the result; an error ends the batch.
func (b *batch) add(c Commit) (Result, error) {
	if err := checkPath(c.Path); err != nil {
		return Result{Err: err}, nil
	}
	parts := strings.Split(c.Path, "/")
	names, name := parts[:len(parts)-1], parts[len(parts)-1]
	path, err := b.open(names)
	if err != nil {
		return refusedOr(err)
	}
	leaf := path[len(path)-1]
	old, at, err := findEntry(leaf.content, name, modeFile)
	if err != nil {
		return Result{}, err
	}
	if old.isFolder() {
		return refusedOr(inTheWay{c.Path, "folder"})
	}
	file := []byte(c.Content)
	blob := bare.NameOf(bare.Blob, file)
	if old.hash == blob && old.isFile() {
		return Result{SHA: b.tip.String()}, nil
	}

	b.pack.Add(bare.Blob, file)
	b.write(leaf, old, at, name, modeFile, blob)
	for i := len(names) - 1; i >= 0; i-- {
		old, at, err := findEntry(path[i].content, names[i], modeFolder)
		if err != nil {
			return Result{}, err
		}
		b.write(path[i], old, at, names[i], modeFolder, path[i+1].hash)
		b.folders[strings.Join(names[:i+1], "/")] = path[i+1]
	}
	now := b.repo.cfg.Clock()
	object, err := encodeCommit(path[0].hash, b.tip,
		c.Author.signature(c.AuthorTime), b.repo.cfg.Committer.signature(now), c.Message, b.repo.cfg.Signer)
	if err != nil {
		return Result{}, err
	}
	b.tip = b.pack.Add(bare.Commit, object)
	return Result{SHA: b.tip.String(), Changed: true}, nil
}

// open is the folders from the root down to names. One that is not there yet
// is made, and joins the batch when something is written into it.
func (b *batch) open(names []string) ([]*folder, error) {
	path := []*folder{b.folders[""]}
	for i, name := range names {
		full := strings.Join(names[:i+1], "/")
		if f, known := b.folders[full]; known {
			path = append(path, f)
			continue
		}
		entry, _, err := findEntry(path[i].content, name, modeFolder)
		if err != nil {
			return nil, err
		}
		f := &folder{}
		if entry.end > 0 {
			if !entry.isFolder() {
				return nil, inTheWay{full, "file"}
			}
			if f, err = b.load(entry.hash); err != nil {
				return nil, err
			}
			b.folders[full] = f
		}
		path = append(path, f)
	}
	return path, nil
}

// write puts one line into a folder, and the folder's new tree into the pack.
func (b *batch) write(f *folder, old treeEntry, at int, name, mode string, hash bare.Hash) {
	var edit bare.Edit
	f.content, edit = setEntry(f.content, old, at, name, mode, hash)
	f.hash = b.pack.AddEdited(bare.Tree, f.hash, f.content, edit)
}

// inTheWay says that what a path needs as one kind of thing is another.
type inTheWay struct{ path, kind string }

func (e inTheWay) Error() string {
	return fmt.Sprintf("in the label repository %.200q is a %s, which is in the way", e.path, e.kind)
}

// refusedOr is a result for an error that concerns one commit alone.
func refusedOr(err error) (Result, error) {
	if way := (inTheWay{}); errors.As(err, &way) {
		return Result{Err: way}, nil
	}
	return Result{}, err
}
