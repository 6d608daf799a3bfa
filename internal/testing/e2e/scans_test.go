package e2e

import (
	"database/sql"
	"testing"
	"time"

	"tagma/internal/storage/database"
	"tagma/internal/testing/testenv"
)

// scans is how often each table was read whole so far, once all connections
// but this one have ended, for PostgreSQL counts when they do.
func scans(t *testing.T, db *sql.DB) map[string]int {
	t.Helper()
	until(t, "all connections have ended", time.Minute, func() bool {
		var others int
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&others)
		if err != nil {
			t.Fatal(err)
		}
		return others == 0
	})
	rows, err := db.QueryContext(t.Context(), `SELECT relname, seq_scan FROM pg_stat_user_tables`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := map[string]int{}
	for rows.Next() {
		var table string
		var times int
		if err := rows.Scan(&table, &times); err != nil {
			t.Fatal(err)
		}
		found[table] = times
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestServer_NothingThatTheDocsShowReadsATableWhole(t *testing.T) {
	t.Parallel()
	databaseURL := testenv.Postgres(t)
	db, err := database.Open(t.Context(), databaseURL, database.Options{Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// Small tables are read whole whatever indexes they have. With this setting
	// only those are that have none for it.
	s := start(t, databaseURL+"&options=-c%20enable_seqscan%3Doff")
	s.fill(t)
	s.stop()
	before := scans(t, db.SQL)

	s.boot()
	admin := s.admin()
	tour(t, s, admin)
	examples(t, admin, nil)
	s.stop()
	limits := map[string]int{
		"access_tokens":    1, // once an hour, for the tokens that have expired
		"goose_db_version": 2, // at each start: the table has a row for each migration
	}
	for table, times := range scans(t, db.SQL) {
		if got := times - before[table]; got > limits[table] {
			t.Errorf("%s: got %d reads of the whole table, want at most %d", table, got, limits[table])
		}
	}
}
