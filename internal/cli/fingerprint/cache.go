package fingerprint

import (
	"context"
	"database/sql"
	"sync"

	"tagma/internal/cli/cachefile"
)

// cache stores the fingerprints of files by path, size, and the times of the last
// change, because reading a folder again at every push takes long. Several pushes may
// use the cache at once. The cache only saves time: if the cache fails, files are
// read. A nil cache is empty and stores nothing.
type cache struct {
	db *sql.DB

	mu      sync.Mutex
	pending []*File // not yet written
}

// batchSize is the number of fingerprints in one transaction.
const batchSize = 500

// openCache returns the cache at path, and creates the file if necessary.
func openCache(ctx context.Context, path string) (*cache, error) {
	db, err := cachefile.Open(ctx, path,
		`DROP TABLE IF EXISTS fingerprints`, // of older versions, without the time of the last change
		`CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER NOT NULL,
			modified INTEGER NOT NULL, changed INTEGER NOT NULL, md5 TEXT NOT NULL) WITHOUT ROWID`)
	if err != nil {
		return nil, err
	}
	return &cache{db: db}, nil
}

// get returns the MD5 of a file, or "" for a file that is not in the cache.
func (c *cache) get(ctx context.Context, f *File) string {
	var md5 string
	if c != nil {
		_ = c.db.QueryRowContext(ctx, `SELECT md5 FROM files WHERE path = ? AND size = ? AND modified = ? AND changed = ?`,
			f.Path, f.Size, f.Modified, f.changed).Scan(&md5) // fails if there is no row
	}
	return md5
}

// put stores the MD5 of a file.
func (c *cache) put(ctx context.Context, f *File) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending = append(c.pending, f); len(c.pending) >= batchSize {
		c.write(ctx)
	}
}

func (c *cache) write(ctx context.Context) {
	batch := c.pending
	c.pending = nil
	tx, err := c.db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer func() { _ = tx.Rollback() }()
	for _, f := range batch {
		if _, err := tx.ExecContext(ctx, `INSERT OR REPLACE INTO files (path, size, modified, changed, md5) VALUES (?, ?, ?, ?, ?)`,
			f.Path, f.Size, f.Modified, f.changed, f.MD5); err != nil {
			return
		}
	}
	_ = tx.Commit()
}

// close writes the pending fingerprints, even after an interruption.
func (c *cache) close() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write(context.Background())
	_ = c.db.Close()
}
