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

// concurrency is how many files are copied at a time: one after the other, most
// of the time goes by waiting for the disk.
const concurrency = 8

// rereadRuns is after how many generations each old file has been read again.
const rereadRuns = 30

// rereads reports whether a run reads an old file again: the files are spread
// over the runs by their names.
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

// copier copies the files of a store into a backup. It is safe for concurrent
// use.
type copier struct {
	from, to bucket.Bucket
	run      int

	mu     sync.Mutex
	files  map[string]entry // by key
	report *Report
}

// images copies the files of all images, concurrency images at a time. An image
// deleted after the copy of the database was made is taken out of the copy.
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
	if failed := group.Wait(); failed != nil { // then err follows from the end of the group's context
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

// bundles copies the files of all versions, concurrency at a time. An unpublished
// upload is not in a backup.
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

// copy brings one file into the backup. Want is the SHA-256 in the database, or
// nil. Files never change under their names, so copy copies a file of the backup
// again only if this run reads the file and finds another SHA-256 than before.
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

// leave takes files out of the generation: their image was deleted after some of
// them had been copied.
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
// again, whether the bytes are the same as before. An unreadable file is damaged.
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

// rereadOthers reads again this run's share of the files named only by older
// generations. The store has no other copy of such a file.
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

// prune removes the files named by no generation, and the leftovers of a killed
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

// transfer copies a file from one bucket into another. The file gets its name
// only if check accepts the SHA-256 of its bytes.
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

// contextReader ends a long copy when its context ends.
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
