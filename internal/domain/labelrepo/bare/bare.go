// Package bare owns a bare git repository on the local disk: its objects, its
// references, and that both survive a kill at any moment.
//
// It writes in its own way, because neither go-git nor a loose object that git
// writes by default is flushed before a reference points at it: new objects
// come as one pack, index first and pack second, both flushed before they get
// their names; a reference moves by a flushed file and a rename, under git's
// own lock, so that an ordinary git may use the repository at the same time.
// It does not know what the objects mean, nor any remote.
package bare

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"tagma/internal/base/filelock"
)

var (
	// ErrInUse says that another process writes to the repository.
	ErrInUse = errors.New("another process uses this repository")
	// ErrForeign says that a folder holds something that Tagma did not put
	// there, and must not touch.
	ErrForeign = errors.New("this folder holds something else: give an empty one")
	// ErrMissing says that an object is not there.
	ErrMissing = errors.New("object not found")
	// ErrDamaged says that what is on the disk cannot be right.
	ErrDamaged = errors.New("damaged")
	// ErrMoved says that a reference is not where the caller believed it to be.
	ErrMoved = errors.New("the reference has moved")
)

const (
	// temporaryPrefix begins the names of unfinished files. Git's own prune
	// knows the first half.
	temporaryPrefix = "tmp_tagma_"
	lockFile        = "tagma.lock"
	markFile        = "tagma.cache"

	// abandonedAfter is the age from which a lock that is not ours counts as
	// left behind by a git that died. A live one holds it for milliseconds.
	abandonedAfter = 10 * time.Minute
)

// Repo is a bare repository that this process alone writes through this
// package. Reading is safe at any time from any goroutine; writing is not safe
// beside other writing.
type Repo struct {
	dir  string
	lock *os.File

	mu    sync.RWMutex
	packs []*pack // the newest first

	inflaters sync.Pool
	cache     *objectCache // what deltas build on
}

// Open takes the bare repository in dir for this process, makes it if dir is
// empty or missing, and sweeps away what a killed process left unfinished.
// branch is what HEAD of a new repository names.
//
// disposable says that the repository is a copy that may be wiped. Open makes
// such a one, or takes one that it made, but never a repository that was
// something else before. Damage is found by the first Read.
func Open(dir, branch string, disposable bool) (*Repo, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := filelock.Lock(filepath.Join(dir, lockFile))
	if errors.Is(err, filelock.ErrLocked) {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("bare repository %s: %w", dir, err)
	}
	r := &Repo{dir: dir, lock: lock, cache: newObjectCache(16 << 20)}
	if disposable {
		err = r.markDisposable()
	}
	if err == nil {
		err = r.createMissing(branch)
	}
	if err == nil {
		err = r.sweep()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("bare repository %s: %w", dir, err)
	}
	return r, nil
}

// markDisposable notes in a new repository that it is disposable, before anything else
// is in it.
func (r *Repo) markDisposable() error {
	path := filepath.Join(r.dir, markFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); err == nil {
		return ErrForeign
	}
	return r.replace(path, []byte("Tagma made this copy of a repository, and may empty it at any time.\n"))
}

// ClearCache gives back the memory of what was read lately, which helps those who
// read much of the history.
func (r *Repo) ClearCache() { r.cache.clear() }

// Close gives the repository up.
func (r *Repo) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.packs {
		p.close()
	}
	r.packs = nil
	if r.lock == nil { // of a View
		return nil
	}
	return r.lock.Close()
}

// Wipe removes every object and reference, and leaves an empty repository.
func (r *Repo) Wipe(branch string) error {
	r.mu.Lock()
	r.packs = nil // a reader may still hold them; the collector closes them
	r.cache.clear()
	r.mu.Unlock()
	// References first: a kill in between leaves objects that nothing names,
	// not names of objects that are gone.
	for _, name := range []string{"packed-refs", "refs", "logs", "objects"} {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return r.createMissing(branch)
}

// createMissing makes what git looks for in a repository, where it is missing.
func (r *Repo) createMissing(branch string) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return err
	}
	foreign := func(e os.DirEntry) bool {
		return !slices.Contains([]string{lockFile, markFile, "objects", "refs", "HEAD", "config"}, e.Name()) &&
			!strings.HasPrefix(e.Name(), temporaryPrefix)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "HEAD")); err != nil && slices.ContainsFunc(entries, foreign) {
		return ErrForeign
	}
	for _, folder := range []string{"objects/pack", "objects/info", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(r.dir, folder), 0o700); err != nil {
			return err
		}
	}
	for name, text := range map[string]string{
		"HEAD":   "ref: refs/heads/" + branch + "\n",
		"config": "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
	} {
		path := filepath.Join(r.dir, name)
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			continue
		}
		if err := r.replace(path, []byte(text)); err != nil {
			return err
		}
	}
	return flushFolder(r.dir)
}

// replace gives path the content, whole or not at all.
func (r *Repo) replace(path string, content []byte) error {
	temporary, err := r.writeTemporary(r.dir, contentWriter(content))
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return flushFolder(filepath.Dir(path))
}

// writeTemporary makes a flushed file with a temporary name in folder.
func (r *Repo) writeTemporary(folder string, write func(io.Writer) error) (string, error) {
	f, err := os.CreateTemp(folder, temporaryPrefix)
	if err != nil {
		return "", err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// contentWriter writes content.
func contentWriter(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

func flushFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// sweep removes what a killed process left behind: temporary files, halves of
// packs, and locks.
func (r *Repo) sweep() error {
	for _, folder := range []string{r.dir, r.packFolder()} {
		temporaries, err := filepath.Glob(filepath.Join(folder, temporaryPrefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range temporaries {
			// A lock of ours is a second name of a temporary file.
			if err := r.removeLocksOf(path); err != nil {
				return err
			}
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	if err := r.eachLock(func(path string, info os.FileInfo) error {
		if time.Since(info.ModTime()) < abandonedAfter {
			return nil
		}
		return os.Remove(path)
	}); err != nil {
		return err
	}
	indexes, err := filepath.Glob(filepath.Join(r.packFolder(), "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		// Ours come index first. Git's own come pack first, so that a pack
		// without index may be one that git is just publishing: it stays.
		if _, err := os.Stat(packPathOf(index)); errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(index); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeLocksOf removes the locks that are the same file as temporary.
func (r *Repo) removeLocksOf(temporary string) error {
	ours, err := os.Lstat(temporary)
	if err != nil {
		return err
	}
	return r.eachLock(func(path string, info os.FileInfo) error {
		if !os.SameFile(ours, info) {
			return nil
		}
		return os.Remove(path)
	})
}

func (r *Repo) eachLock(visit func(path string, info os.FileInfo) error) error {
	return filepath.WalkDir(filepath.Join(r.dir, "refs"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".lock") {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return visit(path, info)
	})
}

func (r *Repo) packFolder() string { return filepath.Join(r.dir, "objects", "pack") }

func packPathOf(index string) string { return strings.TrimSuffix(index, ".idx") + ".pack" }
func indexPathOf(pack string) string { return strings.TrimSuffix(pack, ".pack") + ".idx" }

// Hash names an object.
type Hash = plumbing.Hash

// Kind is what an object is.
type Kind = plumbing.ObjectType

// The kinds of objects that stand by themselves.
const (
	Commit = plumbing.CommitObject
	Tree   = plumbing.TreeObject
	Blob   = plumbing.BlobObject
)
