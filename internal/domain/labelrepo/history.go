package labelrepo

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
)

// File is the state of a file after a commit, with the data of the commit.
type File struct {
	Path    string
	Kind    FileKind
	Content []byte // nil if Removed, or if Kind is not Regular
	Removed bool

	SHA        string // hash of the commit
	Author     Identity
	AuthorTime instant.Instant // whole seconds
	Committer  Identity
	CommitTime instant.Instant
	Message    string // with trailers
}

// FileKind is the kind of a file in a commit.
type FileKind int

// The kinds of files.
const (
	Regular   FileKind = iota
	Link               // a symbolic link
	Submodule          // a commit of another repository
)

// Files yields every file at the tip with the given prefix of its path. Each file
// comes with the last commit that changed the file, as in git log. The file with
// the newest commit comes first. Links and submodules are left out. Files reads
// the tip of the last Refresh or Push, and no more history than necessary.
// Writers do not wait for Files. Files ends after an error.
func (r *Repo) Files(ctx context.Context, prefix string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		tip := *r.tip.Load()
		if tip.IsZero() {
			return
		}
		pending := map[string]bare.Hash{} // files whose last commit is not found yet
		commit, err := r.readCommit(tip)
		if err == nil {
			err = r.diff(ctx, bare.Hash{}, commit.tree, "", prefix, func(path string, kind FileKind, hash bare.Hash) error {
				if kind == Regular {
					pending[path] = hash
				}
				return nil
			})
		}
		if err != nil {
			yield(File{}, err)
			return
		}
		for hash, err := range r.newestFirst(ctx, tip) {
			if err != nil {
				yield(File{}, err)
				return
			}
			if len(pending) == 0 {
				return
			}
			for file, err := range r.commitChanges(ctx, hash, prefix) {
				if err != nil {
					yield(File{}, err)
					return
				}
				if file.Kind != Regular || pending[file.Path].IsZero() || pending[file.Path] != file.blob {
					continue
				}
				delete(pending, file.Path)
				if !r.yieldFile(file, yield) {
					return
				}
			}
		}
		// After some merges, no commit differs from all of its parents in a file.
		// Such a file comes with the tip.
		for _, path := range slices.Sorted(maps.Keys(pending)) {
			if !r.yieldFile(fileChange{newFile(path, Regular, tip, commit), pending[path]}, yield) {
				return
			}
		}
	}
}

// Changes yields the files that each commit since from changed, with parents
// before children. Links and submodules come without content. A link or submodule in
// the place of a folder of the prefix comes too, because nothing below is read. For a merge, Changes yields the files that differ from all
// parents. An empty from means the whole history. Changes reads the tip of the
// last Refresh or Push. Writers do not wait for Changes. Changes ends after an
// error. The error is ErrRewritten if from is not in the history.
func (r *Repo) Changes(ctx context.Context, from, prefix string) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		commits, err := r.commitsSince(ctx, *r.tip.Load(), hashOf(from))
		if err != nil {
			yield(File{}, err)
			return
		}
		for _, hash := range commits {
			for file, err := range r.commitChanges(ctx, hash, prefix) {
				if err != nil {
					yield(File{}, err)
					return
				}
				if !r.yieldFile(file, yield) {
					return
				}
			}
		}
	}
}

// fileChange is a File whose content is not read yet.
type fileChange struct {
	File
	blob bare.Hash // zero if the file was removed
}

// yieldFile reads the content of a file and yields the file or an error. It
// reports whether the iteration goes on.
func (r *Repo) yieldFile(c fileChange, yield func(File, error) bool) bool {
	if c.Removed = c.blob.IsZero(); c.Removed || c.Kind != Regular {
		return yield(c.File, nil)
	}
	content, err := r.readObject(bare.Blob, c.blob)
	if err != nil {
		yield(File{}, fmt.Errorf("file %q of commit %s: %w", c.Path, c.SHA, err))
		return false
	}
	c.Content = bytes.Clone(content) // the cache owns the original
	return yield(c.File, nil)
}

