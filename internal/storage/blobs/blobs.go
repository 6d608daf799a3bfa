// Package blobs owns what is done to many files of a store at once, wherever it
// is: looking through those that have been there for a while, and deleting.
//
// It does not own which of them anybody still needs: that is for the packages
// that put them there.
package blobs

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
	// looked is how many files Old gives at once: as many as are looked up in
	// one statement.
	looked = 1000
	// deleted is how many are deleted at the same time: a store that is another
	// machine takes some milliseconds for each.
	deleted = 16
)

// Old gives the keys of the files whose names begin with a prefix and that came
// before a moment, some hundreds at once. An error is the last thing it gives.
func Old(ctx context.Context, bucket *blob.Bucket, prefix string, before time.Time) iter.Seq2[[]string, error] {
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
			if len(keys) == looked {
				if !yield(keys, nil) {
					return
				}
				keys = nil
			}
		}
	}
}

// Delete deletes files, and tells how many. One that is not there is no error:
// another server may be clearing away too.
func Delete(ctx context.Context, bucket *blob.Bucket, keys []string) (int, error) {
	var gone atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleted)
	for _, key := range keys {
		group.Go(func() error {
			err := bucket.Delete(ctx, key)
			if gcerrors.Code(err) == gcerrors.NotFound {
				return nil
			}
			if err == nil {
				gone.Add(1)
			}
			return err
		})
	}
	err := group.Wait()
	return int(gone.Load()), err
}
