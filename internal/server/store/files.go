package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"tagma/internal/base/instant"
	"tagma/internal/server/config"
	"tagma/internal/storage/filelink"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/s3store"
)

// files is an open bucket, in a folder or in S3.
type files struct {
	bucket *blob.Bucket
	folder string         // empty for S3
	s3     *s3store.Store // nil for a folder
}

// checkStorage returns an error if --storage names neither a folder nor a bucket.
func checkStorage(storage string) error {
	if folder, ok := strings.CutPrefix(storage, "file:"); ok && folder != "" || strings.HasPrefix(storage, s3store.Scheme) {
		return nil
	}
	return errors.New("--storage must be file: and a folder, or s3:// and a bucket")
}

// openFiles opens the bucket named by --storage. If makes is set, openFiles creates a
// missing folder. A bucket in S3 must exist and be accessible.
func openFiles(ctx context.Context, storage string, log *slog.Logger, makes bool) (files, error) {
	if folder, ok := strings.CutPrefix(storage, "file:"); ok {
		open := localblob.OpenExisting
		if makes {
			open = localblob.Open
		}
		bucket, err := open(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("the folder of files %s does not exist: correct --data or --storage, or mount the disk that has the folder", absolute(folder))
		case err != nil:
			err = fmt.Errorf("the folder of files %s cannot be used: correct --data or --storage, or give this user the right to use the folder: %w", absolute(folder), err)
		}
		return files{bucket: bucket, folder: folder}, err
	}
	remote, err := s3store.Open(ctx, storage, log)
	if err == nil {
		if err = remote.Check(ctx); err != nil {
			_ = remote.Bucket.Close()
		}
	}
	if err != nil {
		return files{}, fmt.Errorf("--storage: %w", err)
	}
	return files{bucket: remote.Bucket, s3: remote}, nil
}

// name returns the name of the bucket in messages.
func (f files) name() string {
	if f.s3 != nil {
		return f.s3.Name()
	}
	return absolute(f.folder)
}

// accessible returns an error if the bucket cannot be used.
func (f files) accessible(ctx context.Context) error {
	if f.s3 != nil {
		return f.s3.Check(ctx)
	}
	ok, err := f.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("the store of files is not there")
	}
	return err
}

const (
	// probeKey is the key of probeWrite's file. No other file has this key.
	probeKey = "write-probe"
	// probeBytes is the size of probeWrite's file.
	probeBytes = 64 << 10
)

// probeWrite writes a small file and removes the file, to test whether the bucket can be
// written to.
func (f files) probeWrite(ctx context.Context) error {
	err := f.bucket.WriteAll(ctx, probeKey, make([]byte, probeBytes), nil)
	if err == nil {
		err = f.bucket.Delete(ctx, probeKey)
	}
	if gcerrors.Code(err) == gcerrors.NotFound { // another server removed it first
		return nil
	}
	return err
}

// Links returns the maker of links to the files, and the handler of links under
// filelink.Prefix. The handler is nil on S3: links lead to S3 itself.
func (s *Store) Links(ctx context.Context, c *config.Config, log *slog.Logger) (filelink.Maker, http.Handler, error) {
	if s.files.s3 != nil {
		links, err := s.files.s3.Links(ctx, instant.System, c.LinkLifetime)
		return links, nil, err
	}
	signer, err := s.Signer(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	return signer, filelink.Handler(s.Bucket, signer, log), nil
}

// Targets returns the maker of targets, and the signer of targets on this server. With S3,
// only the targets of large files are on this server.
func (s *Store) Targets(ctx context.Context, c *config.Config) (filelink.Targets, *filelink.Signer, error) {
	signer, err := s.Signer(ctx, c)
	if err != nil || s.files.s3 == nil {
		return signer, signer, err
	}
	targets, err := s.files.s3.Targets(ctx, instant.System, signer)
	return targets, signer, err
}

// Signer returns the signer of links and targets on this server.
func (s *Store) Signer(ctx context.Context, c *config.Config) (*filelink.Signer, error) {
	secret, err := s.Secret(ctx, "file links", instant.System())
	if err != nil {
		return nil, err
	}
	return filelink.NewSigner(secret, instant.System, c.LinkLifetime)
}
