package fingerprint

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// cache stores the fingerprints of files by path, size, and the times of their
// last change, so that a folder is not read at every push. Several pushes may use the
// cache at once. The cache only saves time: if it fails, files are read. A nil cache
// is empty and stores nothing.
type cache struct {
	db *sql.DB

	mu      sync.Mutex
	pending []*File // not yet written
}

// batchSize is the number of fingerprints in one transaction.
const batchSize = 500

// openCache opens the cache, and creates the file if necessary. A file that is no
// database is replaced by an empty cache.
func openCache(ctx context.Context, path string) (*cache, error) {
	if path == "" {
		return nil, errors.New("there is no folder for caches")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	opened, err := openDatabase(ctx, path)
	if !isDamage(err) {
		return opened, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if removeErr := os.Remove(path + suffix); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			return nil, errors.Join(err, removeErr)
		}
	}
	return openDatabase(ctx, path)
}

func openDatabase(ctx context.Context, path string) (*cache, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		`DROP TABLE IF EXISTS fingerprints`, // of older versions, without the time of the last change
		`CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, size INTEGER NOT NULL,
			modified INTEGER NOT NULL, changed INTEGER NOT NULL, md5 TEXT NOT NULL) WITHOUT ROWID`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return &cache{db: db}, nil
}

// isDamage reports whether SQLite cannot read the file as a database.
func isDamage(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	return ok && (failure.Code()&0xff == sqlite3.SQLITE_NOTADB || failure.Code()&0xff == sqlite3.SQLITE_CORRUPT)
}

// get returns the MD5 of a file, or "" if the cache has none.
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
