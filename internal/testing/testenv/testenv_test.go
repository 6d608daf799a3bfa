package testenv

import (
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/lib/pq"

	"tagma/internal/testing/pgserver"
)

func connect(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestPostgres_EachTestHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			db := connect(t, Postgres(t))
			if _, err := db.ExecContext(t.Context(), `CREATE TABLE only_once (id bigint)`); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestPostgres_TheDatabaseIsGoneWhenTheTestEnds(t *testing.T) {
	var address string
	t.Run("a test that leaves a connection open", func(t *testing.T) {
		address = Postgres(t)
		db, err := sql.Open("postgres", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	err := connect(t, address).PingContext(t.Context())
	if refused, ok := errors.AsType[*pq.Error](err); !ok || refused.Code.Name() != "invalid_catalog_name" {
		t.Fatalf("got %v, want that there is no such database", err)
	}
}

func TestPostgres_AServerThatIsNamedIsUsed(t *testing.T) {
	own, err := url.Parse(Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(addressVariable, own.String())
	s, err := find(pgserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.db.Close()
	if s.address.Host != own.Host {
		t.Errorf("started a server at %s, want the one at %s", s.address.Host, own.Host)
	}
}

func TestPostgres_AnAddressThatIsNoneIsRefusedWithoutShowingIt(t *testing.T) {
	t.Setenv(addressVariable, "tagma:secret@host")
	_, err := find(pgserver.Options{})
	if err == nil || !strings.Contains(err.Error(), addressVariable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want an error that names %s only", err, addressVariable)
	}
}

func TestDurablePostgres_WaitsForTheDiskAndGivesNoSuperuser(t *testing.T) {
	t.Setenv(addressVariable, "")
	db := connect(t, DurablePostgres(t))
	for setting, want := range map[string]string{"fsync": "on", "is_superuser": "off"} {
		var got string
		if err := db.QueryRowContext(t.Context(), `SELECT current_setting($1)`, setting).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
}
