package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"tagma/internal/base/instant"
	"tagma/internal/server/config"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/filelink"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/s3store"
)

// files is an open bucket, in a folder or in S3.
type files struct {
	bucket bucket.Bucket
	folder string          // empty for S3
	s3     *s3store.Bucket // nil for a folder
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
		local, err := open(folder)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			err = fmt.Errorf("the folder of files %s does not exist: correct --data or --storage, or mount the disk that has the folder", absolute(folder))
		case err != nil:
			err = fmt.Errorf("the folder of files %s cannot be used: correct --data or --storage, or give this user the right to use the folder: %w", absolute(folder), err)
		}
		return files{bucket: local, folder: folder}, err
	}
	remote, err := s3store.Open(ctx, storage, log)
	if err == nil {
		if err = remote.Check(ctx); err != nil {
			_ = remote.Close()
		}
	}
	if err != nil {
		return files{}, fmt.Errorf("--storage: %w", err)
	}
	return files{bucket: remote, s3: remote}, nil
}

// name returns the name of the bucket in messages.
func (f files) name() string {
	if f.s3 != nil {
		return f.s3.Name()
	}
	return absolute(f.folder)
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
	err := bucket.WriteAll(ctx, f.bucket, probeKey, make([]byte, probeBytes))
	if err == nil {
		err = f.bucket.Delete(ctx, probeKey)
	}
	if errors.Is(err, fs.ErrNotExist) { // another server removed it first
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
