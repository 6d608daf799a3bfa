package labelrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/domain/labelrepo/bare"
)

// Batch is commits that were built upon a tip. Nothing outside the batch changes
// until Push sends and publishes the batch.
type Batch struct {
	repo    *Repo
	commits []Commit

	// What follows is guarded by repo.building.
	base    bare.Hash          // the tip that the batch builds upon
	tip     bare.Hash          // the last commit of the batch, or base if there is nothing to change
	pack    *bare.Pack         // the new objects; nil before the batch is built and after its Push
	folders map[string]*folder // by path; "" is the root
	after   *Batch             // the batch whose folders this batch may take; nil once the batch is built
	results []Result           // of each commit
}

// folder is a tree as the tree stands in a batch. The batch owns the content.
type folder struct {
	content []byte
	hash    bare.Hash
}

// Prepare builds commits for a Push: upon the batch after, while after is being
// pushed, or upon the tip if after is nil or its Push has ended. Prepare may run
// beside the Push of after. Prepare asks the remote nothing.
//
// A batch must be given to Push or to Discard.
func (r *Repo) Prepare(ctx context.Context, commits []Commit, after *Batch) (*Batch, error) {
	b := &Batch{repo: r, commits: commits}
	err := b.prepare(after)
	if isDamage(err) {
		if err := r.takeTurn(ctx); err != nil {
			return nil, err
		}
		err = r.heal(err)
		r.endTurn()
		if err == nil {
			err = b.prepare(nil)
		}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// prepare builds the batch upon after, or upon the tip.
func (b *Batch) prepare(after *Batch) error {
	b.repo.building.Lock()
	defer b.repo.building.Unlock()
	if after != nil && after.pack != nil {
		return b.build(after.tip, after)
	}
	return b.build(*b.repo.tip.Load(), nil)
}

// ensureBuilt builds the batch upon the tip, unless the batch is built upon the
// tip already.
func (b *Batch) ensureBuilt() error {
	b.repo.building.Lock()
	defer b.repo.building.Unlock()
	tip := *b.repo.tip.Load()
	if b.pack != nil && b.base == tip {
		return nil
	}
	return b.build(tip, nil)
}

// Discard removes what the batch holds on the disk. Discard may be called twice.
func (b *Batch) Discard() {
	b.repo.building.Lock()
	defer b.repo.building.Unlock()
	b.discard()
}

func (b *Batch) discard() {
	if b.pack != nil {
		b.pack.Discard()
	}
	b.pack, b.folders = nil, nil
}

// build makes the commits upon base. Base is the tip of the batch after, if
// there is one.
func (b *Batch) build(base bare.Hash, after *Batch) (err error) {
	b.discard()
	b.base, b.tip, b.after = base, base, after
	b.folders, b.results = map[string]*folder{}, make([]Result, len(b.commits))
	defer func() { b.after = nil }()
	if err := b.openRoot(); err != nil {
		return err
	}
	if b.pack, err = b.repo.store.NewPack(); err != nil {
		return err
	}
	for i, c := range b.commits {
		if b.results[i], err = b.add(c); err != nil {
			break
		}
	}
	if err == nil {
		err = b.pack.Seal()
	}
	if err != nil {
		b.discard()
	}
	return err
}

// openRoot opens the root of the tree that the batch builds upon.
func (b *Batch) openRoot() error {
	if b.hasFolder("") {
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

// hasFolder reports whether the batch has the folder. A folder of the batch
// after, if there is one, moves to this batch.
func (b *Batch) hasFolder(path string) bool {
	if b.folders[path] == nil && b.after != nil {
		if f := b.after.folders[path]; f != nil {
			b.folders[path] = f
			delete(b.after.folders, path)
		}
	}
	return b.folders[path] != nil
}

// load makes a folder of a tree that is in the repository.
func (b *Batch) load(hash bare.Hash) (*folder, error) {
	content, found := b.repo.trees.take(hash)
	if !found {
		shared, err := b.repo.readTree(hash)
		if err != nil {
			return nil, err
		}
		content = bytes.Clone(shared)
		b.repo.store.ClearCache() // no other folder builds upon what this one does
	}
	return &folder{content: content, hash: hash}, nil
}

// cacheFolders moves the folders to the cache of trees, for the next batch. Each
// folder must be in the repository as the folder stands.
func (b *Batch) cacheFolders() {
	for _, f := range b.folders {
		b.repo.trees.put(f.hash, f.content)
	}
	b.folders = nil
}

// add makes one commit of c, or none if the file already has that content.
// What is wrong with c alone is in the result; an error ends the batch.
func (b *Batch) add(c Commit) (Result, error) {
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
	blob := bare.HashObject(bare.Blob, file)
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
func (b *Batch) open(names []string) ([]*folder, error) {
	path := []*folder{b.folders[""]}
	for i, name := range names {
		full := strings.Join(names[:i+1], "/")
		if b.hasFolder(full) {
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
func (b *Batch) write(f *folder, old treeEntry, at int, name, mode string, hash bare.Hash) {
	var edit bare.Edit
	f.content, edit = setEntry(f.content, old, at, name, mode, hash)
	f.hash = b.pack.AddDelta(bare.Tree, f.hash, f.content, edit)
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
