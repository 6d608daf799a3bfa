package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"entgo.io/ent/dialect"
	"golang.org/x/sync/errgroup"
)

// counting gives the numbers from 1 to n, one row each.
const counting = `WITH RECURSIVE c(n) AS (SELECT CAST($1 AS bigint) UNION ALL SELECT n + 1 FROM c WHERE n < $2) SELECT n FROM c`

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// forEach calls do for each row of a query that has two parameters.
func forEach(q querier, query string, from, to int, do func() error) error {
	return forEachOf(context.Background(), q, query, from, to, do)
}

func forEachOf(ctx context.Context, q querier, query string, from, to int, do func() error) error {
	rows, err := q.QueryContext(ctx, query, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func TestStatements_TheSameOneServesManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		var group errgroup.Group
		for caller := range 16 {
			group.Go(func() error {
				for n := range 20 {
					var got string
					want := fmt.Sprint(caller, "-", n)
					err := db.SQL.QueryRowContext(t.Context(), "SELECT CAST($1 AS text)", want).Scan(&got)
					if err != nil || got != want {
						return fmt.Errorf("got %q, want %q: %w", got, want, err)
					}
				}
				return nil
			})
		}
		must(t, group.Wait())
	})
}

func TestStatements_OneMayBeRunAgainWhileItsRowsAreRead(t *testing.T) {
	// PostgreSQL's protocol has no second query on a connection that is being
	// read, so that there they are on two.
	each(t, func(t *testing.T, db *DB) {
		outer, err := db.SQL.QueryContext(t.Context(), counting, 1, 3)
		must(t, err)
		defer outer.Close()
		seen := 0
		for outer.Next() {
			var n int
			must(t, outer.Scan(&n))
			if sum := value[int](t, db.SQL, "SELECT CAST(sum(n) AS bigint) FROM ("+counting+") AS x", 1, n); sum != n*(n+1)/2 {
				t.Errorf("the sum to %d is %d", n, sum)
			}
			seen++
		}
		must(t, outer.Err())
		if seen != 3 {
			t.Errorf("%d rows, want 3", seen)
		}
	})
	t.Run("on one connection of SQLite", func(t *testing.T) {
		db := open(t, file(t))
		tx, err := db.SQL.BeginTx(t.Context(), nil)
		must(t, err)
		defer func() { _ = tx.Rollback() }()
		pairs := 0
		for range 2 { // the second time, it is kept
			must(t, forEach(tx, counting, 1, 3, func() error {
				return forEach(tx, counting, 1, 4, func() error { pairs++; return nil })
			}))
		}
		if pairs != 2*3*4 {
			t.Errorf("%d pairs, want 24", pairs)
		}
	})
}

func TestStatements_NoMoreAreKeptThanTheBound(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		for range 2 {
			for n := range maxPrepared + 20 {
				if got := value[int](t, conn, fmt.Sprintf("SELECT %d + CAST($1 AS int)", n), 1); got != n+1 {
					t.Fatalf("got %d, want %d", got, n+1)
				}
			}
		}
		must(t, conn.Raw(func(driver any) error {
			c := driver.(*connection)
			if len(c.prepared) != maxPrepared || c.order.Len() != maxPrepared {
				t.Errorf("%d and %d are kept, want %d", len(c.prepared), c.order.Len(), maxPrepared)
			}
			return nil
		}))
		if db.Dialect == dialect.Postgres {
			if held := value[int](t, conn, "SELECT count(*) FROM pg_prepared_statements"); held > maxPrepared+1 {
				t.Errorf("the server holds %d", held)
			}
		}
	})
}

func TestStatements_OneThatFailedServesAgain(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE names (name text PRIMARY KEY)")
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		add := func(name string) error {
			_, err := conn.ExecContext(t.Context(), "INSERT INTO names VALUES ($1)", name)
			return err
		}
		for n := range 3 {
			must(t, add(fmt.Sprint(n)))
			if err := add(fmt.Sprint(n)); !IsUnique(err) {
				t.Errorf("twice: %v", err)
			}
		}
		for range 3 {
			if err := forEach(conn, "SELECT nothing FROM names WHERE n BETWEEN $1 AND $2", 1, 2, nil); err == nil {
				t.Error("no error")
			}
		}
		if n := value[int](t, conn, "SELECT count(*) FROM names"); n != 3 {
			t.Errorf("%d names, want 3", n)
		}
	})
}

