package bucket

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync/atomic"
	"time"

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
func ListBefore(ctx context.Context, b Bucket, prefix string, before time.Time) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		var keys []string
		for file, err := range b.List(ctx, prefix) {
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
		if len(keys) > 0 {
			yield(keys, nil)
		}
	}
}

// Delete deletes files, and returns the number of deleted files. A missing file is no error,
// because another server may delete the same files.
func Delete(ctx context.Context, b Bucket, keys []string) (int, error) {
	var count atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxDeletions)
	for _, key := range keys {
		group.Go(func() error {
			err := b.Delete(ctx, key)
			if errors.Is(err, fs.ErrNotExist) {
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
