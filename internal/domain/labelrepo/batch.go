package labelrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/domain/labelrepo/bare"
)

// Batch holds commits that are built upon a base commit. The repository does not
// change until Push sends and publishes the batch.
type Batch struct {
	repo    *Repo
	commits []Commit

	// The following fields are guarded by repo.buildMu.
	base     bare.Hash          // parent of the first commit
	tip      bare.Hash          // the last commit, or base if no file changes
	pack     *bare.Pack         // the new objects; nil before build and after Push or Discard
	folders  map[string]*folder // by path; "" is the root
	previous *Batch             // adoptFolder moves folders out of previous; nil except during build
	results  []Result           // one for each commit
}

// folder is a tree in memory, after the commits of the batch so far. The batch
// owns content and edits content in place.
type folder struct {
	content []byte
	hash    bare.Hash
}

// Prepare builds commits for a Push. A batch with a previous batch is built upon
// the tip of previous and may be prepared while previous is being pushed. Without
// previous, or after the Push of previous, the batch is built upon the tip of the
// branch. Prepare sends nothing to the remote. For a damaged cache, Prepare
// empties the cache and builds the batch again.
//
// The caller passes the batch to Push or calls Discard.
func (r *Repo) Prepare(ctx context.Context, commits []Commit, previous *Batch) (*Batch, error) {
	b := &Batch{repo: r, commits: commits}
	err := b.prepare(previous)
	if isDamage(err) {
		if err := r.takeTurn(ctx); err != nil {
			return nil, err
		}
		err = r.emptyCache(err)
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

// prepare builds the batch upon the tip of previous, or upon the tip of the
// branch.
func (b *Batch) prepare(previous *Batch) error {
	b.repo.buildMu.Lock()
	defer b.repo.buildMu.Unlock()
	if previous != nil && previous.pack != nil {
		return b.build(previous.tip, previous)
	}
	return b.build(*b.repo.tip.Load(), nil)
}

// ensureBuilt builds the batch upon the tip of the branch, unless the batch is
// already built upon this tip.
func (b *Batch) ensureBuilt() error {
	b.repo.buildMu.Lock()
	defer b.repo.buildMu.Unlock()
	tip := *b.repo.tip.Load()
	if b.pack != nil && b.base == tip {
		return nil
	}
	return b.build(tip, nil)
}

// Discard removes the temporary files of the batch. Discard may be called twice.
func (b *Batch) Discard() {
	b.repo.buildMu.Lock()
	defer b.repo.buildMu.Unlock()
	b.discard()
}

func (b *Batch) discard() {
	if b.pack != nil {
		b.pack.Discard()
	}
	b.pack, b.folders = nil, nil
}

// build makes the commits of the batch upon base. base is the tip of previous, if
// previous is not nil.
func (b *Batch) build(base bare.Hash, previous *Batch) (err error) {
	b.discard()
	b.base, b.tip, b.previous = base, base, previous
	b.folders, b.results = map[string]*folder{}, make([]Result, len(b.commits))
	defer func() { b.previous = nil }()
	if err := b.openRoot(); err != nil {
		return err
	}
	if b.pack, err = b.repo.store.NewPack(); err != nil {
		return err
	}
	for i, c := range b.commits {
		if b.results[i], err = b.addCommit(c); err != nil {
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

// openRoot loads the root folder of base.
func (b *Batch) openRoot() error {
	if b.adoptFolder("") {
		return nil
	}
	b.folders[""] = &folder{}
	if b.base.IsZero() {
		return nil
	}
	commit, err := b.repo.readCommit(b.base)
	if err == nil {
		b.folders[""], err = b.loadFolder(commit.tree)
	}
	return err
}

// adoptFolder reports whether the batch has the folder in memory. If the previous
// batch has the folder, the folder moves to this batch.
func (b *Batch) adoptFolder(path string) bool {
	if b.folders[path] == nil && b.previous != nil {
		if f := b.previous.folders[path]; f != nil {
			b.folders[path] = f
			delete(b.previous.folders, path)
		}
	}
	return b.folders[path] != nil
}

// loadFolder returns the folder of a tree in the repository.
func (b *Batch) loadFolder(hash bare.Hash) (*folder, error) {
	content, found := b.repo.trees.Take(hash)
	if !found {
		cached, err := b.repo.readTree(hash)
		if err != nil {
			return nil, err
		}
		content = bytes.Clone(cached)
		b.repo.store.ClearCache() // other folders have other deltas: the cached objects are of no use
	}
	return &folder{content: content, hash: hash}, nil
}

// cacheFolders moves the folders into the cache of trees, for the next batch. All
// folders must be published.
func (b *Batch) cacheFolders() {
	for _, f := range b.folders {
		b.repo.trees.Add(f.hash, f.content)
	}
	b.folders = nil
}

// addCommit makes one commit of c. If the file has the content already, addCommit
// makes no commit and returns the current tip. A defect of c is in Result.Err. An
// error ends the batch.
func (b *Batch) addCommit(c Commit) (Result, error) {
	if err := validatePath(c.Path); err != nil {
		return Result{Err: err}, nil
	}
	parts := strings.Split(c.Path, "/")
	names, name := parts[:len(parts)-1], parts[len(parts)-1]
	folders, err := b.openFolders(names)
	if err != nil {
		return conflictAsResult(err)
	}
	leaf := folders[len(folders)-1]
	old, pos, err := findEntry(leaf.content, name, modeFile)
	if err != nil {
		return Result{}, err
	}
	if old.isFolder() {
		return conflictAsResult(pathConflictError{c.Path, "folder"})
	}
	file := []byte(c.Content)
	blob := bare.HashObject(bare.Blob, file)
	if old.hash == blob && old.isFile() {
		return Result{SHA: b.tip.String()}, nil
	}

	b.pack.Add(bare.Blob, file)
	b.writeEntry(leaf, old, pos, name, modeFile, blob)
	for i := len(names) - 1; i >= 0; i-- {
		old, pos, err := findEntry(folders[i].content, names[i], modeFolder)
		if err != nil {
			return Result{}, err
		}
		b.writeEntry(folders[i], old, pos, names[i], modeFolder, folders[i+1].hash)
		b.folders[strings.Join(names[:i+1], "/")] = folders[i+1]
	}
	now := b.repo.cfg.Clock()
	object, err := encodeCommit(folders[0].hash, b.tip,
		c.Author.ident(c.AuthorTime), b.repo.cfg.Committer.ident(now), c.Message, b.repo.cfg.Signer)
	if err != nil {
		return Result{}, err
	}
	b.tip = b.pack.Add(bare.Commit, object)
	return Result{SHA: b.tip.String(), Changed: true}, nil
}

// openFolders returns the folders from the root down to the last name. A new
// folder is not in b.folders before addCommit writes an entry into the folder.
func (b *Batch) openFolders(names []string) ([]*folder, error) {
	folders := []*folder{b.folders[""]}
	for i, name := range names {
		path := strings.Join(names[:i+1], "/")
		if b.adoptFolder(path) {
			folders = append(folders, b.folders[path])
			continue
		}
		entry, _, err := findEntry(folders[i].content, name, modeFolder)
		if err != nil {
			return nil, err
		}
		f := &folder{}
		if entry.end > 0 {
			if !entry.isFolder() {
				return nil, pathConflictError{path, "file"}
			}
			if f, err = b.loadFolder(entry.hash); err != nil {
				return nil, err
			}
			b.folders[path] = f
		}
		folders = append(folders, f)
	}
	return folders, nil
}

// writeEntry sets an entry of a folder and adds the folder's new tree to the
// pack.
func (b *Batch) writeEntry(f *folder, old treeEntry, pos int, name, mode string, hash bare.Hash) {
	var edit bare.Edit
	f.content, edit = setEntry(f.content, old, pos, name, mode, hash)
	f.hash = b.pack.AddDelta(bare.Tree, f.hash, f.content, edit)
}

// pathConflictError reports a file where the path of a commit needs a folder, or
// a folder where the path needs a file.
type pathConflictError struct{ path, kind string }

func (e pathConflictError) Error() string {
	return fmt.Sprintf("in the label repository %.200q is a %s, which is in the way", e.path, e.kind)
}

// conflictAsResult returns a result for a pathConflictError, which concerns one
// commit alone. It returns other errors unchanged.
func conflictAsResult(err error) (Result, error) {
	if conflict := (pathConflictError{}); errors.As(err, &conflict) {
		return Result{Err: conflict}, nil
	}
	return Result{}, err
}
