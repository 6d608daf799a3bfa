// Package cachefile owns the SQLite files in the folder for caches: opening a file,
// and replacing a damaged file by an empty one. Several processes may use a file at
// once.
//
// Package cachefile does not own the tables.
package cachefile

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Open opens the file at path, creates the file if necessary, and runs the statements,
// usually CREATE TABLE IF NOT EXISTS. Open replaces a damaged file by an empty database.
// Open returns an error for an empty path.
func Open(ctx context.Context, path string, statements ...string) (*sql.DB, error) {
	if path == "" {
		return nil, errors.New("there is no folder for caches")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	db, err := open(ctx, path, statements)
	if !isDamage(err) {
		return db, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if removeErr := os.Remove(path + suffix); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
			return nil, errors.Join(err, removeErr)
		}
	}
	return open(ctx, path, statements)
}

func open(ctx context.Context, path string, statements []string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return db, nil
}

// isDamage reports whether SQLite cannot read the file as a database.
func isDamage(err error) bool {
	failure, ok := errors.AsType[*sqlite.Error](err)
	return ok && (failure.Code()&0xff == sqlite3.SQLITE_NOTADB || failure.Code()&0xff == sqlite3.SQLITE_CORRUPT)
}
