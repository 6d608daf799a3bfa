package database

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"tagma/ent/migrations"
	"tagma/internal/testing/testenv"
)

// listing returns the hash of every file in a folder, and "folder" for a folder,
// by path.
func listing(t *testing.T, folder string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			found[path] = "folder"
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = fmt.Sprintf("%x", sha256.Sum256(content))
		return err
	}))
	return found
}

// unchanged fails the test if a folder is not as it was before.
func unchanged(t *testing.T, folder string, before map[string]string) {
	t.Helper()
	if after := listing(t, folder); !maps.Equal(after, before) {
		t.Errorf("%s was changed:\ngot  %v\nwant %v", folder, after, before)
	}
}

// atVersion makes a database of an older or newer version than this binary's.
func atVersion(t *testing.T, databaseURL string, version int64) {
	t.Helper()
	latest, err := Latest()
	must(t, err)
	if version < latest {
		must(t, migrate(t.Context(), databaseURL, upTo(t, int(version)+1), nil))
		return
	}
	db, err := Open(t.Context(), databaseURL, Options{})
	must(t, err)
	db.exec(t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, $2)", version, true)
	must(t, db.Close())
}

func TestOpenExisting_ADatabaseOfThisVersionIsOpenedAndLeftAsItIs(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		must(t, open(t, databaseURL).Close())
		folder := t.TempDir()
		if path, ok := sqlitePath(databaseURL); ok {
			folder = filepath.Dir(path)
		}
		before := listing(t, folder)
		db, err := OpenExisting(t.Context(), databaseURL, Options{})
		must(t, err)
		if n, err := db.User.Query().Count(t.Context()); n != 0 || err != nil {
			t.Errorf("users: got %d, %v, want 0", n, err)
		}
		must(t, db.Close())
		unchanged(t, folder, before)
	})
}

func TestOpenExisting_ADatabaseThatIsNotThereIsRefusedAndNotMade(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "empty.db"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "text.db"), bytes.Repeat([]byte("no database "), 100), 0o600))
	must(t, os.Mkdir(filepath.Join(folder, "folder.db"), 0o700))
	before := listing(t, folder)
	for name, wanted := range map[string]string{
		"missing.db":         "does not exist; correct --data or --database",
		"missing/tagma.db":   "does not exist; correct --data or --database",
		"empty.db":           "is an empty file; correct --data or --database",
		"text.db":            "is no SQLite database: correct --data or --database",
		"folder.db":          "is no file: correct --data or --database",
		"text.db/below-file": "not a directory",
	} {
		path := filepath.Join(folder, name)
		db, err := OpenExisting(t.Context(), "sqlite:"+path, Options{})
		if err == nil {
			t.Errorf("%s: got no error", name)
			must(t, db.Close())
			continue
		}
		if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), wanted) {
			t.Errorf("%s: got %q, want the path and %q", name, err, wanted)
		}
		if _, absent := errors.AsType[*AbsentError](err); absent != strings.Contains(wanted, "; correct") {
			t.Errorf("%s: got an AbsentError %t, want %t", name, absent, !absent)
		}
	}
	unchanged(t, folder, before)

	_, err := OpenExisting(t.Context(), testenv.Postgres(t), Options{})
	if absent, ok := errors.AsType[*AbsentError](err); !ok || absent.Reason != "has no tables of Tagma" {
		t.Errorf("an empty PostgreSQL database: got %v, want an AbsentError", err)
	}
}

func TestOpenExisting_AnotherProgramsDatabaseIsRefusedAndNotConverted(t *testing.T) {
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	must(t, os.WriteFile(path, nil, 0o600))
	db, err := connect(databaseURL, Options{existing: true}) // not in WAL mode
	must(t, err)
	db.exec(t, "CREATE TABLE notes (n int)")
	must(t, db.Close())
	before := listing(t, filepath.Dir(path))
	if _, err := OpenExisting(t.Context(), databaseURL, Options{}); err == nil || !strings.Contains(err.Error(), "has no tables of Tagma") {
		t.Errorf("OpenExisting: got %v, want that there are no tables of Tagma", err)
	}
	if _, err := Open(t.Context(), databaseURL, Options{}); !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open: got %v, want %v and the path", err, ErrForeign)
	}
	unchanged(t, filepath.Dir(path), before)
}

