package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"golang.org/x/sync/errgroup"

	ent "tagma/ent/generated"
	"tagma/ent/migrations"
	"tagma/internal/base/caller"
	"tagma/internal/storage/database/model"
	"tagma/internal/testing/testenv"
)

// opened is the variable that makes a process of this test open a database and
// end. See TestOpen_ManyProcesses….
const opened = "TAGMA_TEST_OPEN"

func TestMain(m *testing.M) {
	databaseURL, ok := os.LookupEnv(opened)
	if !ok {
		os.Exit(m.Run())
	}
	db, err := Open(context.Background(), databaseURL, Options{Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// eachURL runs a test on an empty database of either kind.
func eachURL(t *testing.T, test func(t *testing.T, databaseURL string)) {
	t.Helper()
	t.Run(dialect.SQLite, func(t *testing.T) { test(t, file(t)) })
	t.Run(dialect.Postgres, func(t *testing.T) { test(t, testenv.Postgres(t)) })
}

// each runs a test on an open database of either kind.
func each(t *testing.T, test func(t *testing.T, db *DB)) {
	t.Helper()
	eachURL(t, func(t *testing.T, databaseURL string) { test(t, open(t, databaseURL)) })
}

func file(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a name, 100%.db") }

func open(t *testing.T, databaseURL string) *DB {
	t.Helper()
	db, err := Open(t.Context(), databaseURL, Options{})
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (db *DB) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := db.SQL.ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: got %v, want no error", statement, err)
	}
}

func value[T any](t testing.TB, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, query string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: got %v, want a row", query, err)
	}
	return v
}

// steps is how many migrations there are for a kind of database.
func steps(t *testing.T, databaseURL string) int {
	t.Helper()
	folder := "sqlite"
	if strings.HasPrefix(databaseURL, "postgres") {
		folder = "postgres"
	}
	all, err := migrations.Files.ReadDir(folder)
	must(t, err)
	return len(all)
}

func TestOpen_TheMigrationsLeadToTheModelOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		difference, err := model.Difference(t.Context(), entsql.OpenDB(db.Dialect, db.SQL), "../../../ent/schema")
		must(t, err)
		if difference != "" {
			t.Errorf("got a model in ent/schema that differs from the migrations, want none:\n%s", difference)
		}
	})
}

func TestOpen_AnUpToDateDatabaseIsLeftAsItIs(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		var lines strings.Builder
		for range 2 {
			lines.Reset()
			db, err := Open(t.Context(), databaseURL, Options{Log: slog.New(slog.NewTextHandler(&lines, nil))})
			must(t, err)
			must(t, db.Close())
		}
		if lines.Len() > 0 {
			t.Errorf("the second start migrated:\n%s", &lines)
		}
	})
}

func TestOpen_ManyServersThatStartAtOnceApplyEachStepOnce(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		var lines strings.Builder
		log := slog.New(slog.NewTextHandler(&lines, nil)) // writes a line at a time, under a lock
		var group errgroup.Group
		for range 8 {
			group.Go(func() error {
				db, err := Open(t.Context(), databaseURL, Options{Log: log})
				if err != nil {
					return err
				}
				return db.Close()
			})
		}
		must(t, group.Wait())
		if applied, want := strings.Count(lines.String(), "\n"), steps(t, databaseURL); applied != want {
			t.Errorf("%d steps were applied, there are %d:\n%s", applied, want, &lines)
		}
	})
}

