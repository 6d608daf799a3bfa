package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/url"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"tagma/internal/storage/bucket"
	"tagma/internal/storage/filelink"
)

// cacheControl is the Cache-Control of every file: files never change, so browsers may
// cache for a year. The word private keeps files out of shared caches, because a
// photograph may show a person.
const cacheControl = "private, max-age=31536000, immutable"

// copyContentType is the Content-Type of a copy. A client may have written the source.
const copyContentType = "application/octet-stream"

// Create implements bucket.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, r io.Reader) error {
	err := b.upload(ctx, key, r, aws.String("*"))
	if hasCode(err, "PreconditionFailed") {
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

// Write implements bucket.Bucket.
func (b *Bucket) Write(ctx context.Context, key string, r io.Reader) error {
	return b.upload(ctx, key, r, nil)
}

// upload sends a file of less than 16 MiB in a single request, and a larger file in
// parts of 8 MiB, five parts at once. Some 64 MiB of a large file are in memory.
func (b *Bucket) upload(ctx context.Context, key string, r io.Reader, ifNoneMatch *string) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	source := &errorRecorder{Reader: r}
	_, err := b.transfers.UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket:       &b.name,
		Key:          &key,
		Body:         source,
		ContentType:  aws.String(filelink.ContentType(key)),
		CacheControl: aws.String(cacheControl),
		IfNoneMatch:  ifNoneMatch,
	})
	if source.err != nil {
		return source.err
	}
	return b.wrap("write", key, err)
}

// errorRecorder records the error of a reader, to tell an error of the reader from an
// error of S3.
type errorRecorder struct {
	io.Reader
	err error
}

func (r *errorRecorder) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// Copy implements bucket.Bucket. The copy has the bytes of the source and none of the
// properties, because a client may have written the source.
func (b *Bucket) Copy(ctx context.Context, to, from string) error {
	if err := errors.Join(bucket.CheckKey(to), bucket.CheckKey(from)); err != nil {
		return err
	}
	_, err := b.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket:            &b.name,
		Key:               &to,
		CopySource:        aws.String(url.QueryEscape(b.name + "/" + from)),
		ContentType:       aws.String(copyContentType),
		CacheControl:      aws.String(cacheControl),
		MetadataDirective: types.MetadataDirectiveReplace,
	}, func(o *s3.Options) { o.Retryer = aws.NopRetryer{} })
	return missing(b.wrap("copy", from, err))
}

// Stat implements bucket.Bucket.
func (b *Bucket) Stat(ctx context.Context, key string) (bucket.Info, error) {
	if err := bucket.CheckKey(key); err != nil {
		return bucket.Info{}, err
	}
	head, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return bucket.Info{}, missing(b.wrap("look at", key, err))
	}
	return bucket.Info{Key: key, Size: aws.ToInt64(head.ContentLength), ModTime: aws.ToTime(head.LastModified)}, nil
}

// Delete implements bucket.Bucket. Delete looks for the file first, because S3 answers
// the deletion of a missing file as any other deletion.
func (b *Bucket) Delete(ctx context.Context, key string) error {
	if _, err := b.Stat(ctx, key); err != nil {
		return err
	}
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return b.wrap("delete", key, err)
}

// List implements bucket.Bucket. List leaves out objects whose keys are no keys of files,
// such as the "folders" of AWS's console.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(bucket.Info{}, b.wrap("list", prefix, err))
				return
			}
			for _, object := range page.Contents {
				info := bucket.Info{Key: aws.ToString(object.Key), Size: aws.ToInt64(object.Size), ModTime: aws.ToTime(object.LastModified)}
				if bucket.CheckKey(info.Key) == nil && !yield(info, nil) {
					return
				}
			}
		}
	}
}

// wrap returns an error of S3 with the bucket, the operation and the key.
func (b *Bucket) wrap(operation, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("s3store: %s %q in %s: %w", operation, key, b.name, err)
}

// missing returns err, which also matches fs.ErrNotExist if S3 has no object of the key.
func missing(err error) error {
	if hasCode(err, "NoSuchKey", "NotFound") {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

// hasCode reports whether err is an answer of S3 with one of the codes.
func hasCode(err error, codes ...string) bool {
	answer, ok := errors.AsType[smithy.APIError](err)
	return ok && slices.Contains(codes, answer.ErrorCode())
}
