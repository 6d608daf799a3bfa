package backup

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"tagma/ent/migrations"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
)

func TestRestore_TheNewStoreHasAnIDOfItsOwnAndNamesItsOrigin(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		path := t.TempDir()
		from.made(path)
		if _, err := to.restore(path); err != nil {
			t.Fatalf("restore: got %v, want no error", err)
		}
		origin, err := identity.Of(t.Context(), from.db.Client)
		if err != nil {
			t.Fatal(err)
		}
		got, err := identity.Of(t.Context(), to.db.Client)
		if err != nil || got.ID == "" || got.ID == origin.ID || got.RestoredFrom != origin.ID {
			t.Errorf("identity: got %+v, %v, want a new id, from %s", got, err, origin.ID)
		}
		if keys := keysOf(t, to.bucket); len(keys) != 9 {
			t.Errorf("files: got %q, want the 9 of the backup and no marker", keys)
		}
		// Its backups do not go over those of its origin.
		if _, err := to.backup(path); err == nil || !strings.Contains(err.Error(), "another store") {
			t.Errorf("backup of the restored store over its origin's: got %v, want a refusal", err)
		}
	})
}

func TestRestore_AStoreWithDataIsRefusedAndNothingChanges(t *testing.T) {
	from := open(t, "")
	from.furnish()
	path := t.TempDir()
	from.made(path)
	for name, c := range map[string]struct {
		fill func(t *testing.T, to *house) error
		want string
	}{
		"an id": {func(t *testing.T, to *house) error {
			_, err := identity.Ensure(t.Context(), to.db, 1)
			return err
		}, "the database is that of the store"},
		"a row": {func(t *testing.T, to *house) error {
			return to.db.Checkpoint.Create().SetID("x").SetValue("x").Exec(t.Context())
		}, "the database has rows"},
		"files and no database": {func(t *testing.T, to *house) error {
			return bucket.WriteAll(t.Context(), to.bucket, "images/x.jpg", []byte("x"))
		}, "--storage has files (images/x.jpg)"},
		"half of another backup": {func(t *testing.T, to *house) error {
			return bucket.WriteAll(t.Context(), to.bucket, markerKey, []byte(`{"backup": "another"}`))
		}, "another backup"},
	} {
		t.Run(name, func(t *testing.T) {
			eachKind(t, func(t *testing.T, to *house) {
				if err := c.fill(t, to); err != nil {
					t.Fatal(err)
				}
				rows, files := to.dump(), keysOf(t, to.bucket)
				if _, err := to.restore(path); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("restore: got %v, want %q", err, c.want)
				}
				same(t, rows, to.dump())
				if after := keysOf(t, to.bucket); !slices.Equal(files, after) {
					t.Errorf("files: got %q, want %q", after, files)
				}
			})
		})
	}
}

func TestRestore_AfterOneThatFailedItGoesOnWithTheFilesThatAreThere(t *testing.T) {
	each(t, func(t *testing.T, from, to *house) {
		from.furnish()
		path := t.TempDir()
		from.made(path)
		broken := keysOf(t, from.bucket)[8] // the last
		content, err := os.ReadFile(filepath.Join(path, filesFolder, broken))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(path, filesFolder, broken), "damaged")
		if _, err := to.restore(path); err == nil || !strings.Contains(err.Error(), broken) {
			t.Fatalf("restore of a damaged file: got %v, want a refusal of %s", err, broken)
		}
		if rows, err := hasRows(t.Context(), to.db); err != nil || rows {
			t.Errorf("rows: got %t, %v, want none", rows, err)
		}
		write(t, filepath.Join(path, filesFolder, broken), string(content))
		// How many files are there depends on which were under way: here all but
		// the last, of which one has other bytes.
		for n, key := range keysOf(t, from.bucket) {
			content, err := bucket.ReadAll(t.Context(), from.bucket, key)
			if err == nil && n == 0 {
				content = []byte("spoilt")
			}
			if err == nil && key != broken {
				err = bucket.WriteAll(t.Context(), to.bucket, key, content)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		// The last and the spoilt file are copied, or the last alone: S3 may execute a
		// cancelled write of the failed restore late, after the file was spoilt.
		report, err := to.restore(path)
		if err != nil || report.Files != 9 || report.Copied < 1 || report.Copied > 2 {
			t.Errorf("restore again: got %+v, %v, want 1 or 2 of 9 files copied", report, err)
		}
		same(t, from.dump(), to.dump())
		if right, findings := to.verify(); right != 9 || len(findings) > 0 {
			t.Errorf("verify: got %d, %v, want 9", right, findings)
		}
	})
}

func TestRestore_AnOlderGenerationByItsName(t *testing.T) {
	from, to := open(t, ""), open(t, "")
	from.furnish()
	path := t.TempDir()
	first := from.made(path)
	if _, err := from.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night}}, false); err != nil {
		t.Fatal(err)
	}
	from.made(path)
	if _, err := Find(t.Context(), path, "20200101T000000Z"); err == nil || !strings.Contains(err.Error(), first.Generation.Name) {
		t.Errorf("a generation that is not there: got %v, want the names of those that are", err)
	}
	found, err := Find(t.Context(), path, first.Generation.Name)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Restore(t.Context(), found, Target{DB: to.db, Bucket: to.bucket, Folder: to.folder, Temporary: t.TempDir()})
	if err != nil || report.Files != 9 {
		t.Errorf("restore: got %+v, %v, want 9 files", report, err)
	}
}

