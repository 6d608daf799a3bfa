package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/server/config"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
	"tagma/internal/testing/testenv"
)

// checked returns settings of a folder that is not there yet.
func checked(t *testing.T, databaseURL string) *config.Config {
	t.Helper()
	c := settings(t, databaseURL)
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	return c
}

var discard = slog.New(slog.DiscardHandler)

func TestOpenExisting_AStoreThatNoServerHasMadeIsRefusedAndNothingIsMade(t *testing.T) {
	for name, databaseURL := range map[string]string{"SQLite": "", "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			c := checked(t, databaseURL)
			if _, err := OpenExisting(t.Context(), c, discard); err == nil || !strings.HasPrefix(err.Error(), "there is no store: the database ") {
				t.Errorf("got %v, want that there is no store", err)
			}
			if _, err := os.Stat(c.Data); err == nil {
				t.Errorf("%s was made", c.Data)
			}
		})
	}
}

func TestOpenExisting_AServersStoreIsOpenedWithItsID(t *testing.T) {
	for name, databaseURL := range map[string]string{"SQLite": "", "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			c := checked(t, databaseURL)
			made, err := Open(t.Context(), c, discard, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := made.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := OpenExisting(t.Context(), c, discard)
			if err != nil {
				t.Fatalf("got %v, want no error", err)
			}
			defer again.Close()
			if again.Identity != made.Identity || again.Identity.ID == "" || again.Folder != made.Folder {
				t.Errorf("got %+v in %s, want %+v in %s", again.Identity, again.Folder, made.Identity, made.Folder)
			}
		})
	}
}

func TestOpenExisting_ADatabaseWithoutAnIDIsRefusedAndTheServerGivesOne(t *testing.T) {
	c := checked(t, "")
	made, err := Make(t.Context(), c, discard) // as servers did before stores had ids
	if err != nil {
		t.Fatal(err)
	}
	if made.Identity != (identity.Identity{}) {
		t.Errorf("Make: got the id %+v, want none", made.Identity)
	}
	_ = made.Close()
	if _, err := OpenExisting(t.Context(), c, discard); err == nil || !strings.Contains(err.Error(), "start the server on it once") {
		t.Errorf("got %v, want to be told to start the server", err)
	}
	_ = open(t, c).Close()
	again, err := OpenExisting(t.Context(), c, discard)
	if err != nil {
		t.Fatalf("after a server: got %v, want no error", err)
	}
	_ = again.Close()
}

func TestOpenExisting_AMissingFolderOfFilesIsRefusedAndNotMade(t *testing.T) {
	c := checked(t, "")
	_ = open(t, c).Close()
	c.Storage = "file:" + filepath.Join(t.TempDir(), "not mounted")
	if _, err := OpenExisting(t.Context(), c, discard); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.Storage, "file:")+" does not exist") {
		t.Errorf("got %v, want that the folder does not exist", err)
	}
	if _, err := os.Stat(strings.TrimPrefix(c.Storage, "file:")); err == nil {
		t.Error("the folder was made")
	}
}

// A disk that is not mounted must not become an empty store of files beside a
// database that has images.
func TestOpen_ADatabaseWithImagesIsRefusedWithoutItsFolder(t *testing.T) {
	c := checked(t, "")
	s := open(t, c)
	for _, statement := range []string{
		`INSERT INTO devices VALUES ('0a5bb6f4', 0)`,
		`INSERT INTO images (device, taken_at, md5, sha256, size, width, height, file_id, metadata, created_at) VALUES ('0a5bb6f4', 1000, '', '', 1, 1, 1, '', '{}', 0)`,
	} {
		if _, err := s.DB.SQL.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	c.Storage = "file:" + filepath.Join(t.TempDir(), "not mounted", "files")
	if _, err := Open(t.Context(), c, discard, nil); err == nil || !strings.Contains(err.Error(), "mount the disk") {
		t.Errorf("got %v, want to be told to mount the disk", err)
	}
	if _, err := os.Stat(filepath.Dir(strings.TrimPrefix(c.Storage, "file:"))); err == nil {
		t.Error("the folder was made")
	}
}

func TestMake_AStoreOfAnotherVersionIsRefusedAndNotMigrated(t *testing.T) {
	c := checked(t, "")
	s := open(t, c)
	if _, err := s.DB.SQL.ExecContext(t.Context(), `DELETE FROM goose_db_version WHERE version_id = (SELECT MAX(version_id) FROM goose_db_version)`); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_, err := Make(t.Context(), c, discard)
	if got, ok := errors.AsType[*database.VersionError](err); !ok || got.Newer() {
		t.Errorf("got %v, want that the database is older", err)
	}
}

func TestOpen_AFolderThatIsRefusedIsNotMade(t *testing.T) {
	c := checked(t, "")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte("no database "), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Database = "sqlite:" + file
	if _, err := Open(t.Context(), c, discard, nil); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v, want an error that names %s", err, file)
	}
	if _, err := os.Stat(c.Data); err == nil {
		t.Errorf("%s was made", c.Data)
	}
}

