// Package database opens Tagma's database, SQLite or PostgreSQL, and brings it
// up to date.
//
// It owns what differs between the two: how they are opened, how durable a
// commit is, how statements are kept prepared, and how migrations are locked.
// It owns no query: those belong to the packages of the domain, which write
// them once for both.
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
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	ent "tagma/ent/generated"
	"tagma/ent/migrations"
	"tagma/internal/base/cost"
	"tagma/internal/storage/health"
)

// DB is an open database. It is safe for concurrent use.
type DB struct {
	*ent.Client
	SQL     *sql.DB // the same database, for what ent cannot say
	Dialect string  // dialect.SQLite or dialect.Postgres

	url       string
	path      string        // of SQLite's file, or empty
	writeTurn chan struct{} // holds one token while somebody writes into SQLite
}

// Options of Open.
type Options struct {
	// Connections bounds the pool. Zero is a default that suits two cores. Of
	// SQLite's, which work within this process and wait for one another, there
	// are four at most.
	Connections int
	// Observe, if set, hears of every statement just before it is sent.
	Observe func(ctx context.Context, query string)
	// Log hears what migrations were applied.
	Log *slog.Logger

	// migrating leaves SQLite's foreign keys alone: to change a table there is
	// to build it anew and drop the old one, which must not cascade.
	migrating bool
	// existing leaves the settings that are part of SQLite's file as they are.
	existing bool
}

// Open opens the database that the URL names, and applies the migrations that
// it lacks. The URL is `postgres://…` or `sqlite:` and a file's path. The
// caller closes the result. No error holds the URL, which may hold a password.
//
// Open makes an SQLite file that is missing, in a folder that is there. Before
// Open migrates an SQLite database that has rows, it copies the database beside
// itself. Open returns a *VersionError for a database that is newer than this
// binary, and ErrForeign for another program's file.
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
		db.writeTurn = make(chan struct{}, 1)
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
	db.SQL.SetConnMaxLifetime(time.Hour) // a new one sees new statistics, and a new address of the server
	db.Client = ent.NewClient(ent.Driver(entsql.OpenDB(db.Dialect, db.SQL)))
	return db, nil
}

// Place returns where the database is, for logs and messages: the path of SQLite's
// file, or the host and the name of a PostgreSQL database, without a password.
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

// Locate adds to an error of a write that SQLite refused the path of its file and
// what to do: SQLite's own words say neither. It returns any other error as it is.
func (db *DB) Locate(err error) error {
	if kind := health.KindOf(err); kind != "" && db.path != "" {
		return fmt.Errorf("the database %s cannot be written to (%s): %s: %w", db.path, string(kind), kind.Remedy(), err)
	}
	return err
}

// openPostgres opens a connection whose statements are not compiled to machine
// code first: that takes a third of a second, and no statement here wins it back.
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

// mapped is how many bytes of SQLite's file are read where the system has them in
// memory, and not from a copy of its own in each connection. All connections of a
// process share one lock around their copies, so that eight of them together were
// slower than one. It is the system's memory, which takes it back when it needs to.
const mmapBytes = 1 << 30

// mostOfSQLite is how many connections to SQLite are of use.
const maxSQLiteConnections = 4

// openSQLite opens a connection whose commits survive a loss of power (FULL),
// whose transactions take the write lock when they begin, so that none fails
// half-way for having read first, and whose LIKE minds case as PostgreSQL's. It
// never makes a file: an empty database in the place of a lost one would be taken
// for the lost one.
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

// migrate applies the steps that are pending, each once, whoever else is
// starting now. It has a connection of its own.
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
		// SQLite has no lock that outlives a transaction, so two that start at
		// once may run the same step. The table of versions takes it from one
		// of them. The other's is undone as a whole; it looks again, at most
		// once for each step that it can lose.
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

// protect copies an SQLite database that has rows, if there are steps to apply.
func (db *DB) copyIfPending(ctx context.Context, steps *goose.Provider, log *slog.Logger) error {
	path, isSQLite := sqlitePath(db.url)
	if !isSQLite {
		return nil // PostgreSQL's backups are its operator's
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

// Latest returns the number of the last migration that this binary knows.
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

// Version returns the number of the last migration that was applied to the
// database. Version returns 0 if the database has no table of migrations, and
// writes nothing.
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

// eachStepOnce lets the table of versions hold each step once.
func makeStepsUnique(ctx context.Context, db *sql.DB, steps *goose.Provider) error {
	if _, err := steps.GetDBVersion(ctx); err != nil { // makes the table
		return err
	}
	_, err := db.ExecContext(ctx, `CREATE UNIQUE INDEX IF NOT EXISTS goose_db_version_once ON goose_db_version (version_id)`)
	return err
}

// IsUnique says whether err is the refusal of a row that is already there.
func IsUnique(err error) bool {
	return hasCode(err, "23505", sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// IsForeignKey says whether err is the refusal of a row that speaks of another
// which is not there.
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
	network, ok := errors.AsType[net.Error](err)
	if _, file := network.(syscall.Errno); file { // of a full disk, for example, which has the methods of a net.Error
		ok = false
	}
	return ok || errors.Is(err, driver.ErrBadConn)
}

// Write runs do, which writes. SQLite takes one writer at a time, and makes the
// others look again and again until they are lucky; here they wait their turn.
func (db *DB) Write(ctx context.Context, write func() error) error {
	if db.writeTurn != nil {
		select {
		case db.writeTurn <- struct{}{}:
			defer func() { <-db.writeTurn }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return write()
}

// beforeCommit is the key of a context's hook.
type beforeCommit struct{}

// BeforeCommit has every transaction that InTx runs under the context call hook
// as its last step. If the hook fails, the transaction does. So what a request
// changes can be bound to something else of that request, whichever package
// makes the change.
func BeforeCommit(ctx context.Context, hook func(context.Context, *ent.Tx) error) context.Context {
	return context.WithValue(ctx, beforeCommit{}, hook)
}

// InTx runs do in one transaction: what it wrote is there as a whole, or, if
// it fails or panics, not at all.
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
