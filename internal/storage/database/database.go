// Package database owns the opening and the migrations of Tagma's database, SQLite or
// PostgreSQL.
//
// The package owns the differences between SQLite and PostgreSQL: settings of a
// connection, durability of a commit, prepared statements, and locks for migrations. The
// package does not own queries: the packages of the domain write each query once for both
// databases.
package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	ent "tagma/ent/generated"
	"tagma/ent/migrations"
	"tagma/internal/base/cost"
	"tagma/internal/storage/health"
)

// DB is an open database. A DB is safe for concurrent use.
type DB struct {
	*ent.Client
	SQL     *sql.DB // the same database, for statements that ent cannot express
	Dialect string  // dialect.SQLite or dialect.Postgres

	url    string
	path   string              // of SQLite's file; empty for PostgreSQL
	writer *semaphore.Weighted // held while a goroutine writes to SQLite; nil for PostgreSQL
}

// Options of Open.
type Options struct {
	// Connections is the size of the pool. The default, for 0, suits two cores. SQLite
	// gets at most maxSQLiteConnections, because the connections work within this process
	// and wait for each other.
	Connections int
	// Observe, if set, is called with each statement before the statement is sent.
	Observe func(ctx context.Context, query string)
	// Log receives the applied migrations.
	Log *slog.Logger

	// migrating turns SQLite's foreign keys off: SQLite changes a table by a new
	// table, and dropping the old table must not cascade.
	migrating bool
	// existing leaves the settings stored in SQLite's file unchanged.
	existing bool
}

// Open opens the database at a URL and applies missing migrations. The URL is
// `postgres://…`, or `sqlite:` and the path of a file. The caller closes the result.
// No error contains the URL, because the URL may contain a password.
//
// Open creates a missing SQLite file in an existing folder. Before Open migrates an
// SQLite database with rows, Open copies the database into the same folder. Open
// returns a *VersionError if the database is newer than this binary, and ErrForeign for
// the file of another program.
func Open(ctx context.Context, databaseURL string, options Options) (*DB, error) {
	if err := Check(ctx, databaseURL); err != nil {
		return nil, err
	}
	if err := migrate(ctx, databaseURL, migrations.Files, options.Log); err != nil {
		return nil, err
	}
	return connect(databaseURL, options)
}

func connect(databaseURL string, options Options) (*DB, error) {
	db := &DB{url: databaseURL}
	path, isSQLite := sqlitePath(databaseURL)
	connections := options.Connections
	if connections <= 0 {
		connections = 8
	}
	if isSQLite {
		connections = min(connections, maxSQLiteConnections)
	}
	switch {
	case isSQLite:
		db.Dialect, db.path = dialect.SQLite, path
		db.writer = semaphore.NewWeighted(1)
		db.SQL = sql.OpenDB(&connector{
			open:            func(context.Context) (conn, error) { return openSQLite(path, options) },
			observe:         options.Observe,
			closeStatements: true,
		})
	case strings.HasPrefix(databaseURL, "postgres://"), strings.HasPrefix(databaseURL, "postgresql://"):
		db.Dialect = dialect.Postgres
		connect, err := pq.NewConnector(databaseURL)
		if err != nil {
			return nil, errors.New("the database's URL cannot be read: write postgres://user:password@host:port/name?sslmode=…")
		}
		db.SQL = sql.OpenDB(&connector{
			open:    func(ctx context.Context) (conn, error) { return openPostgres(ctx, connect) },
			observe: options.Observe,
		})
	default:
		return nil, errors.New("the database's URL must begin with sqlite: or postgres:// and say what follows it")
	}
	db.SQL.SetMaxOpenConns(connections)
	db.SQL.SetMaxIdleConns(connections)
	db.SQL.SetConnMaxLifetime(time.Hour) // a new connection uses the server's new statistics and address
	db.Client = ent.NewClient(ent.Driver(entsql.OpenDB(db.Dialect, db.SQL)))
	return db, nil
}

// Place returns the location of the database for logs and messages, without the password:
// the path of an SQLite file, or the host and the name of a PostgreSQL database.
func (db *DB) Place() string {
	if db.path != "" {
		return db.path
	}
	address, err := url.Parse(db.url)
	if err != nil {
		return "PostgreSQL"
	}
	return address.Host + address.Path
}

