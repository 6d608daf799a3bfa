// Package bare owns a bare git repository on the local disk: its objects, its
// references, and the survival of both when the process is killed at any moment.
// It does not own the meaning of the objects, and it does not know any remote.
//
// The package writes packs and references itself, because neither go-git nor
// git's default for loose objects flushes an object before a reference points to
// the object. New objects are written as one pack. The index is renamed first and
// the pack second, after both are flushed. A reference moves by a flushed file
// and a rename under git's own lock file, so an ordinary git may use the
// repository at the same time.
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

	"tagma/internal/base/bytecache"
	"tagma/internal/base/filelock"
	"tagma/internal/base/fsync"
)

var (
	// ErrInUse is returned if another process holds the repository's lock.
	ErrInUse = errors.New("another process uses this repository")
	// ErrForeign is returned for a folder with files of another program. Tagma
	// must not touch such a folder.
	ErrForeign = errors.New("this folder holds something else: give an empty one")
	// ErrMissing is returned if no file of the repository holds the object.
	ErrMissing = errors.New("object not found")
	// ErrDamaged is returned if the content of a file contradicts its format, its
	// checksum or its hash.
	ErrDamaged = errors.New("damaged")
	// ErrMoved is returned if a reference does not have the value that the caller
	// expected.
	ErrMoved = errors.New("the reference has moved")
)

// UnsupportedError is returned for a repository of a kind that this package cannot
// write.
type UnsupportedError struct{ Why string } // a sentence about the repository, with a remedy

func (e *UnsupportedError) Error() string { return e.Why }

const (
	// temporaryPrefix begins the names of unfinished files. "tmp_" is the prefix
	// that git prune removes.
	temporaryPrefix = "tmp_tagma_"
	lockFile        = "tagma.lock"
	markFile        = "tagma.cache"

	// abandonedAfter is the age of a lock file at which its git process counts as
	// dead. A live git holds a lock for milliseconds.
	abandonedAfter = 10 * time.Minute
)

// Repo is a bare repository. Only this process writes to the repository through
// this package. Any goroutine may read at any time. Calls that write must not run
// concurrently.
type Repo struct {
	dir  string
	lock *os.File

	mu    sync.RWMutex
	packs []*pack // newest first

	inflaters sync.Pool
	cache     *bytecache.Cache[objectKey, object] // objects that deltas have as their base
}

// Open locks the bare repository in dir for this process. Open creates the
// repository if dir is empty or missing, and removes the unfinished files of a
// killed process. The HEAD of a new repository names branch. Read finds damage,
// Open does not. Open returns an *UnsupportedError for a shallow repository, and for
// a repository with SHA-256 or reftables.
//
// A disposable repository is a copy that may be wiped. With disposable, Open
// returns ErrForeign for a repository that Open did not create as disposable. The
// caller closes the Repo.
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
	r := &Repo{dir: dir, lock: lock, cache: newObjectCache()}
	if disposable {
		err = r.markDisposable()
	}
	if err == nil {
		err = r.checkKind()
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

// markDisposable writes the mark file into a new repository, before any other
// file. It returns ErrForeign for a repository without a mark file.
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

// checkKind returns an *UnsupportedError for a repository that git made with
// another kind of hashes or references, or without the whole history.
func (r *Repo) checkKind() error {
	if info, err := os.Stat(filepath.Join(r.dir, "shallow")); err == nil && info.Size() > 0 {
		return &UnsupportedError{"the repository is a shallow clone, and Tagma reads the whole history: run git fetch --unshallow in the repository"}
	}
	text, err := os.ReadFile(filepath.Join(r.dir, "config"))
	if err != nil {
		return nil //nolint:nilerr // a new repository; createMissing reports other errors
	}
	for line := range strings.Lines(strings.ToLower(string(text))) {
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch key = strings.TrimSpace(key); {
		case key == "objectformat" && value != "sha1":
			return &UnsupportedError{"the repository uses SHA-256, and Tagma writes SHA-1: make the repository with git init --bare --object-format=sha1"}
		case key == "refstorage" && value != "files":
			return &UnsupportedError{"the repository has its references in a table, and Tagma writes files: make the repository with git init --bare --ref-format=files"}
		}
	}
	return nil
}

// ClearCache frees the memory of recently read objects. Readers of a long history
// call ClearCache.
func (r *Repo) ClearCache() { r.cache.Clear() }

// Close closes the packs and releases the lock.
func (r *Repo) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.packs {
		p.close()
	}
	r.packs = nil
	if r.lock == nil { // a View has no lock
		return nil
	}
	return r.lock.Close()
}

// Wipe removes every object and reference. The repository is empty afterwards.
func (r *Repo) Wipe(branch string) error {
	r.mu.Lock()
	r.packs = nil // a reader may still use the packs: the garbage collector closes their files
	r.cache.Clear()
	r.mu.Unlock()
	// References first: a kill in between leaves unreferenced objects, not
	// references to missing objects.
	for _, name := range []string{"packed-refs", "refs", "logs", "objects"} {
		if err := os.RemoveAll(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return r.createMissing(branch)
}

// createMissing creates the files and folders that git requires in a repository
// and that do not exist. It returns ErrForeign for a folder with other files and
// without a HEAD.
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
	return fsync.Folder(r.dir)
}

// replace replaces the file at path atomically and flushes the folder.
func (r *Repo) replace(path string, content []byte) error {
	temporary, err := r.writeTemporary(r.dir, contentWriter(content))
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return fsync.Folder(filepath.Dir(path))
}

// writeTemporary creates a flushed file with a temporary name in folder and
// returns the path. The caller renames or removes the file.
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

// contentWriter returns a function that writes content, for writeTemporary.
func contentWriter(content []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}
}

// sweep removes the files of a killed process: temporary files, indexes without a
// pack, and abandoned locks.
func (r *Repo) sweep() error {
	for _, folder := range []string{r.dir, r.packFolder()} {
		temporaries, err := filepath.Glob(filepath.Join(folder, temporaryPrefix+"*"))
		if err != nil {
			return err
		}
		for _, path := range temporaries {
			// A lock of this package is a hard link to a temporary file.
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
		// This package renames the index first, so an index without a pack is
		// unfinished. Git renames the pack first: a pack without an index may
		// belong to a running git and stays.
		if _, err := os.Stat(packPathOf(index)); errors.Is(err, os.ErrNotExist) {
			if err := os.Remove(index); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeLocksOf removes the locks that are hard links to the file temporary.
func (r *Repo) removeLocksOf(temporary string) error {
	temporaryInfo, err := os.Lstat(temporary)
	if err != nil {
		return err
	}
	return r.eachLock(func(path string, info os.FileInfo) error {
		if !os.SameFile(temporaryInfo, info) {
			return nil
		}
		return os.Remove(path)
	})
}

// eachLock calls visit for each lock file of a reference.
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

// Hash is the SHA-1 of an object.
type Hash = plumbing.Hash

// Kind is the type of an object.
type Kind = plumbing.ObjectType

// The kinds of objects, without tags and deltas.
const (
	Commit = plumbing.CommitObject
	Tree   = plumbing.TreeObject
	Blob   = plumbing.BlobObject
)
