// Package database opens Tagma's database, SQLite or PostgreSQL, and brings it
// up to date.
//
// It owns what differs between the two: how they are opened, how durable a
// commit is, how statements are kept prepared, and how migrations are locked.
// It owns no query: those belong to the packages of the domain, which write
// them once for both.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	ent "tagma/ent/generated"
	"tagma/ent/migrations"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	*ent.Client
	SQL     *sql.DB // the same database, for what ent cannot say
	Dialect string  // dialect.SQLite or dialect.Postgres
}

// Options of Open.
type Options struct {
	// Connections bounds the pool. Zero is a default that suits two cores.
	Connections int
	// Observe, if set, hears of every statement just before it is sent.
	Observe func(ctx context.Context, query string)
	// Log hears what migrations were applied.
	Log *slog.Logger
}

// Open opens the database that the URL names, and applies the migrations that
// it lacks. The URL is `postgres://…` or `sqlite:` and a file's path. The
// caller closes the result. No error holds the URL, which may hold a password.
func Open(ctx context.Context, databaseURL string, options Options) (*DB, error) {
	db, err := connect(databaseURL, options)
	if err != nil {
		return nil, err
	}
	if err := db.migrate(ctx, options.Log); err != nil {
		return nil, errors.Join(fmt.Errorf("bring the database up to date: %w", err), db.Close())
	}
	return db, nil
}

func connect(databaseURL string, options Options) (*DB, error) {
	connections := options.Connections
	if connections <= 0 {
		connections = 8
	}
	db := &DB{}
	path, isFile := strings.CutPrefix(databaseURL, "sqlite:")
	switch {
	case isFile && path != "":
		db.Dialect = dialect.SQLite
		db.SQL = sql.OpenDB(&connector{
			open:    func(context.Context) (conn, error) { return openSQLite(path) },
			observe: options.Observe,
		})
	case strings.HasPrefix(databaseURL, "postgres://"), strings.HasPrefix(databaseURL, "postgresql://"):
		db.Dialect = dialect.Postgres
		connect, err := pq.NewConnector(databaseURL)
		if err != nil {
			return nil, errors.New("the database's URL cannot be read: write postgres://user:password@host:port/name?sslmode=…")
		}
		db.SQL = sql.OpenDB(&connector{
			open: func(ctx context.Context) (conn, error) {
				c, err := connect.Connect(ctx)
				if err != nil {
					return nil, err
				}
				return c.(conn), nil
			},
			observe: options.Observe,
		})
	default:
		return nil, errors.New("the database's URL must begin with postgres:// or sqlite:")
	}
	db.SQL.SetMaxOpenConns(connections)
	db.SQL.SetMaxIdleConns(connections)
	db.Client = ent.NewClient(ent.Driver(entsql.OpenDB(db.Dialect, db.SQL)))
	return db, nil
}

// openSQLite opens a connection whose commits survive a loss of power (FULL),
// whose transactions take the write lock when they begin, so that none fails
// half-way for having read first, and whose LIKE minds case as PostgreSQL's.
func openSQLite(path string) (conn, error) {
	settings := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(15000)",
			"journal_mode(WAL)",
			"synchronous(FULL)",
			"foreign_keys(1)",
			"case_sensitive_like(1)",
			"cache_size(-16384)", // KiB, for each connection
			"temp_store(MEMORY)",
		},
	}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + settings.Encode()
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return c.(conn), nil
}

// migrate applies what is pending, once, whoever else is starting now.
func (db *DB) migrate(ctx context.Context, log *slog.Logger) error {
	gooseDialect, folder := goose.DialectSQLite3, "sqlite"
	settings := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	attempts := 5
	if db.Dialect == dialect.Postgres {
		gooseDialect, folder = goose.DialectPostgres, "postgres"
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return err
		}
		settings = append(settings, goose.WithSessionLocker(locker))
		attempts = 1
	}
	files, err := fs.Sub(migrations.Files, folder)
	if err != nil {
		return err
	}
	steps, err := goose.NewProvider(gooseDialect, db.SQL, files, settings...)
	if err != nil {
		return err
	}
	// SQLite has no lock that outlives a transaction. Of two that start at
	// once one may see the other's step appear under its feet; it looks again.
	for {
		applied, err := steps.Up(ctx)
		for _, step := range applied {
			if step.Error == nil && log != nil {
				log.InfoContext(ctx, "migrated the database", "step", step.Source.Version, "took", step.Duration)
			}
		}
		if attempts--; err == nil || attempts == 0 {
			return err
		}
	}
}

// IsUnique says whether err is the refusal of a row that is already there.
func IsUnique(err error) bool {
	return refused(err, "23505", sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsForeignKey says whether err is the refusal of a row that speaks of another
// which is not there.
func IsForeignKey(err error) bool {
	return refused(err, "23503", sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY)
}

func refused(err error, state pq.ErrorCode, codes ...int) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code == state
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && slices.Contains(codes, e.Code())
}

// IsUnavailable says whether err is a passing fault: the database is not
// reached, restarts, is full, or was too busy to be waited for.
func IsUnavailable(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		switch e.Code.Class() {
		case "08", "53", "57", "40": // connection, resources, intervention, serialisation
			return true
		}
		return false
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // the primary code
		case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED, sqlitelib.SQLITE_FULL, sqlitelib.SQLITE_IOERR:
			return true
		}
		return false
	}
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, driver.ErrBadConn)
}

// InTx runs do in one transaction: what it wrote is there as a whole, or, if
// it fails or panics, not at all.
func (db *DB) InTx(ctx context.Context, do func(*ent.Tx) error) error {
	tx, err := db.Tx(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			_ = tx.Rollback()
		}
	}()
	if err := do(tx); err != nil {
		return err
	}
	done = true
	return tx.Commit()
}