func TestRestore_LeavesNoCopyOfTheDatabaseAndNothingInTheBackup(t *testing.T) {
	from := open(t, "")
	from.furnish()
	path, temporary := t.TempDir(), t.TempDir()
	from.made(path)
	makeFolder(t, filepath.Join(temporary, "restore"))
	write(t, filepath.Join(temporary, "restore", databaseFile), "left by a restore that was killed")
	before := tree(t, path)
	for _, damage := range []bool{true, false} {
		to := open(t, "")
		found, err := Find(t.Context(), path, "")
		if err != nil {
			t.Fatal(err)
		}
		if damage {
			found.contents.database = digest{}
		}
		_, err = Restore(t.Context(), found, Target{DB: to.db, Bucket: to.bucket, Folder: to.folder, Temporary: temporary})
		if (err != nil) != damage {
			t.Errorf("restore with damage %t: got %v", damage, err)
		}
		if exists(filepath.Join(temporary, "restore")) {
			t.Errorf("with damage %t: the copy of the database is left", damage)
		}
	}
	if after := tree(t, path); !maps.Equal(before, after) {
		t.Errorf("the backup: got %v, want %v", after, before)
	}
}

func TestFind_WhatIsNoBackupIsRefused(t *testing.T) {
	root := t.TempDir()
	write(t, filepath.Join(root, "file"), "x")
	for _, path := range []string{filepath.Join(root, "missing"), filepath.Join(root, "file"), makeFolder(t, filepath.Join(root, "empty"))} {
		if _, err := Find(t.Context(), path, ""); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("find in %s: got %v, want an error that names it", path, err)
		}
	}
	h := open(t, "")
	h.furnish()
	path := filepath.Join(root, "backup")
	h.made(path)
	found, err := Find(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []Place{{Data: path}, {Files: filepath.Join(path, filesFolder)}, {Database: filepath.Join(path, databaseFile)}} {
		if err := found.CheckApart(place); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("restore into %+v: got %v, want a refusal", place, err)
		}
	}
	if err := found.CheckApart(Place{Data: filepath.Join(root, "data"), Files: filepath.Join(root, "files")}); err != nil {
		t.Errorf("restore beside the backup: got %v, want no error", err)
	}
}

// older makes a backup, in the layout without generations, of a database that
// lacks the last migration.
func older(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(path, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	steps, err := fs.Sub(migrations.Files, "sqlite")
	if err != nil {
		t.Fatal(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, steps)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := database.Latest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), latest-1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO checkpoints (id, value) VALUES ('labels', '0123')`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	makeFolder(t, filepath.Join(path, filesFolder))
	sum, err := sumOf(filepath.Join(path, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(path, sumsFile), fmt.Sprintf("%s  %s\n", sum, databaseFile))
}

func TestRestore_ABackupOfAnOlderVersionIsMigratedInTheCopy(t *testing.T) {
	eachKind(t, func(t *testing.T, to *house) {
		path := t.TempDir()
		older(t, path)
		before := tree(t, path)
		if _, err := to.restore(path); err != nil {
			t.Fatalf("restore: got %v, want no error", err)
		}
		if row, err := to.db.Checkpoint.Get(t.Context(), "labels"); err != nil || row.Value != "0123" {
			t.Errorf("the row: got %v, %v, want 0123", row, err)
		}
		if after := tree(t, path); !maps.Equal(before, after) {
			t.Errorf("the backup: got %v, want %v", after, before)
		}
	})
}

func TestMake_ADatabaseOfAnotherVersionIsNotBackedUp(t *testing.T) {
	h := open(t, "")
	h.furnish()
	if _, err := h.db.SQL.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, 1)`); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup")
	if _, err := h.backup(path); err == nil || !strings.Contains(err.Error(), "999999") || exists(path) {
		t.Errorf("backup: got %v, want a refusal that names the version, and no folder", err)
	}
}
