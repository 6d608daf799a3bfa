package images

import (
	"context"
	"errors"
	"io"
	"time"

	"gocloud.dev/blob"

	"tagma/ent/generated/image"
	"tagma/internal/database"
)

// Grace is how old a file without a row must be before it is cleared away. A
// request that might still write the row has long ended by then.
const Grace = 24 * time.Hour

// sweepAtOnce is how many files are looked up in one statement.
const sweepAtOnce = 1000

// Sweep clears away files that have no row: what a crash, a lost race or a
// deletion left behind. It tells how many. Several servers may sweep at once.
func (c *Images) Sweep(ctx context.Context) (int, error) {
	limit := c.clock().Add(-Grace).Time()
	removed := 0
	var old []string
	clear := func() error {
		orphans, err := c.orphans(ctx, old)
		if err != nil {
			return err
		}
		for _, key := range orphans {
			if err := c.bucket.Delete(ctx, key); err != nil {
				return err
			}
			removed++
		}
		old = old[:0]
		return nil
	}
	files := c.bucket.List(&blob.ListOptions{Prefix: folder})
	for {
		file, err := files.Next(ctx)
		if errors.Is(err, io.EOF) {
			return removed, clear()
		}
		if err != nil {
			return removed, err
		}
		if file.ModTime.Before(limit) {
			old = append(old, file.Key)
		}
		if len(old) == sweepAtOnce {
			if err := clear(); err != nil {
				return removed, err
			}
		}
	}
}

// orphans are those of the files that no row speaks of.
func (c *Images) orphans(ctx context.Context, keys []string) ([]string, error) {
	ids := make([]string, 0, len(keys))
	for _, key := range keys {
		if id, ok := fileIDOf(key); ok {
			ids = append(ids, id)
		}
	}
	known := map[string]bool{}
	rows, err := c.db.Image.Query().Where(database.AmongTexts(image.FieldFileID, ids)).Select(image.FieldFileID).Strings(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range rows {
		known[id] = true
	}
	var orphans []string
	for _, key := range keys {
		if id, ok := fileIDOf(key); ok && !known[id] {
			orphans = append(orphans, key)
		}
	}
	return orphans, nil
}