func TestOpen_ManyProcessesThatStartAtOnceOnOneFileApplyEachStepOnce(t *testing.T) {
	databaseURL := file(t)
	var lines strings.Builder
	var mu sync.Mutex
	var group errgroup.Group
	for range 6 {
		group.Go(func() error {
			process := exec.CommandContext(t.Context(), os.Args[0])
			process.Env = append(os.Environ(), opened+"="+databaseURL)
			out, err := process.CombinedOutput()
			mu.Lock()
			defer mu.Unlock()
			lines.Write(out)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatalf("six processes: got %v, want exit status 0\n%s", err, &lines)
	}
	if applied, want := strings.Count(lines.String(), "migrated the database"), steps(t, databaseURL); applied != want {
		t.Errorf("%d steps were applied, there are %d:\n%s", applied, want, &lines)
	}
}

// made are steps of a test's own, for either database.
func made(all ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for n, step := range all {
		for _, folder := range []string{"sqlite", "postgres"} {
			files[fmt.Sprintf("%s/%05d_step.sql", folder, n+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + step)}
		}
	}
	return files
}

func TestMigrate_AStepThatCouldBeRepeatedIsNotHoweverManyStart(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		all := []string{"CREATE TABLE counts AS SELECT 0 AS n;"}
		must(t, migrate(t.Context(), databaseURL, made(all...), nil)) // so that they start nearer to each other
		for range 30 {
			all = append(all, "UPDATE counts SET n = n + 1;")
		}
		files := made(all...)
		var group errgroup.Group
		for range 4 {
			group.Go(func() error { return migrate(t.Context(), databaseURL, files, nil) })
		}
		must(t, group.Wait())
		db, err := connect(databaseURL, Options{})
		must(t, err)
		defer db.Close()
		if n := value[int](t, db.SQL, "SELECT n FROM counts"); n != 30 {
			t.Errorf("%d: want 30, each step once", n)
		}
	})
}

func TestMigrate_AStepThatFailsIsUndoneAndThoseBeforeItStay(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		files := made("CREATE TABLE one (n int);", "CREATE TABLE two (n int); INSERT INTO nowhere VALUES (1);")
		var lines strings.Builder
		if err := migrate(t.Context(), databaseURL, files, slog.New(slog.NewTextHandler(&lines, nil))); err == nil {
			t.Fatal("no error")
		}
		if !strings.Contains(lines.String(), "step=1") || strings.Contains(lines.String(), "step=2") {
			t.Errorf("the log has not what was applied:\n%s", &lines)
		}
		db, err := connect(databaseURL, Options{})
		must(t, err)
		defer db.Close()
		db.exec(t, "SELECT n FROM one")
		if _, err := db.SQL.ExecContext(t.Context(), "SELECT n FROM two"); err == nil {
			t.Error("half a step is there")
		}
	})
}

// To change a table in SQLite is often to build it anew, and to drop one whose
// rows others speak of takes those with it.
func TestMigrate_ATableThatIsBuiltAnewTakesNoOthersRowsWithIt(t *testing.T) {
	databaseURL := file(t)
	before := []string{
		"CREATE TABLE images (id integer PRIMARY KEY);",
		"CREATE TABLE annotations (image_id integer REFERENCES images (id) ON DELETE CASCADE);",
		"INSERT INTO images VALUES (1), (2); ", "INSERT INTO annotations VALUES (1), (2), (2);",
	}
	must(t, migrate(t.Context(), databaseURL, made(before...), nil))
	after := append(before, `CREATE TABLE new_images (id integer PRIMARY KEY, seen integer);
		INSERT INTO new_images SELECT id, 0 FROM images;
		DROP TABLE images;
		ALTER TABLE new_images RENAME TO images;`)
	must(t, migrate(t.Context(), databaseURL, made(after...), nil))
	db, err := connect(databaseURL, Options{})
	must(t, err)
	defer db.Close()
	if n := value[int](t, db.SQL, "SELECT count(*) FROM annotations"); n != 3 {
		t.Errorf("%d annotations are left of 3", n)
	}
	db.exec(t, "DELETE FROM images WHERE id = 2")
	if n := value[int](t, db.SQL, "SELECT count(*) FROM annotations"); n != 1 {
		t.Errorf("%d annotations: want 1, the other image's", n)
	}
}

func TestOpen_PostgreSQLCompilesNoStatement(t *testing.T) {
	if jit := value[string](t, open(t, testenv.Postgres(t)).SQL, "SHOW jit"); jit != "off" {
		t.Errorf("jit is %s", jit)
	}
}

func TestOpen_SQLiteIsDurableAndMindsForeignKeysAndCase(t *testing.T) {
	db := open(t, file(t))
	for setting, want := range map[string]string{
		"journal_mode": "wal",
		"synchronous":  "2", // FULL
		"foreign_keys": "1",
		"busy_timeout": "15000",
	} {
		if is := value[string](t, db.SQL, "PRAGMA "+setting); is != want {
			t.Errorf("%s is %s, want %s", setting, is, want)
		}
	}
}

func TestOpen_LikeMindsCaseOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		if value[bool](t, db.SQL, "SELECT 'Abc' LIKE 'a%'") || !value[bool](t, db.SQL, "SELECT 'abc' LIKE 'a%'") {
			t.Error("LIKE does not mind case")
		}
	})
}

