package images

import (
	"context"
	"errors"
	"io"
	"time"

	"gocloud.dev/blob"
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
		orphans, err := c.Orphans(ctx, old)
		if err != nil {
			return err
		}
		deleted, err := c.deleteFiles(ctx, orphans)
		removed += deleted
		old = old[:0]
		return err
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

// Orphans are those of the files that no row speaks of. A name that this
// package did not give is nobody's orphan.
func (c *Images) Orphans(ctx context.Context, files []string) ([]string, error) {
	keys := make([]Key, 0, len(files))
	for _, file := range files {
		if key, _, ok := parseFileKey(file); ok {
			keys = append(keys, key)
		}
	}
	rows, err := c.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, file := range files {
		key, fileID, ok := parseFileKey(file)
		if row := rows[key]; ok && (row == nil || row.FileID != fileID) {
			orphans = append(orphans, file)
		}
	}
	return orphans, nil
}
