package identity

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// each runs a test on an empty database of either kind.
func each(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, testenv.Postgres(t)) })
}

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{})
	if err != nil {
		t.Fatalf("open the database: got %v, want no error", err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestEnsure_AllServersThatStartAtOnceGetOneID(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		const servers = 8
		var all [servers]Identity
		var errs [servers]error
		var group sync.WaitGroup
		db := open(t, url)
		if _, err := Of(t.Context(), db.Client); !errors.Is(err, ErrNone) {
			t.Errorf("identity of a new database: got error %v, want %v", err, ErrNone)
		}
		for n := range servers {
			group.Go(func() { all[n], errs[n] = Ensure(t.Context(), db, 1000) })
		}
		group.Wait()
		for n := range servers {
			if errs[n] != nil || all[n] != all[0] || all[n].ID == "" {
				t.Errorf("server %d: got %+v, %v, want %+v", n, all[n], errs[n], all[0])
			}
		}
		later, err := Ensure(t.Context(), open(t, url), 2000)
		if err != nil || later != all[0] {
			t.Errorf("after a restart: got %+v, %v, want %+v", later, err, all[0])
		}
	})
}

func TestReplace_ARestoredStoreHasAnIDOfItsOwnAndNamesItsOrigin(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db := open(t, url)
		origin, err := Ensure(t.Context(), db, 1000)
		if err != nil {
			t.Fatalf("Ensure: got %v, want no error", err)
		}
		tx, err := db.SQL.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatalf("begin: got %v, want no error", err)
		}
		want := New(2000, origin.ID)
		if err := Replace(t.Context(), tx, want); err != nil {
			t.Fatalf("Replace: got %v, want no error", err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatalf("commit: got %v, want no error", err)
		}
		if got, err := Of(t.Context(), db.Client); err != nil || got != want || got.ID == origin.ID {
			t.Errorf("identity of the copy: got %+v, %v, want %+v", got, err, want)
		}
	})
}
