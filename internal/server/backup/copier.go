package backup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// concurrency is the number of files copied at the same time. A single copy would
// mostly wait for the disk.
const concurrency = 8

// rereadRuns is the number of runs in which each older file is read again once.
const rereadRuns = 30

// rereads reports whether a run reads an older file again. A hash of the key
// spreads the files evenly over rereadRuns runs.
func rereads(key string, run int) bool {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(key))
	return int(sum.Sum32()%rereadRuns) == run%rereadRuns
}

// entry is a file in the folder files of a backup.
type entry struct {
	sum     digest
	here    bool // the new generation names the file
	remains bool // an older generation to keep names the file
}

// copier copies the files of a store into a backup. The method copy is safe for
// concurrent use.
type copier struct {
	from, to bucket.Bucket
	run      int

	mu     sync.Mutex
	files  map[string]entry // by key
	report *Report
}

// images copies the files of all images in target, concurrency images at a time.
// If the store deleted an image after the database was copied, images removes the
// image from the copy.
func (c *copier) images(ctx context.Context, source, target *database.DB) error {
	var mu sync.Mutex
	var removed []images.Stored
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	err := func() error {
		for stored, err := range images.AllStored(groupCtx, target) {
			if err != nil {
				return err
			}
			group.Go(func() error {
				err := c.image(groupCtx, stored)
				if !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				if row, looking := source.Image.Get(groupCtx, stored.ImageID); row == nil && looking != nil && groupCtx.Err() == nil {
					mu.Lock()
					defer mu.Unlock()
					removed = append(removed, stored)
					return nil
				}
				return fmt.Errorf("the store lacks a file of an image: run tagma verify: %w", err)
			})
		}
		return nil
	}()
	if failed := group.Wait(); failed != nil { // err is only a consequence: the failure ends groupCtx
		return failed
	}
	if err != nil {
		return err
	}
	for _, stored := range removed {
		c.leave(append(stored.Thumbnails, stored.Original))
		if err := images.DeleteRow(ctx, target, stored.ImageID); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) image(ctx context.Context, stored images.Stored) error {
	sum, ok := parseDigest(stored.SHA256)
	if !ok {
		return fmt.Errorf("%s has the SHA-256 %q in the database: run tagma verify", stored.Original, stored.SHA256)
	}
	if err := c.copy(ctx, stored.Original, &sum); err != nil {
		return err
	}
	for _, key := range stored.Thumbnails {
		if err := c.copy(ctx, key, nil); err != nil {
			return err
		}
	}
	return nil
}

// bundles copies the files of all bundle versions, concurrency at a time. A
// backup has no unpublished uploads, so bundles removes the rows of uploads from
// the copy.
func (c *copier) bundles(ctx context.Context, target *database.DB) error {
	if err := bundles.DeleteUploads(ctx, target); err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	err := func() error {
		for content, err := range bundles.AllStored(groupCtx, target) {
			if err != nil {
				return err
			}
			group.Go(func() error {
				sum, ok := parseDigest(content.Sha256)
				if !ok {
					return fmt.Errorf("%s has the SHA-256 %q in the database: run tagma verify", content.StoredAs, content.Sha256)
				}
				if err := c.copy(groupCtx, content.StoredAs, &sum); err != nil {
					return fmt.Errorf("a file of a bundle: run tagma verify: %w", err)
				}
				return nil
			})
		}
		return nil
	}()
	if failed := group.Wait(); failed != nil {
		return failed
	}
	return err
}

// copy brings a file into the backup, unless the backup has the file. Want is the
// SHA-256 in the database, or nil. A file never changes under a key. So copy
// copies a known file again only if the file is missing, or if this run reads the
// file again and finds another SHA-256 than before.
func (c *copier) copy(ctx context.Context, key string, want *digest) error {
	c.mu.Lock()
	known, isKnown := c.files[key]
	c.mu.Unlock()
	if isKnown {
		if want != nil && *want != known.sum {
			return fmt.Errorf("%s has the SHA-256 %s in the database and %s in the backup: files never change under their names: run tagma verify, and make the next backup in another folder", key, want, known.sum)
		}
		whole, err := c.whole(ctx, key, known.sum)
		if err != nil {
			return err
		}
		if whole {
			known.here = true
			c.set(key, known, func(*Report) {})
			return nil
		}
	}
	sum, size, err := transfer(ctx, c.from, c.to, key, func(got digest) error {
		if want != nil && got != *want {
			return fmt.Errorf("%s is not what the database says it is: run tagma verify", key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.set(key, entry{sum: sum, here: true, remains: known.remains}, func(r *Report) {
		r.Copied++
		r.Bytes += size
		if isKnown {
			r.Replaced = append(r.Replaced, key)
		}
	})
	return nil
}

// leave takes the files of an image out of the generation. The store deleted the
// image after some of the files had been copied.
func (c *copier) leave(keys []string) {
	for _, key := range keys {
		if e, ok := c.files[key]; ok {
			e.here = false
			c.files[key] = e
		}
	}
}

func (c *copier) set(key string, e entry, report func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files[key] = e
	report(c.report)
}

// whole reports whether a file is in the backup, and, if this run reads the file
// again, whether the bytes are the same as before. whole returns false for an
// unreadable file.
func (c *copier) whole(ctx context.Context, key string, sum digest) (bool, error) {
	if !rereads(key, c.run) {
		return bucket.Exists(ctx, c.to, key)
	}
	c.mu.Lock()
	c.report.Reread++
	c.mu.Unlock()
	got, err := digestOf(ctx, c.to, key)
	if ended := ctx.Err(); ended != nil {
		return false, ended
	}
	return err == nil && got == sum, nil
}

// rereadOthers reads this run's share of the files in older generations only, and
// records damaged files in Report.Lost. The store has no copy of such a file any
// more.
func (c *copier) rereadOthers(ctx context.Context) error {
	var keys []string
	for key, e := range c.files {
		if e.remains && !e.here && rereads(key, c.run) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		whole, err := c.whole(ctx, key, c.files[key].sum)
		if err != nil {
			return err
		}
		if !whole {
			c.report.Lost = append(c.report.Lost, key)
		}
	}
	return nil
}

// prune removes the files of no generation, including the leftovers of a killed
// run. The caller holds the lock.
func (c *copier) prune(ctx context.Context) error {
	for file, err := range c.to.List(ctx, "") {
		if err != nil {
			return err
		}
		if e := c.files[file.Key]; e.here || e.remains {
			continue
		}
		if err := c.to.Delete(ctx, file.Key); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// transfer copies a file from a bucket into another bucket. The file gets the
// final name only if check accepts the SHA-256 of the bytes.
func transfer(ctx context.Context, from, to bucket.Bucket, key string, check func(digest) error) (sum digest, size int64, err error) {
	r, err := from.Open(ctx, key)
	if err != nil {
		return sum, 0, err
	}
	defer r.Close()
	hash := newHash()
	err = to.Write(ctx, key, bucket.CheckAtEOF(io.TeeReader(r, hash), func() error {
		sum = hash.sum()
		return check(sum)
	}))
	return sum, r.Info().Size, err
}

// digestOf returns the SHA-256 of a file of a bucket.
func digestOf(ctx context.Context, files bucket.Bucket, key string) (digest, error) {
	r, err := files.Open(ctx, key)
	if err != nil {
		return digest{}, err
	}
	defer r.Close()
	hash := newHash()
	if _, err := io.Copy(hash, withContext(ctx, r)); err != nil {
		return digest{}, err
	}
	return hash.sum(), nil
}

// hasher computes a digest.
type hasher struct{ hash.Hash }

func newHash() hasher { return hasher{sha256.New()} }

func (h hasher) sum() (d digest) {
	h.Sum(d[:0])
	return d
}

// contextReader returns an error once the context has ended, so that a long copy
// stops.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func withContext(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
