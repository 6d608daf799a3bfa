// Package localblob owns the storing of files in a folder of the local disk. It
// implements bucket.Bucket with durable writes: when a write returns nil, the file is
// on the disk.
//
// The bytes of a file on the disk are the bytes of the bucket's file, and the path
// is the key, so that any viewer can open a stored photograph. See names.go for keys
// with unusual characters.
//
// A write creates a temporary file in the target's folder, flushes the file,
// renames the file, and flushes the folder. So a crash at any moment leaves the old
// file or the new file, complete, and an acknowledged write is never lost. A crash
// may leave temporary files, whose names no key has. Sweep removes temporary files.
//
// Several processes may use a folder at once. The file system must support hard
// links and fsync of folders: ext4, XFS, Btrfs, ZFS and APFS do, FAT does not.
// Unlike in S3, a key cannot be both a file and a folder: if "a" is stored, "a/b"
// is refused.
//
// The package does not own the right to read a file, nor links: see filelink.
package localblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"

	"tagma/internal/storage/bucket"
)

// The modes of new folders and files. Other users of the machine have no access,
// because a photograph may show a person.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// Bucket is a bucket in a folder. All access to the disk goes through root, which
// neither a symbolic link nor ".." can leave.
type Bucket struct {
	dir  string // the path of root when root was opened
	root *os.Root

	// flush is (*os.File).Sync, except in tests of a failing flush.
	flush func(*os.File) error

	// durable holds the folders whose own names are known to be on the disk.
	durable sync.Map

	// unflushed holds the folders that OpenCopies flushes later. A bucket that
	// flushes each folder at once has no set: unflushed is nil.
	unflushed *folderSet
}

// Open opens the bucket in dir, and creates dir if dir does not exist. The caller
// closes the bucket.
func Open(dir string) (*Bucket, error) {
	b, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return b, nil
}

// OpenExisting opens the bucket in dir, and creates nothing. The error matches
// fs.ErrNotExist if dir does not exist. The caller closes the bucket.
func OpenExisting(dir string) (*Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return &Bucket{dir: dir, root: root, flush: (*os.File).Sync}, nil
}

func open(dir string) (*Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// makeFolder also flushes the names of the created folders.
	above := dir
	for {
		if _, err := os.Stat(above); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		above = filepath.Dir(above)
	}
	outer, err := os.OpenRoot(above)
	if err != nil {
		return nil, err
	}
	defer outer.Close()
	below, err := filepath.Rel(above, dir)
	if err != nil {
		return nil, err
	}
	outerBucket := &Bucket{root: outer, flush: (*os.File).Sync}
	if err := outerBucket.makeFolder(filepath.ToSlash(below)); err != nil {
		return nil, err
	}
	root, err := outer.OpenRoot(below)
	if err != nil {
		return nil, err
	}
	return &Bucket{dir: dir, root: root, flush: (*os.File).Sync}, nil
}

// ErrMoved reports that the folder of a bucket is no longer at its path: the folder
// was renamed, removed or replaced.
var ErrMoved = errors.New("localblob: the folder is not the one that was opened")

// checkMoved returns ErrMoved unless the open folder is still at its path. A renamed
// folder can still be written to, in a place where no reader would look.
func (b *Bucket) checkMoved() error {
	current, err := os.Stat(b.dir)
	if err != nil {
		// The error must not match fs.ErrNotExist: no file is missing.
		return fmt.Errorf("%w: %v", ErrMoved, err) //nolint:errorlint // see above
	}
	opened, err := b.root.Stat(".")
	if err == nil && !os.SameFile(current, opened) {
		err = fmt.Errorf("%w: another folder is at %q", ErrMoved, b.dir)
	}
	return err
}

// WriteError is a write below a bucket's folder that failed.
type WriteError struct {
	Dir string // the bucket's folder
	Err error
}

// Error names the folder.
func (e *WriteError) Error() string {
	return fmt.Sprintf("localblob: write below %q: %s", e.Dir, e.Err)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

func isWriteError(err error) bool {
	_, ok := errors.AsType[*WriteError](err)
	return ok
}

// wrapWrite returns the error of a write as a WriteError. The error matches ErrMoved
// if the folder is no longer at its path, and never fs.ErrNotExist: a file that could
// not be written is no missing file.
func (b *Bucket) wrapWrite(err error) error {
	if err == nil || isWriteError(err) || errors.Is(err, fs.ErrExist) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New(err.Error())
	}
	if moved := b.checkMoved(); moved != nil && !errors.Is(err, ErrMoved) {
		err = fmt.Errorf("%w: %w", moved, err)
	}
	return &WriteError{Dir: b.dir, Err: err}
}

// Check implements bucket.Bucket. The error matches ErrMoved if the folder is no
// longer at its path.
func (b *Bucket) Check(context.Context) error {
	if err := b.checkMoved(); err != nil {
		return err
	}
	f, err := b.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Close implements bucket.Bucket.
func (b *Bucket) Close() error { return b.root.Close() }

// Delete implements bucket.Bucket. It leaves the folders in place, because another
// process may be about to write to a folder.
func (b *Bucket) Delete(_ context.Context, key string) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	name := fileName(key)
	info, err := b.root.Lstat(name)
	if err != nil {
		return missing(err)
	}
	if err := checkFile(info); err != nil {
		return err
	}
	if err := b.checkMoved(); err != nil { // a file in another folder must not be deleted
		return b.wrapWrite(err)
	}
	if err := b.root.Remove(name); errors.Is(err, fs.ErrNotExist) {
		return err // another process deleted the file
	} else if err != nil {
		return b.wrapWrite(err)
	}
	return b.wrapWrite(b.flushFolder(path.Dir(name)))
}
