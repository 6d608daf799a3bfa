// Package bucket owns operations on many files of a bucket, on the local disk or in S3:
// listing old files, and deletion.
//
// The package does not own the decision which files are needed: the packages of the domain
// decide.
package bucket

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"
)

const (
	// listSize is the number of keys in an element of ListBefore: as many as one statement
	// looks up in the database.
	listSize = 1000
	// maxDeletions is the number of deletions at the same time: a deletion in S3 takes some
	// milliseconds.
	maxDeletions = 16
)

// ListBefore returns the keys with a prefix whose files were written before a time, in
// lists of up to listSize keys. An error is the last element.
func ListBefore(ctx context.Context, bucket *blob.Bucket, prefix string, before time.Time) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var keys []string
		files := bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			file, err := files.Next(ctx)
			if errors.Is(err, io.EOF) {
				if len(keys) > 0 {
					yield(keys, nil)
				}
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if file.ModTime.Before(before) {
				keys = append(keys, file.Key)
			}
			if len(keys) == listSize {
				if !yield(keys, nil) {
					return
				}
				keys = nil
			}
		}
	}
}

// Delete deletes files, and returns the number of deleted files. A missing file is no error,
// because another server may delete the same files.
func Delete(ctx context.Context, bucket *blob.Bucket, keys []string) (int, error) {
	var count atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxDeletions)
	for _, key := range keys {
		group.Go(func() error {
			err := bucket.Delete(ctx, key)
			if gcerrors.Code(err) == gcerrors.NotFound {
				return nil
			}
			if err == nil {
				count.Add(1)
			}
			return err
		})
	}
	err := group.Wait()
	return int(count.Load()), err
}
