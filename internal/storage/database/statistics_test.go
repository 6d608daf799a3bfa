package database

import (
	"testing"

	"tagma/internal/testing/testenv"
)

// plan returns the first step of SQLite's plan of a query.
func (db *DB) plan(t *testing.T, query string) string {
	t.Helper()
	var id, parent, unused int
	var detail string
	if err := db.SQL.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+query).Scan(&id, &parent, &unused, &detail); err != nil {
		t.Fatal(err)
	}
	return detail
}

func TestDropStatistics_AllConnectionsPlanWithoutThemAtOnce(t *testing.T) {
	db := open(t, file(t))
	db.exec(t, "CREATE TABLE few (id integer PRIMARY KEY, name text)")
	db.exec(t, "INSERT INTO few VALUES (1, 'a'), (2, 'b')")
	plan := func() string {
		return db.plan(t, "SELECT * FROM few WHERE id IN (SELECT value FROM json_each('[1]'))")
	}
	without := plan()
	db.exec(t, "ANALYZE")
	if with := plan(); with == without {
		t.Fatalf("the statistics change nothing: %s", with)
	}
	must(t, db.DropStatistics(t.Context()))
	for range 2 * maxSQLiteConnections {
		if got := plan(); got != without {
			t.Errorf("the plan is %s, want %s", got, without)
		}
	}
	if n := value[int](t, db.SQL, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'"); n != 0 {
		t.Errorf("there are %d tables of statistics, want none", n)
	}
	must(t, db.DropStatistics(t.Context())) // there are none
	must(t, db.Analyze(t.Context()))
}

func TestAnalyze_PostgreSQLKnowsItsTablesAfterwards(t *testing.T) {
	db := open(t, testenv.Postgres(t))
	db.exec(t, "CREATE TABLE counted (id integer)")
	db.exec(t, "INSERT INTO counted SELECT * FROM generate_series(1, 500)")
	must(t, db.Analyze(t.Context()))
	if n := value[float64](t, db.SQL, "SELECT reltuples FROM pg_class WHERE relname = 'counted'"); n != 500 {
		t.Errorf("PostgreSQL believes in %g rows, want 500", n)
	}
}