func TestOpenExisting_AnotherVersionIsRefusedWithBothNumbersAndTheRemedy(t *testing.T) {
	latest, err := Latest()
	must(t, err)
	for version, remedy := range map[int64]string{
		latest - 1: "start the server of this binary once",
		latest + 1: "use the binary that brought the database to version",
	} {
		eachURL(t, func(t *testing.T, databaseURL string) {
			atVersion(t, databaseURL, version)
			folder := t.TempDir()
			if path, ok := sqlitePath(databaseURL); ok {
				folder = filepath.Dir(path)
			}
			before := listing(t, folder)
			_, err := OpenExisting(t.Context(), databaseURL, Options{})
			got, ok := errors.AsType[*VersionError](err)
			if !ok || got.Version != version || got.Latest != latest || got.Newer() != (version > latest) || !strings.Contains(err.Error(), remedy) {
				t.Errorf("OpenExisting: got %v, want a VersionError of %d and %d that says %q", err, version, latest, remedy)
			}
			if version > latest {
				_, err := Open(t.Context(), databaseURL, Options{})
				if got, ok := errors.AsType[*VersionError](err); !ok || !got.Newer() {
					t.Errorf("Open: got %v, want a VersionError", err)
				}
			}
			unchanged(t, folder, before)
			db, err := connect(databaseURL, Options{existing: true})
			must(t, err)
			if got, err := db.Version(t.Context()); got != version || err != nil {
				t.Errorf("version afterwards: got %d, %v, want %d", got, err, version)
			}
			must(t, db.Close())
		})
	}
}

func TestOpen_AnSQLiteDatabaseWithRowsIsCopiedBeforeItIsMigrated(t *testing.T) {
	latest, err := Latest()
	must(t, err)
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	must(t, os.Chmod(filepath.Dir(path), 0o700))
	atVersion(t, databaseURL, latest-1)
	old, err := connect(databaseURL, Options{})
	must(t, err)
	old.exec(t, "INSERT INTO devices VALUES ('0a5bb6f4', 0)")
	must(t, old.Close())
	before, err := os.ReadFile(path)
	must(t, err)
	var log strings.Builder
	migrated, err := Open(t.Context(), databaseURL, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	must(t, migrated.Close())
	name := fmt.Sprintf("%s.version-%d", path, latest-1)
	if !strings.Contains(log.String(), name) {
		t.Errorf("the log does not name the copy %s:\n%s", name, &log)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the copy: got %v, %v, want a file of mode 0600", info, err)
	}
	if names, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); len(names) != 2 {
		t.Errorf("the folder: got %q, want the database and the copy", names)
	}
	first, err := os.ReadFile(name)
	must(t, err)

	// Going back to the copy and forth again needs no other copy, unless there
	// are new rows: those get a copy of their own.
	must(t, os.WriteFile(path, before, 0o600))
	must(t, open(t, databaseURL).Close())
	must(t, os.WriteFile(path, first, 0o600))
	copied, err := connect(databaseURL, Options{existing: true})
	must(t, err)
	if got, err := copied.Version(t.Context()); got != latest-1 || err != nil {
		t.Errorf("version of the copy: got %d, %v, want %d", got, err, latest-1)
	}
	if got := value[string](t, copied.SQL, "SELECT id FROM devices"); got != "0a5bb6f4" {
		t.Errorf("the row of the copy: got %q, want 0a5bb6f4", got)
	}
	copied.exec(t, "INSERT INTO devices VALUES ('ffffffff', 0)")
	must(t, copied.Close())
	must(t, open(t, databaseURL).Close())
	if again, err := os.ReadFile(name); err != nil || !bytes.Equal(again, first) {
		t.Errorf("the first copy was written over: %v", err)
	}
	names, err := filepath.Glob(path + ".*")
	must(t, err)
	if want := []string{name, name + "-2"}; !slices.Equal(names, want) {
		t.Errorf("copies: got %q, want %q", names, want)
	}
}

