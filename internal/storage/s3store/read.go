package s3store

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"tagma/internal/storage/bucket"
)

// reader reads an object by a single request, and by another request after each seek to
// another offset.
type reader struct {
	ctx    context.Context
	bucket *Bucket
	info   bucket.Info
	etag   *string       // of the object that Open found
	body   io.ReadCloser // the object from offset; nil after a seek
	offset int64
}

// Open implements bucket.Bucket.
func (b *Bucket) Open(ctx context.Context, key string) (bucket.Reader, error) {
	if err := bucket.CheckKey(key); err != nil {
		return nil, err
	}
	object, err := b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, missing(b.wrap("read", key, err))
	}
	info := bucket.Info{Key: key, Size: aws.ToInt64(object.ContentLength), ModTime: aws.ToTime(object.LastModified)}
	return &reader{ctx: ctx, bucket: b, info: info, etag: object.ETag, body: object.Body}, nil
}

// Info implements bucket.Reader.
func (r *reader) Info() bucket.Info { return r.info }

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if r.body == nil {
		if r.offset >= r.info.Size {
			return 0, io.EOF
		}
		// IfMatch has S3 refuse the bytes of another write.
		object, err := r.bucket.client.GetObject(r.ctx, &s3.GetObjectInput{
			Bucket: &r.bucket.name, Key: &r.info.Key, IfMatch: r.etag, Range: aws.String(fmt.Sprintf("bytes=%d-", r.offset)),
		})
		if err != nil {
			return 0, r.bucket.wrap("read", r.info.Key, err)
		}
		r.body = object.Body
	}
	n, err := r.body.Read(p)
	r.offset += int64(n)
	return n, err
}

// Seek implements io.Seeker. Seek sends no request.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.info.Size
	}
	if offset < 0 {
		return 0, fmt.Errorf("s3store: seek to %d in %q: %w", offset, r.info.Key, fs.ErrInvalid)
	}
	if offset == r.offset {
		return offset, nil
	}
	_ = r.Close() // the error is of bytes without a reader
	r.body, r.offset = nil, offset
	return offset, nil
}

// Close implements io.Closer.
func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