func newFile(path string, kind FileKind, hash bare.Hash, c commitObject) File {
	return File{
		Path: path, Kind: kind, SHA: hash.String(),
		Author: c.author, AuthorTime: c.authorTime,
		Committer: c.committer, CommitTime: c.commitTime,
		Message: c.message,
	}
}

// commitChanges yields the files in which a commit differs from all of its
// parents, sorted by path.
func (r *Repo) commitChanges(ctx context.Context, hash bare.Hash, prefix string) iter.Seq2[fileChange, error] {
	return func(yield func(fileChange, error) bool) {
		commit, err := r.readCommit(hash)
		if err != nil {
			yield(fileChange{}, err)
			return
		}
		parents := []bare.Hash{{}} // the empty tree
		if len(commit.parents) > 0 {
			parents = parents[:0]
			for _, p := range commit.parents {
				parent, err := r.readCommit(p)
				if err != nil {
					yield(fileChange{}, err)
					return
				}
				parents = append(parents, parent.tree)
			}
		}
		changes := map[string]fileChange{}
		counts := map[string]int{} // number of parents from which a file differs
		for _, parent := range parents {
			err := r.diff(ctx, parent, commit.tree, "", prefix, func(path string, kind FileKind, blob bare.Hash) error {
				changes[path] = fileChange{newFile(path, kind, hash, commit), blob}
				counts[path]++
				return nil
			})
			if err != nil {
				yield(fileChange{}, err)
				return
			}
		}
		for _, path := range slices.Sorted(maps.Keys(changes)) {
			if counts[path] < len(parents) {
				continue
			}
			if !yield(changes[path], nil) {
				return
			}
		}
	}
}

// diff calls visit for each file that differs between two trees, with the kind and
// the hash in newTree, or the zero hash for a removed file. The zero hash as a tree means the
// empty tree. diff does not read folders with equal hashes.
func (r *Repo) diff(ctx context.Context, oldTree, newTree bare.Hash, folder, prefix string, visit func(path string, kind FileKind, blob bare.Hash) error) error {
	if oldTree == newTree {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	oldCursor, err := r.openTree(oldTree)
	if err != nil {
		return err
	}
	newCursor, err := r.openTree(newTree)
	if err != nil {
		return err
	}
	compare := func(e treeEntry, oldHash, newHash bare.Hash) error {
		path := folder + string(e.name)
		isAbove := strings.HasPrefix(prefix, path+"/")
		switch {
		case oldHash == newHash:
		case e.isFolder() && (isAbove || strings.HasPrefix(path+"/", prefix)):
			return r.diff(ctx, oldHash, newHash, path+"/", prefix, visit)
		case e.isFolder():
		case strings.HasPrefix(path, prefix), isAbove && !e.isFile():
			return visit(path, e.fileKind(), newHash)
		}
		return nil
	}
	old, hasOld, err := oldCursor.next()
	for err == nil && hasOld {
		var e treeEntry
		var hasNew bool
		position := newCursor.pos
		if e, hasNew, err = newCursor.next(); err != nil {
			break
		}
		order := -1
		if hasNew {
			order = compareEntries(old, e)
		}
		switch {
		case order < 0: // removed; the next iteration reads the new entry again
			newCursor.pos = position
			err = compare(old, old.hash, bare.Hash{})
		case order > 0:
			err = compare(e, bare.Hash{}, e.hash)
			continue
		case e.isFile() == old.isFile():
			err = compare(e, old.hash, e.hash)
		default: // a file became a link, or a link became a file
			err = compare(e, bare.Hash{}, e.hash)
		}
		if err == nil {
			old, hasOld, err = oldCursor.next()
		}
	}
	for err == nil {
		e, hasNew, nextErr := newCursor.next()
		if nextErr != nil || !hasNew {
			return nextErr
		}
		err = compare(e, bare.Hash{}, e.hash)
	}
	return err
}

// openTree returns a cursor at the first entry of a tree.
func (r *Repo) openTree(tree bare.Hash) (treeCursor, error) {
	if tree.IsZero() {
		return treeCursor{}, nil
	}
	content, err := r.readTree(tree)
	return treeCursor{content: content}, err
}