func TestOpen_ADatabaseWithoutRowsIsNotCopied(t *testing.T) {
	latest, err := Latest()
	must(t, err)
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	atVersion(t, databaseURL, latest-1)
	must(t, open(t, databaseURL).Close())
	if names, _ := filepath.Glob(path + "*"); len(names) != 1 {
		t.Errorf("got %q, want the database alone", names)
	}
}

// A copy that cannot be made must leave the database as it is.
func TestOpen_ADatabaseIsNotMigratedIfTheCopyCannotBeMade(t *testing.T) {
	latest, err := Latest()
	must(t, err)
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	atVersion(t, databaseURL, latest-1)
	old, err := connect(databaseURL, Options{})
	must(t, err)
	old.exec(t, "INSERT INTO devices VALUES ('0a5bb6f4', 0)")
	must(t, old.Close())
	must(t, os.Mkdir(fmt.Sprintf("%s.version-%d", path, latest-1), 0o700)) // which is no copy
	if _, err := Open(t.Context(), databaseURL, Options{}); err == nil {
		t.Error("Open: got no error")
	}
	db, err := connect(databaseURL, Options{existing: true})
	must(t, err)
	defer db.Close()
	if got, err := db.Version(t.Context()); got != latest-1 || err != nil {
		t.Errorf("version afterwards: got %d, %v, want %d", got, err, latest-1)
	}
	if names, _ := filepath.Glob(path + "*unfinished*"); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestOpen_OnlyTheOwnerReadsTheDatabaseWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	check := func(when string, db *DB) {
		t.Helper()
		db.exec(t, "INSERT INTO devices VALUES ($1, 0)", when)
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if info, err := os.Stat(path + suffix); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s, %s: got %v, %v, want mode 0600", when, filepath.Base(path+suffix), info, err)
			}
		}
		must(t, db.Close())
	}
	db, err := Open(t.Context(), databaseURL, Options{})
	must(t, err)
	check("made", db)
	must(t, os.Chmod(path, 0o644)) // as Tagma made it before
	db, err = Open(t.Context(), databaseURL, Options{})
	must(t, err)
	check("found", db)
}

func TestOpen_AFileThatIsLostWhileItIsInUseIsNotMadeAgainEmpty(t *testing.T) {
	databaseURL := file(t)
	path, _ := sqlitePath(databaseURL)
	db := open(t, databaseURL)
	db.SQL.SetMaxIdleConns(0) // each statement opens the file
	must(t, os.Remove(path))
	if _, err := db.SQL.ExecContext(t.Context(), "SELECT 1 FROM devices"); err == nil {
		t.Error("a statement: got no error")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a new file")
	}
}

func TestName_HoldsNeitherUserNorPassword(t *testing.T) {
	here, err := os.Getwd()
	must(t, err)
	for databaseURL, want := range map[string]string{
		"sqlite:data/tagma.db":                                filepath.Join(here, "data/tagma.db"),
		"postgres://ada:canary@db.example.org:5432/tagma":     "postgres://db.example.org:5432/tagma",
		"postgres://ada@db.example.org/tagma?password=canary": "postgres://db.example.org/tagma",
		"postgres://ada:canary/tagma@db.example.org/":         "of PostgreSQL",
		"postgres://ada:1234/tagma@db.example.org/":           "of PostgreSQL",
		"canary": "of PostgreSQL",
	} {
		if got := Name(databaseURL); got != want {
			t.Errorf("%s: got %q, want %q", databaseURL, got, want)
		}
	}
}

func TestLatest_IsTheLastStepOfBothDatabases(t *testing.T) {
	latest, err := Latest()
	must(t, err)
	for _, folder := range []string{"sqlite", "postgres"} {
		all, err := migrations.Files.ReadDir(folder)
		must(t, err)
		if last := all[len(all)-1].Name(); !strings.HasPrefix(last, fmt.Sprintf("%05d_", latest)) {
			t.Errorf("%s: got the last step %s, want %d", folder, last, latest)
		}
	}
}
