package labelrepo

import (
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/domain/labelrepo/bare"
)

// readTree returns the content of a tree. The caller must not change the content.
func (r *Repo) readTree(hash bare.Hash) ([]byte, error) { return r.readObject(bare.Tree, hash) }

func (r *Repo) readCommit(hash bare.Hash) (commitObject, error) {
	content, err := r.readObject(bare.Commit, hash)
	if err != nil {
		return commitObject{}, err
	}
	c, err := parseCommit(content)
	if err != nil {
		err = fmt.Errorf("commit %s: %w", hash, err)
	}
	return c, err
}

func (r *Repo) readObject(kind bare.Kind, hash bare.Hash) ([]byte, error) {
	got, content, err := r.store.Read(hash)
	if err == nil && got != kind {
		err = fmt.Errorf("object %s is a %s and not a %s: %w", hash, got, kind, bare.ErrDamaged)
	}
	return content, err
}

// HasFile reports whether the branch has a file with the content at the path, as of
// the last Refresh or Push.
func (r *Repo) HasFile(path string, content []byte) (bool, error) {
	tip := *r.tip.Load()
	if tip.IsZero() {
		return false, nil
	}
	commit, err := r.readCommit(tip)
	if err != nil {
		return false, err
	}
	entry := treeEntry{mode: modeFolder, hash: commit.tree}
	for name := range strings.SplitSeq(path, "/") {
		if !entry.isFolder() {
			return false, nil
		}
		folder, err := r.readTree(entry.hash)
		if err != nil {
			return false, err
		}
		if entry, _, err = findEntry(folder, name, modeFile); err != nil {
			return false, err
		}
	}
	return entry.isFile() && entry.hash == bare.HashObject(bare.Blob, content), nil
}

func hashOf(sha string) bare.Hash { return plumbing.NewHash(sha) }

// shaOf returns a hash in hexadecimal, and "" for the zero hash.
func shaOf(hash bare.Hash) string {
	if hash.IsZero() {
		return ""
	}
	return hash.String()
}
