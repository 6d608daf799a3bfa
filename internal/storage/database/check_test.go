package database

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/testing/pgserver"
	"tagma/internal/testing/testenv"
)

// faultsOf are what a check of the whole database finds.
func faultsOf(t *testing.T, db *DB) (how string, faults []Fault) {
	t.Helper()
	how, err := db.Check(t.Context(), func(f Fault) { faults = append(faults, f) })
	if err != nil {
		t.Fatal(err)
	}
	return how, faults
}

// fill adds so many devices, some pages of them.
func fill(t *testing.T, db *DB, n int) {
	t.Helper()
	for i := range n {
		db.Device.Create().SetID(fmt.Sprintf("%08x", i)).SetCreatedAt(1).ExecX(t.Context())
	}
}

func TestCheck_OfAWholeDatabaseFindsNothingAndSaysHow(t *testing.T) {
	for address, want := range map[string]string{
		"sqlite:" + filepath.Join(t.TempDir(), "tagma.db"): "integrity_check and foreign_key_check",
		testenv.Postgres(t): "reading every row",
	} {
		db, err := Open(t.Context(), address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		fill(t, db, 10)
		if how, faults := faultsOf(t, db); how != want || len(faults) > 0 {
			t.Errorf("by %q: %v; want by %q and nothing", how, faults, want)
		}
		tables, err := db.Tables(t.Context())
		if err != nil || len(tables) < 15 {
			t.Errorf("tables: got %v, %v, want at least 15", tables, err)
		}
		for _, table := range tables {
			if _, err := db.CheckTable(t.Context(), table, func(f Fault) { t.Errorf("got %v", f) }); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestCheck_ABitInTheHeaderOfAnyPageOfSQLiteIsFoundOrTheFileIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tagma.db")
	db, err := Open(t.Context(), "sqlite:"+path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 3000)
	if _, err := db.SQL.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const pageSize = 4096
	pages := len(whole) / pageSize
	if pages < 60 {
		t.Fatalf("the database has %d pages only", pages)
	}
	for n := range pages {
		copied := append([]byte{}, whole...)
		at := n * pageSize
		if n == 0 {
			at = 100 // behind the header of the file
		}
		copied[at+3] ^= 1 << 2 // the number of cells
		damaged := filepath.Join(t.TempDir(), "tagma.db")
		if err := os.WriteFile(damaged, copied, 0o600); err != nil {
			t.Fatal(err)
		}
		found := 0
		err := Inspect(t.Context(), "sqlite:"+damaged, func(Fault) { found++ })
		if err != nil && !IsDamaged(err) {
			t.Errorf("page %d: %v", n+1, err)
		}
		if err == nil && found == 0 {
			t.Errorf("page %d of %d: nothing is found", n+1, pages)
		}
	}
}

func TestInspect_AFileThatIsNoDatabaseIsDamaged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tagma.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database at all\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Inspect(t.Context(), "sqlite:"+path, func(f Fault) {}); !IsDamaged(err) {
		t.Errorf("got %v", err)
	}
	if _, err := Open(t.Context(), "sqlite:"+path, Options{}); !IsDamaged(err) {
		t.Errorf("got %v", err)
	}
}

func TestCheck_ARowThatSpeaksOfNothingIsFoundOnSQLite(t *testing.T) {
	address := "sqlite:" + filepath.Join(t.TempDir(), "tagma.db")
	db, err := Open(t.Context(), address, Options{Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.SQL.ExecContext(t.Context(), `PRAGMA foreign_keys = OFF; INSERT INTO bundle_files (key, content_id, version_id, modified_at) VALUES ('x', 7, 8, 9)`); err != nil {
		t.Fatal(err)
	}
	if _, faults := faultsOf(t, db); len(faults) != 2 || faults[0].Table != "bundle_files" {
		t.Errorf("got %v", faults)
	}
}

// openDamaged opens a PostgreSQL server in which a file of a table or index was
// spoilt while the server stood still.
func openDamaged(t *testing.T, relation string, spoil func([]byte), extension bool) *DB {
	t.Helper()
	data := t.TempDir()
	if err := errors.Join(os.Chmod(data, 0o755), os.Chmod(filepath.Dir(data), 0o755)); err != nil {
		t.Fatal(err)
	}
	data = filepath.Join(data, "data")
	server, err := pgserver.Start(pgserver.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	address := server.Address
	address.User = url.User("postgres") // who may checkpoint and add an extension
	db, err := Open(t.Context(), address.String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, db, 2000)
	var file string
	if extension {
		_, err = db.SQL.ExecContext(t.Context(), `CREATE EXTENSION amcheck`)
	}
	if err == nil {
		err = db.SQL.QueryRowContext(t.Context(), `SELECT current_setting('data_directory') || '/' || pg_relation_filepath($1)`, relation).Scan(&file)
	}
	if err == nil {
		_, err = db.SQL.ExecContext(t.Context(), `CHECKPOINT`)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spoil(content)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if server, err = pgserver.Start(pgserver.Options{Data: data}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	address.Host = server.Address.Host
	if db, err = connect(address.String(), Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestCheck_ADamagedPageOfPostgreSQLIsFoundByReadingEveryRow(t *testing.T) {
	db := openDamaged(t, "devices", func(file []byte) { file[8192+16] ^= 0xff }, false) // the second page's size
	how, faults := faultsOf(t, db)
	if how != "reading every row" || len(faults) != 1 || faults[0].Table != "devices" {
		t.Errorf("check: got faults %v by %q, want one in devices by reading every row", faults, how)
	}
}

func TestCheck_ADamagedIndexOfPostgreSQLIsFoundByAmcheck(t *testing.T) {
	db := openDamaged(t, "devices_pkey", func(file []byte) {
		// A key in a leaf, of which no row has the like.
		at := strings.Index(string(file[8192:]), "00000123") + 8192
		copy(file[at:], "zz")
	}, true)
	how, faults := faultsOf(t, db)
	if how != "amcheck" || len(faults) != 1 || faults[0].Table != "devices_pkey" {
		t.Errorf("check: got faults %v by %q, want one in devices_pkey by amcheck", faults, how)
	}
}
