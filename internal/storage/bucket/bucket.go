// Package bucket owns the interface of a bucket, and operations on many files of a bucket:
// listing old files, and deletion.
//
// A bucket is a folder of the local disk (package localblob) or a bucket in S3 (package
// s3store). Package buckettest tests each promise of the interface on both.
//
// The package does not own the decision which files are needed: the packages of the domain
// decide. Package filelink owns links to files.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"time"
	"unicode"
)

// Bucket holds files by key. A file has bytes, the time of its last write, and no other
// properties. A Bucket is safe for concurrent use, and other processes may use the same
// folder or bucket in S3 at the same time.
//
// Errors match these values of package fs by errors.Is:
//   - fs.ErrInvalid for a key that CheckKey refuses, from every method with a key;
//   - fs.ErrNotExist for a missing file, from Open, Stat, Copy and Delete only;
//   - fs.ErrExist for an existing file, from Create only.
//
// A write is atomic and durable. When Create, Write or Copy returns nil, the file survives a
// crash and every reader sees the new bytes. Until then every reader sees the file as it was
// before. After an error the file is as it was before, or complete if the bucket failed
// after the last byte; a file is never partial.
type Bucket interface {
	// Open returns a reader for the bytes of a file. The caller closes the reader. Reads
	// may fail after the end of ctx.
	Open(ctx context.Context, key string) (Reader, error)

	// Stat returns the properties of a file.
	Stat(ctx context.Context, key string) (Info, error)

	// Create writes a new file with the bytes of r up to io.EOF. Of several concurrent
	// calls for one key, one succeeds. The others return an error.
	//
	// Another error of r ends Create, which stores nothing and returns the error of r
	// unchanged. After the end of ctx Create stores nothing and returns an error.
	Create(ctx context.Context, key string, r io.Reader) error

	// Write does the same as Create, but replaces an existing file.
	Write(ctx context.Context, key string, r io.Reader) error

	// Copy writes the bytes of the file from to the file to, and replaces an existing
	// file. Copy sends one request to S3 and never repeats it, because S3 may execute a
	// request that seemed to fail later, when the bytes of from may have changed.
	Copy(ctx context.Context, to, from string) error

	// Delete deletes a file.
	Delete(ctx context.Context, key string) error

	// List returns the files whose keys begin with prefix, each once, in no particular
	// order. Any text is a prefix. A file that is written or deleted meanwhile may be
	// listed or not. An error is the last element.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Check returns an error if the bucket cannot be read.
	Check(ctx context.Context) error

	// Close releases the bucket. The caller calls no method afterwards.
	Close() error
}

// Reader reads the bytes of one write of a file. If the file is replaced or deleted
// meanwhile, a read returns the old bytes or an error. A read after a seek beyond the end
// returns io.EOF. A Reader is for one goroutine.
type Reader interface {
	io.ReadSeekCloser
	Info() Info
}

// Info holds the properties of a file.
type Info struct {
	Key     string
	Size    int64
	ModTime time.Time // of the last write; S3 knows whole seconds
}

// maxKey is the largest length of a key in bytes: the limit of S3.
const maxKey = 1024

// CheckKey returns an error that matches fs.ErrInvalid unless key is a key: a path by the
// rules of fs.ValidPath, of at most 1,024 bytes and without control characters.
func CheckKey(key string) error {
	if fs.ValidPath(key) && key != "." && len(key) <= maxKey && !strings.ContainsFunc(key, unicode.IsControl) {
		return nil
	}
	return fmt.Errorf("bucket: the key %.100q is not a path of at most %d bytes without control characters: %w", key, maxKey, fs.ErrInvalid)
}

// ReadAll returns the bytes of a file.
func ReadAll(ctx context.Context, b Bucket, key string) ([]byte, error) {
	r, err := b.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content := make([]byte, r.Info().Size)
	if _, err := io.ReadFull(r, content); err != nil {
		return nil, fmt.Errorf("bucket: read %q: %w", key, err)
	}
	return content, nil
}

// WriteAll writes content by b.Write.
func WriteAll(ctx context.Context, b Bucket, key string, content []byte) error {
	return b.Write(ctx, key, bytes.NewReader(content))
}

// Exists reports whether there is a file of a key.
func Exists(ctx context.Context, b Bucket, key string) (bool, error) {
	_, err := b.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// CheckAtEOF returns a reader of r that calls check at the end of r and returns an error of
// check in place of io.EOF. A Bucket stores nothing if check returns an error.
func CheckAtEOF(r io.Reader, check func() error) io.Reader { return &checkedReader{r, check} }

type checkedReader struct {
	io.Reader
	check func() error
}

func (r *checkedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		if failed := r.check(); failed != nil {
			return n, failed
		}
	}
	return n, err
}
