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

	"tagma/internal/base/fsync"
)

// Read returns the kind and content of an object, after a check of the content
// against h. The caller must not change the content. The error wraps ErrMissing,
// or ErrDamaged for content with another hash.
func (r *Repo) Read(h Hash) (Kind, []byte, error) {
	kind, content, err := r.read(h)
	if errors.Is(err, ErrMissing) {
		// An ordinary git may have pushed or repacked since the last reloadPacks.
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

// read is Read without a check of the hash and without a reload of the packs.
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

// reloadPacks opens new packs and forgets removed packs. Packs in the list stay
// open. The garbage collector closes a removed pack after its last reader.
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
				continue // git has just removed the pack, or has not renamed the pack yet
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

// Publish adds the objects of a sealed pack to the repository. After Publish
// returns nil, the objects survive a crash.
func (r *Repo) Publish(p *Pack) error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	return r.publish(p.file.Name(), p.entries, p.sum)
}

// publish writes the index of a flushed pack, and renames index and pack.
func (r *Repo) publish(temporary string, entries []entry, sum Hash) error {
	defer os.Remove(temporary)
	index, err := r.writeTemporary(r.packFolder(), func(w io.Writer) error { return writeIndex(w, entries, sum) })
	if err != nil {
		return err
	}
	defer os.Remove(index)
	path := filepath.Join(r.packFolder(), "pack-"+sum.String())
	// The index first: go-git fails at a pack without an index, and the next
	// start removes an index without a pack.
	if err := os.Rename(index, path+".idx"); err != nil {
		return err
	}
	if err := os.Rename(temporary, path+".pack"); err != nil {
		return err
	}
	if err := fsync.Folder(r.packFolder()); err != nil {
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

// Ingest adds a pack from a remote to the repository. Each delta's base must be
// in the same pack. The error wraps ErrDamaged for an invalid pack.
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
		return fmt.Errorf("the received pack is not valid: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	return r.publish(f.Name(), entries, sum)
}

// mergeCount is the number of packs of similar size at which MergePacks merges
// the packs into one.
const mergeCount = 16

// largePackSize is the size in bytes from which MergePacks leaves a pack to git
// gc. The limit bounds how much one MergePacks copies.
const largePackSize = 4 << 20

// MergePacks merges small packs, so the number of packs grows with the logarithm
// of the bytes written. MergePacks copies at most 64 MB. A kill loses no object.
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

// LargePacks returns the number and the total size of the packs that MergePacks
// leaves to git gc. If there are many, git gc saves most of the space.
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

// hasCompanions reports whether git wrote other files for the pack, such as a
// bitmap or a .keep file. MergePacks leaves such a pack to git.
func (p *pack) hasCompanions() bool {
	files, err := filepath.Glob(strings.TrimSuffix(p.path, "pack") + "*")
	return err != nil || len(files) != 2
}

// merge copies the entries of several packs into one pack without a change.
// Deltas stay valid, because an offset delta stores the distance to its base and
// the distance does not change.
func (r *Repo) merge(group []*pack) (err error) {
	f, err := os.CreateTemp(r.packFolder(), temporaryPrefix)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()

	var all []entry
	seen := map[Hash]bool{}
	var sources []*pack
	for _, p := range group {
		if p.hasCompanions() {
			continue
		}
		entries, err := p.entries()
		if err != nil {
			return err
		}
		// Git rejects a pack with two entries for the same object.
		if slices.ContainsFunc(entries, func(e entry) bool { return seen[e.hash] }) {
			continue
		}
		for _, e := range entries {
			seen[e.hash] = true
		}
		sources = append(sources, p)
		all = append(all, entries...)
	}
	if len(sources) < 2 {
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
	for _, p := range sources {
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

	// Remove the old packs after the new pack is published. Git finds a pack by
	// its index, so the index goes first.
	for _, p := range sources {
		for _, path := range []string{indexPathOf(p.path), p.path} {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return r.reloadPacks()
}