// Locate returns err with the path of the file and the remedy, if SQLite could not write,
// because SQLite's errors name neither. Locate returns any other error unchanged.
func (db *DB) Locate(err error) error {
	if kind := health.KindOf(err); kind != "" && db.path != "" {
		return fmt.Errorf("the database %s cannot be written to (%s): %s: %w", db.path, string(kind), kind.Remedy(), err)
	}
	return err
}

// openPostgres opens a connection without JIT compilation of statements, because
// compilation takes a third of a second and no statement gains as much.
func openPostgres(ctx context.Context, pgConnector *pq.Connector) (conn, error) {
	driverConn, err := pgConnector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	c := driverConn.(conn)
	if _, err := c.ExecContext(ctx, "SET jit = off", nil); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// mmapBytes is the size of the part of SQLite's file mapped into memory by a connection.
// The rest of the file is read by copying pages into the cache of the connection. All
// connections of a process share a lock around such copies: without mmap, eight
// connections together were slower than a single connection. The system reclaims mapped
// memory when needed.
const mmapBytes = 1 << 30

// maxSQLiteConnections is the largest useful number of connections to SQLite.
const maxSQLiteConnections = 4

// openSQLite opens a connection to an existing file. Commits survive a loss of power
// (FULL). A transaction takes the write lock at the beginning, because SQLite would refuse
// the lock to a transaction that has read rows, if another connection has written since.
// LIKE distinguishes case, as on PostgreSQL. openSQLite never creates a file: a new, empty
// database in place of a lost database would hide the loss.
func openSQLite(path string, options Options) (conn, error) {
	settings := url.Values{
		"mode":    {"rw"},
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(15000)",
			"synchronous(FULL)",
			fmt.Sprintf("foreign_keys(%t)", !options.migrating),
			"case_sensitive_like(1)",
			"cache_size(-4096)", // KiB, for each connection
			fmt.Sprintf("mmap_size(%d)", mmapBytes),
			"temp_store(MEMORY)",
		},
	}
	if !options.existing {
		settings.Add("_pragma", "journal_mode(WAL)")
	}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + settings.Encode()
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return c.(conn), nil
}

// migrate applies the pending migrations, each once, even if several servers start at the
// same time. migrate uses a connection of its own, because a migration needs other
// settings.
func migrate(ctx context.Context, databaseURL string, all fs.FS, log *slog.Logger) error {
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	if path, ok := sqlitePath(databaseURL); ok {
		if err := prepareFile(path, log); err != nil {
			return err
		}
	}
	db, err := connect(databaseURL, Options{Connections: 1, migrating: true})
	if err != nil {
		return err
	}
	err = db.migrate(ctx, all, log)
	if err != nil {
		err = explain(Name(databaseURL), fmt.Errorf("bring the database up to date: %w", err))
	}
	return errors.Join(err, db.Close())
}

