package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"entgo.io/ent/dialect"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// AbsentError is returned by OpenExisting if there is no database of Tagma.
type AbsentError struct {
	Database string // by Name
	Reason   string // what is missing
}

// Error names the database and the remedy.
func (e *AbsentError) Error() string {
	return fmt.Sprintf("there is no store: the database %s %s; correct --data or --database (only the server, demo and restore make a store)", e.Database, e.Reason)
}

// VersionError is returned for a database whose version is not the version of this
// binary. A version is the number of the last migration.
type VersionError struct {
	Database string // by Name
	Version  int64  // of the database
	Latest   int64  // of this binary
}

// Newer reports whether the database is newer than the binary.
func (e *VersionError) Newer() bool { return e.Version > e.Latest }

// Error names the database, both versions and the remedy.
func (e *VersionError) Error() string {
	if e.Newer() {
		return fmt.Sprintf("the database %s has version %d, which is newer than version %d of this binary: use the binary that brought the database to version %d, or a newer one",
			e.Database, e.Version, e.Latest, e.Version)
	}
	return fmt.Sprintf("the database %s has version %d, which is older than version %d of this binary: start the server of this binary once, which migrates the database, or use the binary of the server that the database has now",
		e.Database, e.Version, e.Latest)
}

// ErrForeign is returned by Open for another program's SQLite file.
var ErrForeign = errors.New("the file is another program's database: correct --data or --database")

// OpenExisting opens an existing database of exactly this binary's version.
// OpenExisting creates no file and no folder, migrates nothing and writes nothing.
//
// OpenExisting returns an *AbsentError if there is no database, and a
// *VersionError if the database is older or newer than this binary.
func OpenExisting(ctx context.Context, databaseURL string, options Options) (*DB, error) {
	latest, err := Latest()
	if err != nil {
		return nil, err
	}
	name := Name(databaseURL)
	if path, ok := sqlitePath(databaseURL); ok {
		switch size, err := fileSize(path); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, &AbsentError{name, "does not exist"}
		case err != nil:
			return nil, err
		case size == 0:
			return nil, &AbsentError{name, "is an empty file"}
		}
		if err := refuseNetwork(path); err != nil {
			return nil, err
		}
	}
	options.existing = true
	db, err := connect(databaseURL, options)
	if err != nil {
		return nil, err
	}
	version, err := db.Version(ctx)
	switch {
	case err != nil:
		err = explain(name, err)
	case version == 0:
		err = &AbsentError{name, "has no tables of Tagma"}
	case version != latest:
		err = &VersionError{name, version, latest}
	default:
		return db, nil
	}
	return nil, errors.Join(err, db.Close())
}

// Check returns the error of Open for a database that Open would refuse: a newer
// version, another program's file, or a file on a network file system. Check writes
// nothing.
func Check(ctx context.Context, databaseURL string) error {
	latest, err := Latest()
	if err != nil {
		return err
	}
	path, isFile := sqlitePath(databaseURL)
	if isFile {
		if err := refuseNetwork(path); err != nil {
			return err
		}
		if size, err := fileSize(path); errors.Is(err, fs.ErrNotExist) || err == nil && size == 0 {
			return nil // Open creates the database
		} else if err != nil {
			return err
		}
	}
	db, err := connect(databaseURL, Options{Connections: 1, existing: true})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	name := Name(databaseURL)
	version, err := db.Version(ctx)
	if err != nil {
		return explain(name, err)
	}
	if version > latest {
		return &VersionError{name, version, latest}
	}
	if version > 0 || !isFile {
		return nil
	}
	// Ignore the table of versions: another server's migration creates this table first,
	// and may have just begun.
	var foreignTables int
	err = db.SQL.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master WHERE name NOT LIKE 'goose_db_version%' AND name NOT LIKE 'sqlite_%'`).Scan(&foreignTables)
	if err == nil && foreignTables > 0 {
		var retried int64 // another server may have migrated the database in the meantime
		if retried, err = db.Version(ctx); err == nil && retried == 0 {
			err = fmt.Errorf("%s: %w", name, ErrForeign)
		}
	}
	return err
}

// sqlitePath returns the path of an SQLite database, and false for another URL.
func sqlitePath(databaseURL string) (string, bool) {
	path, ok := strings.CutPrefix(databaseURL, "sqlite:")
	return path, ok && path != ""
}

// fileSize returns the size of an SQLite database's file. The error is fs.ErrNotExist
// for a missing file; any other error names the path and the remedy.
func fileSize(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("the database %s cannot be looked at: correct --data or --database: %w", absolute(path), err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("the database %s is no file: correct --data or --database", absolute(path))
	}
	return info.Size(), nil
}

// Name returns the name of a database for messages: the absolute path of an SQLite
// file, or the host and name of a PostgreSQL database, without user and password.
func Name(databaseURL string) string {
	if path, ok := sqlitePath(databaseURL); ok {
		return absolute(path)
	}
	u, err := url.Parse(databaseURL)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host+u.Path, "@:") && u.User == nil {
		return "of PostgreSQL"
	}
	return "postgres://" + u.Host + u.Path
}

func absolute(path string) string {
	if absolutePath, err := filepath.Abs(path); err == nil {
		return absolutePath
	}
	return path
}

// explain returns err with the name of the database and the remedy, because SQLite
// names neither.
func explain(name string, err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return fmt.Errorf("the database %s: %w", name, err)
	}
	problem := ""
	switch e.Code() & 0xff { // the primary code
	case sqlitelib.SQLITE_NOTADB:
		problem = "is no SQLite database: correct --data or --database"
	case sqlitelib.SQLITE_CORRUPT:
		problem = "is damaged: restore a backup"
	case sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM:
		problem = "cannot be opened for writing: give this user the right to write the file and its folder, or be the user that the server runs as"
	case sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR:
		problem = "cannot be read or written: look whether the disk is full or failing"
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		problem = "is in use by another program: try again when that has ended"
	default:
		return fmt.Errorf("the database %s: %w", name, err)
	}
	return fmt.Errorf("the database %s %s: %w", name, problem, err)
}

// isEmpty reports whether an SQLite database has no rows, apart from the list of
// applied migrations.
func (db *DB) isEmpty(ctx context.Context) (bool, error) {
	if db.Dialect != dialect.SQLite {
		return false, errors.ErrUnsupported
	}
	rows, err := db.SQL.QueryContext(ctx, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var tables []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return false, err
		}
		tables = append(tables, table)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return false, err
	}
	for _, table := range tables {
		var hasRows bool
		query := `SELECT EXISTS (SELECT 1 FROM "` + strings.ReplaceAll(table, `"`, `""`) + `")`
		if err := db.SQL.QueryRowContext(ctx, query).Scan(&hasRows); err != nil || hasRows {
			return false, err
		}
	}
	return true, nil
}