func TestClose_NothingOfAnEmbeddedDatabaseStaysOpen(t *testing.T) {
	databaseURL := file(t)
	db, err := Open(t.Context(), databaseURL, Options{})
	must(t, err)
	_, err = db.Device.Query().All(t.Context()) // whose statement is kept
	must(t, err)
	must(t, db.Close())
	left, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimPrefix(databaseURL, "sqlite:")), "*"))
	must(t, err)
	if len(left) != 1 { // the last connection takes the write-ahead log with it
		t.Errorf("there is more than the database: %q", left)
	}
}

func TestOpen_AnErrorDoesNotHoldThePassword(t *testing.T) {
	const canary = "canary-in-a-cage"
	real := testenv.Postgres(t)
	host := real[strings.LastIndexByte(real, '@')+1:]
	for _, databaseURL := range []string{
		"postgres://nobody:" + canary + "@" + host,              // refused, or not known
		"postgres://nobody:" + canary + "@127.0.0.1:1/tagma",    // nobody listens
		"postgres://nobody:" + canary + "@no.such.host/tagma",   // no such host
		"postgres://nobody:" + canary + "%zz@127.0.0.1:1/tagma", // not a URL
		"postgres://nobody:" + canary + "/tagma@127.0.0.1/",     // a slash that should be %2F
		"postgres://nobody:" + canary + "@127.0.0.1:x/tagma",
		"postgres://nobody:" + canary + "@127.0.0.1/tagma?sslmode=perhaps",
		"postgres://nobody@127.0.0.1:1/tagma?password=" + canary,
		"mysql://nobody:" + canary + "@127.0.0.1/tagma",
		"postgres:" + canary,
		canary,
	} {
		db, err := Open(t.Context(), databaseURL, Options{})
		if err == nil {
			t.Errorf("%s was opened", databaseURL)
			_ = db.Close()
			continue
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func (db *DB) addUser(ctx context.Context, in *ent.Client, name string) error {
	return in.User.Create().SetUsername(name).SetRole(caller.Reader).SetPasswordHash("-").SetCreatedAt(0).Exec(ctx)
}

func TestInTx_AnErrorOrAPanicUndoesEverything(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		failure := errors.New("no")
		for name, end := range map[string]func() error{
			"done":   func() error { return nil },
			"failed": func() error { return failure },
			"fell":   func() error { panic(failure) },
		} {
			func() {
				defer func() {
					if panicked := recover(); panicked != nil && panicked != any(failure) {
						t.Error("another panic:", panicked)
					}
				}()
				err := db.InTx(t.Context(), func(tx *ent.Tx) error {
					must(t, db.addUser(t.Context(), tx.Client(), name))
					return end()
				})
				if (name == "done") != (err == nil) || err != nil && !errors.Is(err, failure) {
					t.Errorf("InTx %s: got %v, want no error for done and %v for the rest", name, err, failure)
				}
			}()
		}
		if names := db.User.Query().Select("username").StringsX(t.Context()); !slices.Equal(names, []string{"done"}) {
			t.Errorf("there are %q", names)
		}
		if in := db.SQL.Stats().InUse; in != 0 {
			t.Errorf("%d connections are still in use", in)
		}
	})
}

func TestInTx_ThoseWhoReadBeforeTheyWriteTakeTurnsInSQLite(t *testing.T) {
	db := open(t, file(t))
	db.exec(t, "CREATE TABLE counts AS SELECT 0 AS n")
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 10 {
				err := func() error {
					tx, err := db.SQL.BeginTx(t.Context(), nil)
					if err != nil {
						return err
					}
					defer func() { _ = tx.Rollback() }()
					var n int
					if err := tx.QueryRowContext(t.Context(), "SELECT n FROM counts").Scan(&n); err != nil {
						return err
					}
					if _, err := tx.ExecContext(t.Context(), "UPDATE counts SET n = $1", n+1); err != nil {
						return err
					}
					return tx.Commit()
				}()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, group.Wait())
	if n := value[int](t, db.SQL, "SELECT n FROM counts"); n != 80 {
		t.Errorf("%d: want 80", n)
	}
}

func TestRefusals_AreToldApartOnBothDatabases(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		must(t, db.addUser(t.Context(), db.Client, "anna"))
		twice := db.addUser(t.Context(), db.Client, "anna")
		sameID := db.User.Create().SetUsername("berta").SetRole(caller.Reader).SetPasswordHash("-").SetCreatedAt(0).Exec(t.Context())
		must(t, sameID)
		secret := func() error {
			return db.Secret.Create().SetID("a").SetValue([]byte("b")).SetCreatedAt(0).Exec(t.Context())
		}
		must(t, secret())
		key := secret()
		orphan := db.Annotation.Create().SetImageID(4711).SetAlgorithmName("a").SetAlgorithmVersion("1").
			SetObjectCount(0).SetObjects([]byte("[]")).SetCreatedAt(0).Exec(t.Context())
		_, wrong := db.SQL.ExecContext(t.Context(), "SELECT nothing FROM nowhere")
		for name, c := range map[string]struct {
			err                      error
			unique, foreign, passing bool
		}{
			"a name twice":           {err: twice, unique: true},
			"a key twice":            {err: key, unique: true},
			"a row of no image":      {err: orphan, foreign: true},
			"a statement that fails": {err: wrong},
			"none":                   {},
		} {
			if IsUnique(c.err) != c.unique || IsForeignKey(c.err) != c.foreign || IsUnavailable(c.err) != c.passing {
				t.Errorf("%s: unique %t, foreign key %t, unavailable %t: %v",
					name, IsUnique(c.err), IsForeignKey(c.err), IsUnavailable(c.err), c.err)
			}
		}
	})
}

