package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"testing"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/internal/testing/testenv"
)

// copied is rows with these ids and texts, n of them.
func copied(n int, row func(n int) (id int64, text any)) CopyIn {
	return func(yield func([]driver.Value) bool) {
		for n := range n {
			if id, text := row(n); !yield([]driver.Value{id, text}) {
				return
			}
		}
	}
}

func TestCopyIn_AllRowsAreThereOrNone(t *testing.T) {
	db := open(t, testenv.Postgres(t))
	db.SQL.SetMaxOpenConns(1) // which must be left in order
	db.exec(t, "CREATE TABLE copied (id bigint PRIMARY KEY, name text)")
	const none = "a name that is null"
	into := func(ctx context.Context, rows CopyIn) error {
		return db.InTx(ctx, func(tx *ent.Tx) error {
			_, err := tx.ExecContext(ctx, "COPY copied (id, name) FROM STDIN", rows)
			return err
		})
	}
	names := func() (all []string) {
		t.Helper()
		rows, err := db.SQL.QueryContext(t.Context(), "SELECT coalesce(name, $1) FROM copied ORDER BY id", none)
		must(t, err)
		defer rows.Close()
		must(t, errors.Join(sql.ScanSlice(rows, &all), rows.Err()))
		return all
	}
	text := func(n int) any {
		if n%7 == 0 {
			return nil
		}
		return odd[n%len(odd)] + "\\N"
	}

	const many = 50_000 // more than is sent at once
	err := into(t.Context(), copied(many, func(n int) (int64, any) { return int64(n % (many - 1)), text(n) }))
	if !IsUnique(err) || len(names()) > 0 {
		t.Errorf("a row twice: %v, %d rows", err, len(names()))
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = into(ctx, copied(many, func(n int) (int64, any) {
		if n == many/2 {
			cancel()
		}
		return int64(n), text(n)
	}))
	if !errors.Is(err, context.Canceled) || len(names()) > 0 {
		t.Errorf("ended on the way: %v, %d rows", err, len(names()))
	}
	if _, err := db.SQL.ExecContext(t.Context(), "COPY copied (id, name) FROM STDIN", copied(1, func(int) (int64, any) { return 1, "a" })); err == nil || len(names()) > 0 {
		t.Errorf("without a transaction: %v, %d rows", err, len(names()))
	}
	must(t, into(t.Context(), copied(many, func(n int) (int64, any) { return int64(n), text(n) })))
	want := make([]string, many)
	for n := range want {
		if name, ok := text(n).(string); ok {
			want[n] = name
		} else {
			want[n] = none
		}
	}
	if got := names(); !slices.Equal(got, want) {
		t.Errorf("%d rows, want %d: %.1000q", len(got), many, got)
	}
}