func (db *DB) migrate(ctx context.Context, all fs.FS, log *slog.Logger) error {
	gooseDialect, folder := goose.DialectSQLite3, "sqlite"
	settings := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if db.Dialect == dialect.Postgres {
		gooseDialect, folder = goose.DialectPostgres, "postgres"
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
		if err != nil {
			return err
		}
		settings = append(settings, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(all, folder)
	if err != nil {
		return err
	}
	steps, err := goose.NewProvider(gooseDialect, db.SQL, files, settings...)
	if err != nil {
		return err
	}
	if err := db.copyIfPending(ctx, steps, log); err != nil {
		return err
	}
	attempts := 1
	if db.Dialect == dialect.SQLite {
		// SQLite has no lock across transactions, so two servers starting at once may run
		// the same migration. Because of the unique index on the table of versions, the
		// slower server fails and rolls back. The failed server tries again, at most once
		// for each migration.
		if err := makeStepsUnique(ctx, db.SQL, steps); err != nil {
			return err
		}
		attempts += len(steps.ListSources())
	}
	for {
		applied, err := steps.Up(ctx)
		if part, ok := errors.AsType[*goose.PartialError](err); ok {
			applied = part.Applied
		}
		for _, step := range applied {
			log.InfoContext(ctx, "migrated the database", "step", step.Source.Version, "took", step.Duration)
		}
		if attempts--; err == nil || attempts == 0 {
			return err
		}
	}
}

// copyIfPending copies an SQLite database with rows, if a migration is pending.
func (db *DB) copyIfPending(ctx context.Context, steps *goose.Provider, log *slog.Logger) error {
	path, isSQLite := sqlitePath(db.url)
	if !isSQLite {
		return nil // the operator makes the backups of PostgreSQL
	}
	version, err := db.Version(ctx)
	if err != nil || version == 0 {
		return err
	}
	var latest int64
	for _, step := range steps.ListSources() {
		latest = max(latest, step.Version)
	}
	if version >= latest {
		return nil
	}
	if empty, err := db.isEmpty(ctx); err != nil || empty {
		return err
	}
	name, err := db.copyBeforeMigration(ctx, path, version)
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "copied the database before it is migrated: remove the copy when all is well", "copy", name, "version", version)
	return nil
}

// Latest returns the number of the last migration of this binary.
func Latest() (int64, error) {
	names, err := fs.Glob(migrations.Files, "sqlite/*.sql")
	if err != nil {
		return 0, err
	}
	var latest int64
	for _, name := range names {
		number, err := goose.NumericComponent(path.Base(name))
		if err != nil {
			return 0, err
		}
		latest = max(latest, number)
	}
	return latest, nil
}

// Version returns the number of the last migration applied to the database, or 0 if the
// database has no table of migrations. Version writes nothing.
func (db *DB) Version(ctx context.Context) (int64, error) {
	exists := `SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'goose_db_version'`
	if db.Dialect == dialect.Postgres {
		exists = `SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('goose_db_version')`
	}
	var tables int
	if err := db.SQL.QueryRowContext(ctx, exists).Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	var version int64
	err := db.SQL.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version`).Scan(&version)
	return version, err
}

// makeStepsUnique adds a unique index to goose's table of versions, so that two servers
// cannot both record the same migration.
func makeStepsUnique(ctx context.Context, db *sql.DB, steps *goose.Provider) error {
	if _, err := steps.GetDBVersion(ctx); err != nil { // creates the table
		return err
	}
	_, err := db.ExecContext(ctx, `CREATE UNIQUE INDEX IF NOT EXISTS goose_db_version_once ON goose_db_version (version_id)`)
	return err
}

// IsUnique reports whether err is a violation of a unique key or a primary key.
func IsUnique(err error) bool {
	return hasCode(err, "23505", sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsForeignKey reports whether err is a violation of a foreign key.
func IsForeignKey(err error) bool {
	return hasCode(err, "23503", sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY)
}

func hasCode(err error, state string, codes ...int) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return string(e.Code) == state
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && slices.Contains(codes, e.Code())
}

// IsUnavailable reports whether err is temporary: the database cannot be reached, is
// restarting, is full, or stayed locked for too long.
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
	network, ok := errors.AsType[net.Error](err)
	if _, file := network.(syscall.Errno); file { // syscall.Errno has the methods of net.Error, but may be of a full disk
		ok = false
	}
	return ok || errors.Is(err, driver.ErrBadConn)
}

// Write calls write. On SQLite, concurrent calls of Write run one after another, in the
// order of arrival: SQLite itself would make the writers poll for the lock, in no order.
func (db *DB) Write(ctx context.Context, write func() error) error {
	if db.writer != nil {
		if err := db.writer.Acquire(ctx, 1); err != nil {
			return err
		}
		defer db.writer.Release(1)
	}
	return write()
}

// beforeCommit is the context key of the hook.
type beforeCommit struct{}

// BeforeCommit returns a context with a hook: every transaction of InTx with this context
// calls hook as the last step before the commit. If hook returns an error, the transaction
// is rolled back. Package idempotency uses the hook to record a request in the same
// transaction as the changes of the request, no matter which package makes the changes.
func BeforeCommit(ctx context.Context, hook func(context.Context, *ent.Tx) error) context.Context {
	return context.WithValue(ctx, beforeCommit{}, hook)
}

// InTx calls write in a transaction. InTx commits the transaction if write returns nil,
// and rolls the transaction back if write returns an error or panics.
func (db *DB) InTx(ctx context.Context, write func(*ent.Tx) error) error {
	return db.Write(ctx, func() error { return db.inTx(ctx, write) })
}

func (db *DB) inTx(ctx context.Context, write func(*ent.Tx) error) error {
	tx, err := db.Tx(ctx)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			_ = tx.Rollback()
		}
	}()
	if err := write(tx); err != nil {
		return err
	}
	if hook, ok := ctx.Value(beforeCommit{}).(func(context.Context, *ent.Tx) error); ok {
		if err := hook(ctx, tx); err != nil {
			return err
		}
	}
	committed = true
	if err := tx.Commit(); err != nil {
		return err
	}
	cost.From(ctx).Apply()
	return nil
}
