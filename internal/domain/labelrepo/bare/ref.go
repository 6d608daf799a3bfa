package bare

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/base/fsync"
)

// Ref returns the hash of the reference with the full name, or the zero hash if
// the reference does not exist. The error wraps ErrDamaged if the file holds no
// hash.
func (r *Repo) Ref(name string) (Hash, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if errors.Is(err, os.ErrNotExist) {
		return r.packedRef(name)
	}
	if err != nil {
		return Hash{}, err
	}
	return parseHash(name, strings.TrimSuffix(string(text), "\n"))
}

// packedRef reads a reference from packed-refs, where git gc moves references to.
func (r *Repo) packedRef(name string) (Hash, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "packed-refs"))
	if errors.Is(err, os.ErrNotExist) {
		return Hash{}, nil
	}
	if err != nil {
		return Hash{}, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if hash, found := strings.CutSuffix(lines.Text(), " "+name); found {
			return parseHash(name, hash)
		}
	}
	return Hash{}, lines.Err()
}

func parseHash(name, text string) (Hash, error) {
	if !plumbing.IsHash(text) {
		return Hash{}, fmt.Errorf("reference %s: %w", name, ErrDamaged)
	}
	return plumbing.NewHash(text), nil
}

// MoveRef sets the reference to next if its value is previous, and returns
// ErrMoved otherwise. A previous of zero means that the reference must not exist.
// After MoveRef returns nil, the new value survives a crash.
func (r *Repo) MoveRef(name string, previous, next Hash) error {
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := r.writeTemporary(r.dir, contentWriter([]byte(next.String()+"\n")))
	if err != nil {
		return err
	}
	// The lock and the temporary file are hard links to one file until the end.
	// After a kill, the next start recognizes the lock by the temporary file and
	// removes both.
	defer os.Remove(temporary)
	lock := path + ".lock"
	if err := os.Link(temporary, lock); err != nil {
		if errors.Is(err, os.ErrExist) {
			return ErrMoved // an ordinary git holds the lock, and will move the reference
		}
		return err
	}
	current, err := r.Ref(name)
	if err == nil && current != previous {
		err = ErrMoved
	}
	if err == nil {
		err = os.Rename(lock, path)
	}
	if err != nil {
		os.Remove(lock)
		return err
	}
	return fsync.Folder(filepath.Dir(path))
}
