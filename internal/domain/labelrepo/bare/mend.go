package bare

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"

	"tagma/internal/base/fsync"
)

// damagedFolder is the folder of damaged files within the repository. Git does
// not read this folder.
const damagedFolder = "damaged"

// WriteLoose writes an object into a flushed file of its own and returns its
// hash. WriteLoose replaces a damaged file of the same object.
func (r *Repo) WriteLoose(kind Kind, content []byte) (Hash, error) {
	hash := HashObject(kind, content)
	hex := hash.String()
	folder := filepath.Join(r.dir, "objects", hex[:2])
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return hash, err
	}
	temporary, err := r.writeTemporary(r.dir, func(w io.Writer) error {
		z := zlib.NewWriter(w)
		fmt.Fprintf(z, "%s %d\x00", kind, len(content)) // Close returns the error
		_, _ = z.Write(content)
		return z.Close()
	})
	if err != nil {
		return hash, err
	}
	if err := os.Rename(temporary, filepath.Join(folder, hex[2:])); err != nil {
		os.Remove(temporary)
		return hash, err
	}
	return hash, errors.Join(fsync.Folder(folder), fsync.Folder(filepath.Dir(folder)))
}

// SetRef sets a reference to a commit without a check of its old value. The file
// of the reference may be damaged.
func (r *Repo) SetRef(name string, to Hash) error {
	return r.replace(filepath.Join(r.dir, filepath.FromSlash(name)), []byte(to.String()+"\n"))
}

// ReplaceDamaged moves damaged files into damagedFolder. The files are paths of
// faults that v found. An undamaged pack with a damaged index gets a new index.
// The readable objects of a damaged pack are copied into a new pack. Before the
// call, the caller must write the unreadable objects that the history needs, with
// WriteLoose.
func (r *Repo) ReplaceDamaged(v *View, files []string) error {
	for _, file := range files {
		path := filepath.Join(r.dir, filepath.FromSlash(file))
		if filepath.Dir(path) != r.packFolder() {
			h := plumbing.NewHash(filepath.Base(filepath.Dir(path)) + filepath.Base(path))
			if kind, content, err := r.readLoose(h); err == nil && HashObject(kind, content) == h {
				continue // WriteLoose has replaced the file
			}
			if err := r.moveToDamaged(path); err != nil {
				return err
			}
			continue
		}
		pack := path
		if filepath.Ext(pack) == ".idx" {
			pack = packPathOf(path)
		}
		if whole, err := r.reindexPack(pack); err != nil || whole {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.salvagePack(v, pack); err != nil {
			return err
		}
		if err := r.movePackToDamaged(pack); err != nil {
			return err
		}
	}
	return r.reloadPacks()
}

// reindexPack writes a new index for the pack at path if the pack is whole, and
// reports whether the pack is whole.
func (r *Repo) reindexPack(path string) (whole bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	entries, sum, err := r.indexPack(f)
	if err != nil {
		return false, nil //nolint:nilerr // the pack is damaged: the caller copies its readable objects
	}
	index, err := r.writeTemporary(r.packFolder(), func(w io.Writer) error { return writeIndex(w, entries, sum) })
	if err != nil {
		return false, err
	}
	if err := os.Rename(index, indexPathOf(path)); err != nil {
		os.Remove(index)
		return false, err
	}
	return true, fsync.Folder(r.packFolder())
}

// salvagePack copies the readable objects of a damaged pack into a new pack.
func (r *Repo) salvagePack(v *View, path string) error {
	at := slices.IndexFunc(v.repo.packs, func(p *pack) bool { return p.path == path })
	if at < 0 {
		return nil // without an index the offsets of the objects are unknown
	}
	old := v.repo.packs[at]
	entries, err := old.entries()
	if err != nil {
		return nil //nolint:nilerr // the index is damaged too
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	target, err := r.NewPack()
	if err != nil {
		return err
	}
	defer target.Discard()
	copier := packCopier{pack: target}
	for _, e := range entries {
		if kind, content, err := v.repo.readPacked(old, e.offset, 0); err == nil && HashObject(kind, content) == e.hash {
			copier.add(kind, content)
		}
	}
	if target.Len() == 0 {
		return nil
	}
	if err := target.Seal(); err != nil {
		return err
	}
	return r.Publish(target)
}

// movePackToDamaged moves a damaged pack and all of git's files for the pack into
// damagedFolder. Git finds a pack by its index, so the index goes first.
func (r *Repo) movePackToDamaged(path string) error {
	companions, err := filepath.Glob(path[:len(path)-len("pack")] + "*")
	if err != nil {
		return err
	}
	index := indexPathOf(path)
	slices.SortFunc(companions, func(a, b string) int {
		switch {
		case a == index:
			return -1
		case b == index:
			return 1
		}
		return 0
	})
	// A multi-pack-index names the removed pack. Git writes a new one.
	for _, file := range append(companions, filepath.Join(r.packFolder(), "multi-pack-index")) {
		if err := r.moveToDamaged(file); err != nil {
			return err
		}
	}
	return nil
}

// moveToDamaged moves a file into damagedFolder. A missing file is no error.
func (r *Repo) moveToDamaged(path string) error {
	folder := filepath.Join(r.dir, damagedFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	name := filepath.Base(path)
	if folderName := filepath.Base(filepath.Dir(path)); len(folderName) == 2 {
		name = folderName + name // a loose object: its hash is the name of the folder and of the file
	}
	err := os.Rename(path, filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, fsync.Folder(filepath.Dir(path)))
}

// packCopier copies objects into a pack. A tree becomes a delta of one of the
// last trees if the delta is much shorter. Without deltas, the copy of a large
// repository would be many times as large as the original.
type packCopier struct {
	pack   *Pack
	recent []treeVersion
}

type treeVersion struct {
	hash    Hash
	content []byte
}

// add writes an object, a tree possibly as a delta.
func (c *packCopier) add(kind Kind, content []byte) {
	if kind != Tree {
		c.pack.Add(kind, content)
		return
	}
	var base Hash
	best := Edit{Added: len(content) / 2}
	for _, old := range c.recent {
		if edit := computeEdit(old.content, content); edit.Added < best.Added {
			base, best = old.hash, edit
		}
	}
	hash := c.pack.AddDelta(kind, base, content, best)
	const maxRecent = 8
	if len(c.recent) == maxRecent {
		c.recent = c.recent[1:]
	}
	c.recent = append(c.recent, treeVersion{hash, bytes.Clone(content)})
}

// computeEdit returns the smallest single edit from one content to another.
func computeEdit(from, to []byte) Edit {
	limit := min(len(from), len(to))
	prefix := 0
	for prefix < limit && from[prefix] == to[prefix] {
		prefix++
	}
	suffix := 0
	for suffix < limit-prefix && from[len(from)-1-suffix] == to[len(to)-1-suffix] {
		suffix++
	}
	return Edit{Offset: prefix, Removed: len(from) - prefix - suffix, Added: len(to) - prefix - suffix}
}