func TestStatements_OneThatFailsHalfWayThroughItsRowsServesAgain(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		// The last row cannot be made: SQLite refuses to add what is no JSON,
		// PostgreSQL to divide by zero.
		query := "SELECT 1 / (3 - n) FROM (" + counting + ") AS x"
		if db.Dialect == dialect.SQLite {
			query = "SELECT json(CASE n WHEN 3 THEN '{' ELSE n END) FROM (" + counting + ")"
		}
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		for _, last := range []int{3, 2, 3, 2} {
			err := forEach(conn, query, 1, last, func() error { return nil })
			if (err != nil) != (last == 3) {
				t.Errorf("rows 1 to %d: got %v, want an error for 3 only", last, err)
			}
		}
	})
}

func TestStatements_AReaderThatGivesUpLeavesAConnectionThatServes(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			err := forEachOf(ctx, db.SQL, counting, 1, 1_000_000, func() error { cancel(); return nil })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%v: want that the reader gave up", err)
			}
			if n := value[int](t, db.SQL, "SELECT count(*) FROM ("+counting+") AS x", 1, 5); n != 5 {
				t.Errorf("%d, want 5", n)
			}
		}
		if in := db.SQL.Stats().InUse; in != 0 {
			t.Errorf("%d connections are still in use", in)
		}
	})
}

func TestStatements_OneThatTakesTooLongSaysSoAndNotThatTheDatabaseIsBroken(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		<-ctx.Done()
		_, err := db.SQL.ExecContext(ctx, "SELECT 1 WHERE 1 = $1", 1)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("before it began: %v", err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50_000_000) // 50 ms
		defer cancel()
		var sum int
		err = db.SQL.QueryRowContext(ctx, "SELECT CAST(sum(n) AS bigint) FROM ("+counting+") AS x", 1, 1_000_000_000).Scan(&sum)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in the middle: %v", err)
		}
	})
}

func TestStatements_OneInATransactionIsOfThatTransaction(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE names (name text)")
		for range 3 { // kept from the second time on
			tx, err := db.SQL.BeginTx(t.Context(), nil)
			must(t, err)
			_, err = tx.ExecContext(t.Context(), "INSERT INTO names VALUES ($1)", "a")
			must(t, err)
			if n := value[int](t, tx, "SELECT count(*) FROM names WHERE name = $1", "a"); n != 1 {
				t.Errorf("%d inside, want 1", n)
			}
			must(t, tx.Rollback())
			if n := value[int](t, db.SQL, "SELECT count(*) FROM names WHERE name = $1", "a"); n != 0 {
				t.Errorf("%d after it was undone", n)
			}
		}
	})
}

func TestStatements_AChangeOfTheTableUnderAKeptOneHeals(t *testing.T) {
	each(t, func(t *testing.T, db *DB) {
		db.exec(t, "CREATE TABLE names (name text)")
		db.exec(t, "INSERT INTO names VALUES ('a')")
		conn, err := db.SQL.Conn(t.Context())
		must(t, err)
		defer conn.Close()
		columns := func() (int, error) {
			rows, err := conn.QueryContext(t.Context(), "SELECT * FROM names WHERE name = $1", "a")
			if err != nil {
				return 0, err
			}
			defer rows.Close()
			names, err := rows.Columns()
			if err != nil || !rows.Next() {
				return 0, errors.Join(err, rows.Err())
			}
			return len(names), nil
		}
		if n, err := columns(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		db.exec(t, "ALTER TABLE names ADD COLUMN age int")
		// PostgreSQL refuses the kept one, once.
		if _, err := columns(); err != nil && !strings.Contains(err.Error(), "cached plan") {
			t.Error(err)
		}
		if n, err := columns(); n != 2 || err != nil {
			t.Errorf("%d columns, want 2: %v", n, err)
		}
	})
}

func TestObserve_HearsOfEveryStatement(t *testing.T) {
	eachURL(t, func(t *testing.T, databaseURL string) {
		var mu sync.Mutex
		heard := map[string]int{}
		db, err := Open(t.Context(), databaseURL, Options{Observe: func(_ context.Context, query string) {
			mu.Lock()
			defer mu.Unlock()
			heard[query]++
		}})
		must(t, err)
		defer db.Close()
		if len(heard) > 0 {
			t.Errorf("of migrations too: %v", heard)
		}
		for range 3 {
			db.exec(t, "SELECT 1 WHERE 1 = $1", 1)
			db.exec(t, "SELECT 2")
			value[int](t, db.SQL, "SELECT 3 WHERE 1 = $1", 1)
		}
		for _, query := range []string{"SELECT 1 WHERE 1 = $1", "SELECT 2", "SELECT 3 WHERE 1 = $1"} {
			if heard[query] != 3 {
				t.Errorf("%q was heard of %d times, want 3", query, heard[query])
			}
		}
	})
}
