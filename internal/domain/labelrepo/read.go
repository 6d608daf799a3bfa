package labelrepo

import (
	"fmt"

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

func hashOf(sha string) bare.Hash { return plumbing.NewHash(sha) }

// shaOf returns a hash in hexadecimal, and "" for the zero hash.
func shaOf(hash bare.Hash) string {
	if hash.IsZero() {
		return ""
	}
	return hash.String()
}
