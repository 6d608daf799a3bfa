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
)

// asideFolder is where damaged files go, within the repository, where no git
// looks.
const asideFolder = "damaged"

// Put writes an object into a file of its own, flushed, under the name that its
// content has. It replaces a damaged file of that name.
func (r *Repo) Put(kind Kind, content []byte) (Hash, error) {
	name := NameOf(kind, content)
	hex := name.String()
	folder := filepath.Join(r.dir, "objects", hex[:2])
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return name, err
	}
	temporary, err := r.writeTemporary(r.dir, func(w io.Writer) error {
		z := zlib.NewWriter(w)
		fmt.Fprintf(z, "%s %d\x00", kind, len(content)) // Close tells the error
		_, _ = z.Write(content)
		return z.Close()
	})
	if err != nil {
		return name, err
	}
	if err := os.Rename(temporary, filepath.Join(folder, hex[2:])); err != nil {
		os.Remove(temporary)
		return name, err
	}
	return name, errors.Join(flushFolder(folder), flushFolder(filepath.Dir(folder)))
}

// SetRef makes a reference point to a commit, wherever it pointed before: for one
// whose file is damaged.
func (r *Repo) SetRef(name string, to Hash) error {
	return r.replace(filepath.Join(r.dir, filepath.FromSlash(name)), []byte(to.String()+"\n"))
}

// Replace takes damaged files out of use. A pack that is whole gets a new index.
// Of a damaged pack, whatever can be read becomes a new pack. The damaged files
// are moved aside, into a folder of their own. Files are names of a View's faults.
// The caller sees to it that the repository has every other object that it needs.
func (r *Repo) Replace(v *View, files []string) error {
	for _, file := range files {
		path := filepath.Join(r.dir, filepath.FromSlash(file))
		if filepath.Dir(path) != r.packFolder() {
			h := plumbing.NewHash(filepath.Base(filepath.Dir(path)) + filepath.Base(path))
			if kind, content, err := r.loose(h); err == nil && NameOf(kind, content) == h {
				continue // Put has replaced it
			}
			if err := r.setAside(path); err != nil {
				return err
			}
			continue
		}
		pack := path
		if filepath.Ext(pack) == ".idx" {
			pack = packOf(path)
		}
		if whole, err := r.reindex(pack); err != nil || whole {
			if err != nil {
				return err
			}
			continue
		}
		if err := r.copyPack(v, pack); err != nil {
			return err
		}
		if err := r.setAsidePack(pack); err != nil {
			return err
		}
	}
	return r.scan()
}

// reindex gives a pack that is whole itself a new index, and reports whether the
// pack is whole.
func (r *Repo) reindex(path string) (whole bool, err error) {
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
		return false, nil //nolint:nilerr // the pack is damaged: what can be read is copied
	}
	index, err := r.writeTemporary(r.packFolder(), func(w io.Writer) error { return writeIndex(w, entries, sum) })
	if err != nil {
		return false, err
	}
	if err := os.Rename(index, indexOf(path)); err != nil {
		os.Remove(index)
		return false, err
	}
	return true, flushFolder(r.packFolder())
}

// copyPack makes a pack of whatever can be read of a damaged one, if anything.
func (r *Repo) copyPack(v *View, path string) error {
	at := slices.IndexFunc(v.repo.packs, func(p *pack) bool { return p.path == path })
	if at < 0 {
		return nil // nothing says what is in it
	}
	old := v.repo.packs[at]
	entries, err := old.entries()
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	fresh, err := r.NewPack()
	if err != nil {
		return err
	}
	defer fresh.Discard()
	copied := recentTrees{pack: fresh}
	for _, e := range entries {
		if kind, content, err := v.repo.object(old, e.offset, 0); err == nil && NameOf(kind, content) == e.hash {
			copied.add(kind, content)
		}
	}
	if fresh.Len() == 0 {
		return nil
	}
	if err := fresh.Seal(); err != nil {
		return err
	}
	return r.Publish(fresh)
}

// setAsidePack moves a damaged pack and all that git made for it aside, the index
// first, by which git knows it.
func (r *Repo) setAsidePack(path string) error {
	companions, err := filepath.Glob(path[:len(path)-len("pack")] + "*")
	if err != nil {
		return err
	}
	index := indexOf(path)
	slices.SortFunc(companions, func(a, b string) int {
		switch {
		case a == index:
			return -1
		case b == index:
			return 1
		}
		return 0
	})
	// It names the packs that there were; git makes it again.
	for _, file := range append(companions, filepath.Join(r.packFolder(), "multi-pack-index")) {
		if err := r.setAside(file); err != nil {
			return err
		}
	}
	return nil
}

// setAside moves a file to where no git looks.
func (r *Repo) setAside(path string) error {
	folder := filepath.Join(r.dir, asideFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	name := filepath.Base(path)
	if above := filepath.Base(filepath.Dir(path)); len(above) == 2 {
		name = above + name // an object's
	}
	err := os.Rename(path, filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, flushFolder(filepath.Dir(path)))
}

// recentTrees writes objects into a pack, each tree as an edit of one that was
// written shortly before, where that is shorter: else a copy of a large
// repository would be many times as long as the original.
type recentTrees struct {
	pack   *Pack
	recent []tree
}

type tree struct {
	name    Hash
	content []byte
}

func (t *recentTrees) add(kind Kind, content []byte) {
	if kind != Tree {
		t.pack.Add(kind, content)
		return
	}
	var base Hash
	best := Edit{Added: len(content) / 2}
	for _, old := range t.recent {
		if edit := editOf(old.content, content); edit.Added < best.Added {
			base, best = old.name, edit
		}
	}
	name := t.pack.AddEdited(kind, base, content, best)
	const kept = 8
	if len(t.recent) == kept {
		t.recent = t.recent[1:]
	}
	t.recent = append(t.recent, tree{name, bytes.Clone(content)})
}

// editOf returns the one edit that makes a content of another.
func editOf(from, to []byte) Edit {
	most := min(len(from), len(to))
	before := 0
	for before < most && from[before] == to[before] {
		before++
	}
	after := 0
	for after < most-before && from[len(from)-1-after] == to[len(to)-1-after] {
		after++
	}
	return Edit{At: before, Removed: len(from) - before - after, Added: len(to) - before - after}
}