func TestIsUnavailable_IsNotSaidOfADiskThatIsFull(t *testing.T) {
	if err := (&fs.PathError{Op: "write", Path: "a.jpg", Err: syscall.ENOSPC}); IsUnavailable(err) {
		t.Errorf("%v is taken for the database's", err)
	}
}

func TestIsUnavailable_IsSaidOfADatabaseThatIsBusyFullOrGone(t *testing.T) {
	check := func(t *testing.T, err error) {
		t.Helper()
		if err == nil || !IsUnavailable(fmt.Errorf("wrapped: %w", err)) {
			t.Errorf("not unavailable: %v", err)
		}
	}
	t.Run("nobody listens", func(t *testing.T) {
		_, err := Open(t.Context(), "postgres://a:b@127.0.0.1:1/tagma", Options{})
		check(t, err)
	})
	t.Run("the server ends the connection", func(t *testing.T) {
		db := open(t, testenv.Postgres(t))
		tx, err := db.SQL.BeginTx(t.Context(), nil)
		must(t, err)
		defer func() { _ = tx.Rollback() }()
		pid := value[int](t, tx, "SELECT pg_backend_pid()")
		db.exec(t, "SELECT pg_terminate_backend($1, 10000)", pid)
		_, err = tx.ExecContext(t.Context(), "SELECT 1")
		check(t, err)
		db.exec(t, "SELECT 1") // on another
	})
	t.Run("another writes", func(t *testing.T) {
		db := open(t, file(t))
		tx, err := db.SQL.BeginTx(t.Context(), nil)
		must(t, err)
		defer func() { _ = tx.Rollback() }()
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(t.Context(), "PRAGMA busy_timeout = 1")
		must(t, err)
		_, err = conn.ExecContext(t.Context(), "DELETE FROM devices")
		check(t, err)
	})
	t.Run("the disk is full", func(t *testing.T) {
		db := open(t, file(t))
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(t.Context(), "PRAGMA max_page_count = 1") // as many as there are
		must(t, err)
		_, err = conn.ExecContext(t.Context(), "INSERT INTO secrets VALUES ('a', zeroblob(1000000), 0)")
		check(t, err)
	})
}

func TestVersion_IsZeroBeforeTheFirstMigrationAndTheLatestAfterAll(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		if path, ok := sqlitePath(databaseURL); ok {
			must(t, os.WriteFile(path, nil, 0o600))
		}
		before, err := connect(databaseURL, Options{})
		must(t, err)
		defer before.Close()
		if got, err := before.Version(t.Context()); got != 0 || err != nil {
			t.Errorf("version of an empty database: got %d, %v, want 0", got, err)
		}
		latest, err := Latest()
		must(t, err)
		if got, err := open(t, databaseURL).Version(t.Context()); got != latest || latest == 0 || err != nil {
			t.Errorf("version of a migrated database: got %d, %v, want %d", got, err, latest)
		}
	})
}
