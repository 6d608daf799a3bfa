package bare

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Read is the object's kind and content, checked against its name. The content
// must not be changed. An object that is not there is ErrMissing, one that is
// not what its name says ErrDamaged.
func (r *Repo) Read(h Hash) (Kind, []byte, error) {
	kind, content, err := r.read(h)
	if errors.Is(err, ErrMissing) {
		// An ordinary git may have pushed or repacked in the meantime.
		if err := r.reloadPacks(); err != nil {
			return 0, nil, err
		}
		kind, content, err = r.read(h)
	}
	if err == nil && HashObject(kind, content) != h {
		err = ErrDamaged
	}
	if err != nil {
		return 0, nil, fmt.Errorf("object %s: %w", h, err)
	}
	return kind, content, nil
}

func (r *Repo) read(h Hash) (Kind, []byte, error) {
	r.mu.RLock()
	packs := r.packs
	r.mu.RUnlock()
	for _, p := range packs {
		offset, found, err := p.find(h)
		if err != nil {
			return 0, nil, err
		}
		if found {
			return r.readPacked(p, offset, 0)
		}
	}
	return r.readLoose(h)
}

// reloadPacks brings the list of packs up to what is in the folder. Packs that are
// known stay open; those that are gone are closed by the garbage collector
// when nobody reads them any more.
func (r *Repo) reloadPacks() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	indexes, err := filepath.Glob(filepath.Join(r.packFolder(), "pack-*.idx"))
	if err != nil {
		return err
	}
	known := map[string]*pack{}
	for _, p := range r.packs {
		known[p.path] = p
	}
	var packs []*pack
	for _, index := range indexes {
		p := known[packPathOf(index)]
		if p == nil {
			p, err = openPack(index)
			if errors.Is(err, os.ErrNotExist) {
				continue // git just removed it, or the pack has yet to come
			}
			if err != nil {
				return err
			}
		}
		packs = append(packs, p)
	}
	r.packs = packs
	return nil
}

// Publish makes the objects of a sealed pack part of the repository. When it
// returns nil, they outlive a crash.
func (r *Repo) Publish(p *Pack) error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	return r.publish(p.file.Name(), p.entries, p.sum)
}

// publish gives a flushed pack its index and both their names.
func (r *Repo) publish(temporary string, entries []entry, sum Hash) error {
	defer os.Remove(temporary)
	index, err := r.writeTemporary(r.packFolder(), func(w io.Writer) error { return writeIndex(w, entries, sum) })
	if err != nil {
		return err
	}
	defer os.Remove(index)
	path := filepath.Join(r.packFolder(), "pack-"+sum.String())
	// The index first: a pack without index is looked for in vain by go-git,
	// an index without pack is swept at the next start.
	if err := os.Rename(index, path+".idx"); err != nil {
		return err
	}
	if err := os.Rename(temporary, path+".pack"); err != nil {
		return err
	}
	if err := flushFolder(r.packFolder()); err != nil {
		return err
	}
	p, err := openPack(path + ".idx")
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packs = append([]*pack{p}, slices.DeleteFunc(slices.Clone(r.packs), func(old *pack) bool { return old.path == p.path })...)
	return nil
}

// Ingest makes a pack that came from elsewhere part of the repository. It must
// stand by itself.
func (r *Repo) Ingest(source io.Reader) error {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := io.Copy(f, source); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	entries, sum, err := r.indexPack(f)
	if err != nil {
		return fmt.Errorf("the pack that came cannot be used: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	return r.publish(f.Name(), entries, sum)
}

// mergeCount is how many packs of about one size become one.
const mergeCount = 16

// largePackSize is the size from which a pack stays as it is, which bounds what
// one MergePacks copies, and leaves it to git gc.
const largePackSize = 4 << 20

// MergePacks gathers small packs into larger ones where there are many, so that
// their number grows with the logarithm of what was written. It copies at most
// 64 MB. Nothing is lost by a kill in between.
func (r *Repo) MergePacks() error {
	lower := int64(0)
	for _, limit := range []int64{largePackSize / 64, largePackSize / 8, largePackSize} {
		r.mu.RLock()
		group := slices.Clone(r.packs)
		r.mu.RUnlock()
		group = slices.DeleteFunc(group, func(p *pack) bool { return p.size < lower || p.size >= limit })
		if len(group) >= mergeCount {
			if err := r.merge(group); err != nil {
				return err
			}
		}
		lower = limit
	}
	return nil
}

// LargePacks is how many packs are beyond what MergePacks gathers, and how many bytes
// they have. Where they are many, git gc makes them smaller by far.
func (r *Repo) LargePacks() (packs int, bytes int64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.packs {
		if p.size >= largePackSize {
			packs++
			bytes += p.size
		}
	}
	return packs, bytes
}

// hasCompanions says whether git made more of the pack than its index: a
// bitmap, or a note to keep it. Then it is git's to gather.
func (p *pack) hasCompanions() bool {
	files, err := filepath.Glob(strings.TrimSuffix(p.path, "pack") + "*")
	return err != nil || len(files) != 2
}

// merge makes one pack of several by copying their entries as they are: deltas
// name their base by its distance, which stays.
func (r *Repo) merge(group []*pack) (err error) {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()

	var all []entry
	seen := map[Hash]bool{}
	var merged []*pack
	for _, p := range group {
		if p.hasCompanions() {
			continue
		}
		entries, err := p.entries()
		if err != nil {
			return err
		}
		// An object twice in one pack is more than git wants to see.
		if slices.ContainsFunc(entries, func(e entry) bool { return seen[e.hash] }) {
			continue
		}
		for _, e := range entries {
			seen[e.hash] = true
		}
		merged = append(merged, p)
		all = append(all, entries...)
	}
	if len(merged) < 2 {
		return nil
	}

	sum := sha1.New()
	out := io.MultiWriter(f, sum)
	header := make([]byte, packHeaderSize)
	putPackHeader(header, len(all))
	if _, err := out.Write(header); err != nil {
		return err
	}
	count, shift := 0, int64(0)
	for _, p := range merged {
		size, err := io.Copy(out, io.NewSectionReader(p.data, packHeaderSize, p.size-packHeaderSize-hashSize))
		if err != nil {
			return err
		}
		for i := range p.count() {
			all[count+i].offset += shift
		}
		count += p.count()
		shift += size
	}
	name := Hash(sum.Sum(nil))
	if _, err := f.Write(name[:]); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := r.publish(f.Name(), all, name); err != nil {
		return err
	}

	// Only now, and of each pack the index first, by which git knows it.
	for _, p := range merged {
		for _, path := range []string{indexPathOf(p.path), p.path} {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return r.reloadPacks()
}
