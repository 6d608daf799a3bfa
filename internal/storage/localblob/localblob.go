// Package localblob owns the storing of blobs in a folder of the local disk. It is
// a driver for gocloud.dev/blob with durable writes: a closed writer means that the
// blob is on the disk.
//
// A blob is one plain file. The bytes of the file are the bytes of the blob, and
// the path of the file is the key, so that any viewer can open a stored photograph.
// See names.go for keys with unusual characters. Attributes that differ from the
// defaults are extended attributes of the file (attributes.go).
//
// A write creates a temporary file in the target's folder, flushes the file,
// renames the file, and flushes the folder. So a crash at any moment leaves the old
// blob or the new blob, complete and with its own attributes, and an acknowledged
// write is never lost. A crash may leave temporary files, whose names no key has.
// Sweep removes temporary files.
//
// Several processes may use a folder at once. The file system must support hard
// links and fsync of folders: ext4, XFS, Btrfs, ZFS and APFS do, FAT does not.
// Unlike in S3, a key cannot be both a blob and a folder: if "a" is stored, "a/b"
// is refused.
//
// The package does not own the right to read a blob, nor links: see filelink.
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

// The modes of new folders and files. Other users of the machine have no access,
// because a photograph may show a person.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

var (
	errNoKey    = errors.New("localblob: a key has at least one character")
	errExists   = errors.New("localblob: a blob of this name exists")
	errUnsigned = errors.New("localblob: links are signed by package filelink")
)

// bucket implements driver.Bucket. All access to the disk goes through root, which
// neither a symbolic link nor ".." can leave.
type bucket struct {
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
func Open(dir string) (*blob.Bucket, error) {
	b, err := open(dir)
	if err != nil {
		return nil, fmt.Errorf("localblob: open %q: %w", dir, err)
	}
	return blob.NewBucket(b), nil
}

// OpenExisting opens the bucket in dir, and creates nothing. The error matches
// fs.ErrNotExist if dir does not exist. The caller closes the bucket.
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

// ErrMoved reports that the folder of a bucket is no longer at its path: the folder
// was renamed, removed or replaced.
var ErrMoved = errors.New("localblob: the folder is not the one that was opened")

// checkMoved returns ErrMoved unless the open folder is still at its path. A renamed
// folder can still be written to, in a place where no reader would look.
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

// wrapWrite returns the error of a write as a WriteError. The error also matches
// ErrMoved if the folder is no longer at its path.
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
		// The error is ENOTDIR for a read of "a/b" where "a" is a blob.
		return gcerrors.NotFound
	case errors.Is(err, errExists):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errUnsigned), errors.Is(err, errors.ErrUnsupported):
		return gcerrors.Unimplemented
	default:
		return gcerrors.Unknown
	}
}

// As implements driver.Bucket. It returns false: the driver exposes no types.
func (b *bucket) As(any) bool { return false }

// ErrorAs implements driver.Bucket.
func (b *bucket) ErrorAs(error, any) bool { return false }

// noAs is the function "as" that the hooks of options receive.
func noAs(any) bool { return false }

// call calls the hook of an option, unless the hook is nil.
func call(hook func(func(any) bool) error) error {
	if hook == nil {
		return nil
	}
	return hook(noAs)
}

// Delete implements driver.Bucket. It leaves the folders in place, because another
// process may be about to write to a folder.
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
	if err := b.checkMoved(); err != nil { // a file in another folder must not be deleted
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
