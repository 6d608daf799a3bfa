package bare

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// View is a read-only snapshot of a repository. A View takes no lock: the owner
// of the lock may write at the same time, and parts of the repository may be
// damaged. A View is not safe for concurrent use.
type View struct {
	repo   *Repo
	refs   map[string]Hash // by full name, such as refs/heads/main
	hashes []Hash          // of all objects, sorted
	faults []Fault         // faults of files, found by OpenView
}

// Fault is a defect of a repository on the disk.
type Fault struct {
	File   string // path within the repository, with slashes
	Object Hash   // the damaged object; zero for a fault of the file itself
	Err    error  // wraps ErrDamaged, ErrMissing, or an I/O error
}

// OpenView opens the repository in dir. The error wraps fs.ErrNotExist if dir
// holds no repository. The caller closes the View.
func OpenView(dir string) (*View, error) {
	if _, err := os.Stat(filepath.Join(dir, "objects")); err != nil {
		return nil, err
	}
	v := &View{repo: &Repo{dir: dir, cache: newObjectCache()}, refs: map[string]Hash{}}
	// References first: a writer publishes the objects before the reference
	// moves, so the objects of each reference are listed below.
	if err := v.readRefs(); err != nil {
		return nil, err
	}
	if err := v.openPacks(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	if err := v.listObjects(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// Close closes the packs.
func (v *View) Close() error { return v.repo.Close() }

// Refs returns the hash of each reference by full name. The caller must not
// change the map.
func (v *View) Refs() map[string]Hash { return v.refs }

// Has reports whether the repository has the object h. The object may be damaged.
func (v *View) Has(h Hash) bool {
	_, found := slices.BinarySearchFunc(v.hashes, h, compareHashes)
	return found
}

// Read returns the kind and content of the first undamaged copy of h. The caller
// must not change the content. The error wraps ErrMissing if the repository has
// no copy, and ErrDamaged if all copies are damaged.
func (v *View) Read(h Hash) (Kind, []byte, error) {
	copyErr := ErrMissing
	for _, p := range v.repo.packs {
		offset, found, err := p.find(h)
		if err == nil && found {
			var kind Kind
			var content []byte
			if kind, content, err = v.repo.readPacked(p, offset, 0); err == nil && HashObject(kind, content) == h {
				return kind, content, nil
			}
			err = cmp.Or(err, ErrDamaged)
		}
		if err != nil {
			copyErr = err
		}
	}
	kind, content, err := v.repo.readLoose(h)
	if err == nil && HashObject(kind, content) != h {
		err = ErrDamaged
	}
	if err != nil {
		if errors.Is(err, ErrMissing) {
			err = copyErr
		}
		return 0, nil, fmt.Errorf("object %s: %w", h, err)
	}
	return kind, content, nil
}

// Check reads every file and every object. Check calls visit for each undamaged
// object and report for each fault, and continues after a fault. Check calls pace
// with the number of bytes read since the last call; pace may block. An error of
// visit or pace ends the check.
func (v *View) Check(ctx context.Context, pace func(bytes int64) error, visit func(Hash, Kind, []byte) error, report func(Fault)) error {
	for _, fault := range v.faults {
		report(fault)
	}
	for _, p := range v.repo.packs {
		if err := v.checkPack(ctx, p, pace, visit, report); err != nil {
			return err
		}
	}
	return v.eachLoose(func(h Hash, name string) error {
		kind, content, err := v.repo.readLoose(h)
		if errors.Is(err, ErrMissing) {
			return nil // an ordinary git has packed the object since OpenView
		}
		if err == nil && HashObject(kind, content) != h {
			err = ErrDamaged
		}
		if err != nil {
			report(Fault{File: name, Object: h, Err: err})
			return ctx.Err()
		}
		return cmp.Or(ctx.Err(), pace(int64(len(content))), visit(h, kind, content))
	})
}

// checkPack checks the checksums of a pack and of its index, and each object of
// the pack.
func (v *View) checkPack(ctx context.Context, p *pack, pace func(int64) error, visit func(Hash, Kind, []byte) error, report func(Fault)) error {
	defer v.repo.ClearCache()
	for _, file := range []*os.File{p.index, p.data} {
		if err := verifyChecksum(ctx, file, pace); err != nil {
			if endsCheck(ctx, err) {
				return err
			}
			report(Fault{File: v.relativePath(file.Name()), Err: err})
		}
	}
	entries, err := p.entries()
	if err != nil {
		report(Fault{File: v.relativePath(p.index.Name()), Err: err})
		return nil
	}
	// By offset, so that the base of a delta is still in the cache.
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	for _, e := range entries {
		kind, content, err := v.repo.readPacked(p, e.offset, 0)
		if err == nil && HashObject(kind, content) != e.hash {
			err = ErrDamaged
		}
		if err != nil {
			report(Fault{File: v.relativePath(p.path), Object: e.hash, Err: err})
			err = ctx.Err()
		} else {
			err = cmp.Or(ctx.Err(), visit(e.hash, kind, content))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// paceError wraps an error of pace. The check ends with a paceError, and
// continues after other errors of a file.
type paceError struct{ error }

func (e paceError) Unwrap() error { return e.error }

// endsCheck reports whether err ends the check instead of being a fault.
func endsCheck(ctx context.Context, err error) bool {
	_, paced := errors.AsType[paceError](err)
	return paced || ctx.Err() != nil
}

// verifyChecksum checks that the last 20 bytes of a file are the SHA-1 of all
// bytes before, as in packs and indexes. The error wraps ErrDamaged for a wrong
// checksum.
func verifyChecksum(ctx context.Context, file *os.File, pace func(int64) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < hashSize {
		return ErrDamaged
	}
	sum, in := sha1.New(), io.NewSectionReader(file, 0, info.Size()-hashSize)
	for {
		n, err := io.CopyN(sum, in, 1<<20)
		if err := cmp.Or(ctx.Err(), pace(n)); err != nil {
			return paceError{err}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	var trailer Hash
	if _, err := file.ReadAt(trailer[:], info.Size()-hashSize); err != nil {
		return err
	}
	if !bytes.Equal(sum.Sum(nil), trailer[:]) {
		return fmt.Errorf("its checksum is wrong: %w", ErrDamaged)
	}
	return nil
}

// readRefs reads HEAD, the references in files of their own, and packed-refs.
func (v *View) readRefs() error {
	head, err := os.ReadFile(filepath.Join(v.repo.dir, "HEAD"))
	text := strings.TrimSuffix(string(head), "\n")
	switch {
	case err != nil:
		v.faults = append(v.faults, Fault{File: "HEAD", Err: err})
	case !strings.HasPrefix(text, "ref: refs/heads/") && !plumbing.IsHash(text):
		v.faults = append(v.faults, Fault{File: "HEAD", Err: ErrDamaged})
	}
	root := os.DirFS(v.repo.dir)
	err = fs.WalkDir(root, "refs", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasSuffix(name, ".lock") {
			return err
		}
		v.readRef(name)
		return nil
	})
	if err != nil {
		return err
	}
	packedRefs, err := os.ReadFile(filepath.Join(v.repo.dir, "packed-refs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(packedRefs)) {
		hash, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "^") {
			continue
		}
		if !ok || !plumbing.IsHash(hash) {
			v.faults = append(v.faults, Fault{File: "packed-refs", Err: ErrDamaged})
			continue
		}
		if _, loose := v.refs[name]; !loose {
			v.refs[name] = plumbing.NewHash(hash)
		}
	}
	return nil
}

// readRef reads a reference in a file of its own. Symbolic references are
// ignored.
func (v *View) readRef(name string) {
	text, err := os.ReadFile(filepath.Join(v.repo.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.HasPrefix(text, []byte("ref: ")) {
		return
	}
	var hash Hash
	if err == nil {
		hash, err = parseHash(name, strings.TrimSuffix(string(text), "\n"))
	}
	if err != nil {
		v.faults = append(v.faults, Fault{File: name, Err: err})
		return
	}
	v.refs[name] = hash
}

// openPacks opens all packs. A pack with an invalid header or index becomes a
// fault.
func (v *View) openPacks() error {
	indexes, err := filepath.Glob(filepath.Join(v.repo.packFolder(), "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		p, err := openPack(index)
		switch {
		case err == nil:
			v.repo.packs = append(v.repo.packs, p)
		case errors.Is(err, fs.ErrNotExist): // the pack was removed, or has no second file yet
		default:
			v.faults = append(v.faults, Fault{File: v.relativePath(packPathOf(index)), Err: err})
		}
	}
	return nil
}

// listObjects fills hashes with the hashes of all objects.
func (v *View) listObjects() error {
	for _, p := range v.repo.packs {
		names := make([]byte, p.count()*hashSize)
		if _, err := p.index.ReadAt(names, indexNames); err != nil && len(names) > 0 {
			continue // Check reports the index
		}
		for name := range slices.Chunk(names, hashSize) {
			v.hashes = append(v.hashes, Hash(name))
		}
	}
	err := v.eachLoose(func(h Hash, _ string) error {
		v.hashes = append(v.hashes, h)
		return nil
	})
	slices.SortFunc(v.hashes, compareHashes)
	v.hashes = slices.Compact(v.hashes)
	return err
}

func compareHashes(a, b Hash) int { return bytes.Compare(a[:], b[:]) }

// eachLoose calls visit for each loose object, with the file's path within the
// repository.
func (v *View) eachLoose(visit func(h Hash, name string) error) error {
	folders, err := os.ReadDir(filepath.Join(v.repo.dir, "objects"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(filepath.Join(v.repo.dir, "objects", folder.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, file := range files {
			hash := folder.Name() + file.Name()
			if !plumbing.IsHash(hash) {
				continue // a temporary file of an ordinary git
			}
			if err := visit(plumbing.NewHash(hash), path.Join("objects", folder.Name(), file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// relativePath returns path relative to the repository, with slashes.
func (v *View) relativePath(path string) string {
	name, err := filepath.Rel(v.repo.dir, path)
	if err != nil {
		return filepath.Base(path)
	}
	return filepath.ToSlash(name)
}
