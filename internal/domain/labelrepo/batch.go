package labelrepo

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/domain/labelrepo/bare"
)

// batch is commits that are built upon a tip: nothing outside changes until its
// pack is sent and published.
type batch struct {
	repo    *Repo
	base    bare.Hash // the tip it builds upon
	tip     bare.Hash // the last commit so far
	pack    *bare.Pack
	folders map[string]*folder // by path; "" is the root
	before  *batch             // the one that it is built upon, while it is and if there is one

	commits []Commit
	results []Result // of each
}

// folder is a tree as it stands in the batch, to which its content belongs.
type folder struct {
	content []byte
	hash    bare.Hash
}

// build makes a batch of commits upon base, which is the tip of the batch
// before, if one is given.
func (r *Repo) build(commits []Commit, base bare.Hash, before *batch) (*batch, error) {
	b := &batch{repo: r, base: base, tip: base, folders: map[string]*folder{}, before: before, commits: commits, results: make([]Result, len(commits))}
	if err := b.openRoot(); err != nil {
		return nil, err
	}
	var err error
	if b.pack, err = r.store.NewPack(); err != nil {
		return nil, err
	}
	for i, c := range commits {
		if b.results[i], err = b.add(c); err != nil {
			break
		}
	}
	if err == nil {
		err = b.pack.Seal()
	}
	if err != nil {
		b.pack.Discard()
		return nil, err
	}
	b.before = nil
	return b, nil
}

// buildAhead makes the batch after b, which is on its way. What fails here will
// fail again when its turn comes.
func (r *Repo) buildAhead(commits []Commit, b *batch) {
	if len(commits) > 0 {
		r.ahead, _ = r.build(commits, b.tip, b)
	}
}

// takeAhead is the batch that was built ahead, if it is of these commits, and
// upon what is now the tip.
func (r *Repo) takeAhead(commits []Commit) *batch {
	b := r.ahead
	if b == nil || len(commits) != len(b.commits) || &commits[0] != &b.commits[0] || b.base != *r.tip.Load() {
		r.forgetAhead()
		return nil
	}
	r.ahead = nil
	return b
}

func (r *Repo) forgetAhead() {
	if r.ahead != nil {
		r.ahead.pack.Discard()
		r.ahead = nil
	}
}

// openRoot opens the root of the tree that the batch builds upon.
func (b *batch) openRoot() error {
	if b.known("") {
		return nil
	}
	b.folders[""] = &folder{}
	if b.base.IsZero() {
		return nil
	}
	commit, err := b.repo.readCommit(b.base)
	if err == nil {
		b.folders[""], err = b.load(commit.tree)
	}
	return err
}

// known says whether the batch has the folder, which it takes from the one
// before if that has it.
func (b *batch) known(path string) bool {
	if b.folders[path] == nil && b.before != nil {
		if f := b.before.folders[path]; f != nil {
			b.folders[path] = f
			delete(b.before.folders, path)
		}
	}
	return b.folders[path] != nil
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
		if b.known(full) {
			path = append(path, b.folders[full])
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
