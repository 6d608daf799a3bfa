package cachefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen_ADamagedFileIsReplacedAndAnyOtherIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "cache.db")
	const table = `CREATE TABLE IF NOT EXISTS words (word TEXT)`
	count := func() (n int) {
		db, err := Open(t.Context(), path, table)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM words`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `INSERT INTO words VALUES ('moth')`); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if a, b := count(), count(); a != 0 || b != 1 {
		t.Errorf("rows of a good file: got %d and then %d, want 0 and 1", a, b)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("this is no database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, b := count(), count(); a != 0 || b != 1 {
		t.Errorf("rows of a damaged file: got %d and then %d, want 0 and 1", a, b)
	}
	for _, path := range []string{"", filepath.Join(path, "below")} {
		if _, err := Open(t.Context(), path, table); err == nil {
			t.Errorf("Open(%q): got no error, want one", path)
		}
	}
}
