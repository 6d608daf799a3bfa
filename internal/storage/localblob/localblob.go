// Package localblob owns the storing of blobs in a folder of the local disk: a
// driver for gocloud.dev/blob for which "written" means "on the disk".
//
// A blob is one plain file. Its bytes are the file's bytes and its key is the
// file's path, so that a person can open a stored photograph with any viewer
// (names.go says how odd keys become paths). Attributes that differ from the
// defaults are extended attributes of the same file (attributes.go).
//
// A write goes to a temporary file beside its target, which is flushed, then
// renamed, and then the folder is flushed. So a crash at any moment leaves the
// old blob or the new one, whole and with its own attributes, and a write that
// was acknowledged stays. What a crash does leave is temporary files, which no
// key can name; Sweep clears them.
//
// Any number of processes may use a folder at once. The file system must have
// hard links and fsync for folders: that is, ext4, XFS, Btrfs, ZFS or APFS, not
// FAT. As in every file system, and unlike in S3, a key cannot be a blob and
// also the folder of others: with "a" stored, "a/b" is refused.
//
// The package does not own who may read a blob, nor links to one: see filelink.
package localblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// A photograph may show a person: others on the machine need not see it.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

var (
	errNoKey    = errors.New("localblob: a key has at least one character")
	errExists   = errors.New("localblob: a blob of this name exists")
	errUnsigned = errors.New("localblob: links are signed by package filelink")
)

// bucket implements driver.Bucket. All its access to the disk goes through
// root, which no symbolic link and no ".." can leave.
type bucket struct {
	dir  string // where root was when it was opened
	root *os.Root

	// flush is (*os.File).Sync, but in the tests of what happens if it fails.
	flush func(*os.File) error

	// lasting holds the folders whose own names are known to be on the disk.
	durable sync.Map

	// unflushed holds the folders that flushFolder leaves to the flush of
	// OpenCopies. It is nil in a bucket that flushes each folder at once.
	unflushed *folderSet
}

// Open opens the bucket that is kept in dir, and makes dir if it is missing.
// The caller closes the bucket.
func Open(dir string) (*blob.Bucket, error) {
	b, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return blob.NewBucket(b), nil
}

// OpenExisting opens the bucket that is kept in dir, and makes nothing. The error
// matches fs.ErrNotExist if dir is missing. The caller closes the bucket.
func OpenExisting(dir string) (*blob.Bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return blob.NewBucket(&bucket{dir: dir, root: root, flush: (*os.File).Sync}), nil
}

func open(dir string) (*bucket, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// The missing folders are made as those of a key are, so that they last.
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
	outerBucket := &bucket{root: outer, flush: (*os.File).Sync}
	if err := outerBucket.makeFolder(filepath.ToSlash(below)); err != nil {
		return nil, err
	}
	root, err := outer.OpenRoot(below)
	if err != nil {
		return nil, err
	}
	return &bucket{dir: dir, root: root, flush: (*os.File).Sync}, nil
}

// ErrMoved reports that the folder of a bucket is not at its path any more:
// somebody has renamed or removed the folder, or put another folder in its place.
var ErrMoved = errors.New("localblob: the folder is not the one that was opened")

// there returns ErrMoved unless the folder is still the one at its path. An open
// folder can be written to after it was renamed, where nobody would look for the
// files.
func (b *bucket) checkMoved() error {
	current, err := os.Stat(b.dir)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
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

// written makes a WriteError of the error of a write. It says so if the write
// failed because the folder is gone.
func (b *bucket) wrapWrite(err error) error {
	if err == nil || isWriteError(err) || errors.Is(err, errExists) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if moved := b.checkMoved(); moved != nil && !errors.Is(err, ErrMoved) {
		err = fmt.Errorf("%w: %w", moved, err)
	}
	return &WriteError{Dir: b.dir, Err: err}
}

// Close implements driver.Bucket.
func (b *bucket) Close() error { return b.root.Close() }

// ErrorCode implements driver.Bucket.
func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case isWriteError(err) && errors.Is(err, ErrMoved):
		return gcerrors.Unknown // NotFound would say that a blob need not be deleted
	case errors.Is(err, ErrMoved), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		// To read "a/b" where "a" is a blob says "not a folder".
		return gcerrors.NotFound
	case errors.Is(err, errExists):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errUnsigned), errors.Is(err, errors.ErrUnsupported):
		return gcerrors.Unimplemented
	default:
		return gcerrors.Unknown
	}
}

// As implements driver.Bucket. There is nothing to get at.
func (b *bucket) As(any) bool { return false }

// ErrorAs implements driver.Bucket.
func (b *bucket) ErrorAs(error, any) bool { return false }

// nothingAs is the answer to "as" of the hooks in options.
func noAs(any) bool { return false }

// call runs the hook of an option, where there is one.
func call(hook func(func(any) bool) error) error {
	if hook == nil {
		return nil
	}
	return hook(noAs)
}

// Delete implements driver.Bucket. It leaves the folders, for another process
// may be about to write into them.
func (b *bucket) Delete(_ context.Context, key string, opts *driver.DeleteOptions) error {
	if err := call(opts.BeforeDelete); err != nil {
		return err
	}
	name := fileName(key)
	info, err := b.root.Lstat(name)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fs.ErrNotExist
	}
	if err := b.checkMoved(); err != nil { // a deletion must not be acknowledged of another folder's file
		return b.wrapWrite(err)
	}
	if err := b.root.Remove(name); err != nil {
		return b.wrapWrite(err)
	}
	return b.wrapWrite(b.flushFolder(path.Dir(name)))
}

// SignedURL implements driver.Bucket.
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errUnsigned
}
