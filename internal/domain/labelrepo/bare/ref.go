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
)

// Ref is where the reference of that full name points, or the zero hash if
// there is none. One that holds no hash is ErrDamaged.
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

// packedRef looks into the file where git gc gathers references.
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

// MoveRef makes the reference point to next, if it points to previous (the
// zero hash: if there is none); else ErrMoved. When it returns nil, the new
// value outlives a crash.
func (r *Repo) MoveRef(name string, previous, next Hash) error {
	path := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary, err := r.writeTemporary(r.dir, contentWriter([]byte(next.String()+"\n")))
	if err != nil {
		return err
	}
	// Two names of one file until the end: so that after a kill the next
	// start knows this lock as ours, and does not wait for its holder.
	defer os.Remove(temporary)
	lock := path + ".lock"
	if err := os.Link(temporary, lock); err != nil {
		if errors.Is(err, os.ErrExist) {
			return ErrMoved // or just about to
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
	return flushFolder(filepath.Dir(path))
}
