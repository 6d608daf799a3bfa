package localblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"tagma/internal/storage/bucket"
)

// reader reads an open file. If the file is replaced or deleted, reader goes on with
// the bytes of the open file.
type reader struct {
	io.ReadSeekCloser
	info bucket.Info
}

// Info implements bucket.Reader.
func (r *reader) Info() bucket.Info { return r.info }

// Open implements bucket.Bucket.
func (b *Bucket) Open(_ context.Context, key string) (bucket.Reader, error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	f, err := b.root.Open(fileName(key))
	if err != nil {
		return nil, missing(err)
	}
	info, err := f.Stat()
	if err == nil {
		err = checkFile(info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &reader{f, infoOf(key, info)}, nil
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(_ context.Context, key string) (bucket.Info, error) {
	if err := bucket.CheckKey(key); err != nil {
		return bucket.Info{}, err
	}
	info, err := b.root.Stat(fileName(key))
	if err != nil {
		return bucket.Info{}, missing(err)
	}
	return infoOf(key, info), checkFile(info)
}

func infoOf(key string, info fs.FileInfo) bucket.Info {
	return bucket.Info{Key: key, Size: info.Size(), ModTime: info.ModTime()}
}

// checkFile returns an error that matches fs.ErrNotExist for a folder.
func checkFile(info fs.FileInfo) error {
	if info.IsDir() {
		return fmt.Errorf("localblob: %q is a folder: %w", info.Name(), fs.ErrNotExist)
	}
	return nil
}

// missing returns the error of a read. The error also matches fs.ErrNotExist for a read
// of "a/b" where "a" is a file.
func missing(err error) error {
	if errors.Is(err, syscall.ENOTDIR) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