func TestOpen_ABackupIsNotWorkedOn(t *testing.T) {
	for _, marks := range [][]string{{"SHA256SUMS", "tagma.db"}, {"tagma-backup.json"}} {
		folder := t.TempDir()
		for _, name := range marks {
			if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, data := range []string{folder, filepath.Join(folder, "files"), filepath.Join(folder, "generations", "20261201T030000Z")} {
			c := checked(t, "")
			c.Data, c.Database, c.Storage = data, "", ""
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			_, locked := Acquire(t.Context(), c, discard)
			_, opened := Open(t.Context(), c, discard, nil)
			_, existing := OpenExisting(t.Context(), c, discard)
			for what, err := range map[string]error{"Acquire": locked, "Open": opened, "OpenExisting": existing} {
				if err == nil || !strings.Contains(err.Error(), "lies in the backup "+folder) {
					t.Errorf("%s of %s: got %v, want that it is a backup", what, data, err)
				}
			}
		}
		if entries, _ := os.ReadDir(folder); len(entries) != len(marks) {
			t.Errorf("the backup: got %d files, want %d", len(entries), len(marks))
		}
	}
}

func TestLogOpening_SaysWhichStoreItIsAndNoPassword(t *testing.T) {
	for name, databaseURL := range map[string]string{"SQLite": "", "PostgreSQL": testenv.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			c := checked(t, databaseURL)
			s := open(t, c)
			for _, statement := range []string{
				`INSERT INTO devices VALUES ('0a5bb6f4', 0)`,
				`INSERT INTO images (id, device, taken_at, md5, sha256, size, width, height, file_id, metadata, created_at)
					VALUES (7, '0a5bb6f4', 1592683200000, '', '', 1, 1, 1, '', '{}', 0), (9, '0a5bb6f4', 1592683100000, '', '', 1, 1, 1, '', '{}', 0)`,
			} {
				if _, err := s.DB.SQL.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			var log strings.Builder
			if err := s.LogOpening(t.Context(), c, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"data=" + c.Data, "database=" + database.Name(c.Database), "files=" + s.Folder, "id=" + s.Identity.ID, "newest_image=2020-06-20T20:00:00", "last_image_id=9"} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("got %q, want %q in it", &log, want)
				}
			}
		})
	}
}

func TestAcquire_ASecondServerOnTheFolderOrTheDatabaseIsToldWhoHasIt(t *testing.T) {
	first := checked(t, "")
	first.Drain = -overlap // no wait
	lock, err := Acquire(t.Context(), first, discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Describe("http://127.0.0.1:8080/"); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(first.Data, linked); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{first.Data, linked} {
		second := *first
		second.Data = data
		_, err := Acquire(t.Context(), &second, discard)
		if err == nil || !strings.Contains(err.Error(), data+" (host ") || !strings.Contains(err.Error(), "at http://127.0.0.1:8080/") {
			t.Errorf("%s: got %v, want the folder and who has it", data, err)
		}
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}

	// The same database from two data folders.
	shared := filepath.Join(t.TempDir(), "shared.db")
	var both [2]*config.Config
	for n := range both {
		both[n] = checked(t, "sqlite:"+shared)
		both[n].Drain = -overlap
	}
	lock, err = Acquire(t.Context(), both[0], discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(t.Context(), both[1], discard); err == nil || !strings.Contains(err.Error(), filepath.Dir(shared)) {
		t.Errorf("the same database: got %v, want a refusal that names its folder", err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	lock, err = Acquire(t.Context(), both[1], discard)
	if err != nil {
		t.Fatalf("after the first has ended: got %v, want no error", err)
	}
	_ = lock.Release()
}

func TestAcquire_TheNextServerWaitsUntilTheFirstHasStopped(t *testing.T) {
	c := checked(t, "")
	c.Drain = time.Hour
	first, err := Acquire(t.Context(), c, discard)
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan struct{})
	log := slog.New(waiting{slog.DiscardHandler, waits})
	taken := make(chan error, 1)
	go func() {
		second, err := Acquire(t.Context(), c, log)
		if err == nil {
			err = second.Release()
		}
		taken <- err
	}()
	<-waits
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Errorf("the second: got %v, want no error", err)
	}
}

// waiting is a log that tells of its first line.
type waiting struct {
	slog.Handler
	heard chan struct{}
}

func (w waiting) Enabled(context.Context, slog.Level) bool { return true }

func (w waiting) Handle(context.Context, slog.Record) error {
	close(w.heard)
	return nil
}
