package database

import (
	"context"
	"reflect"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// First says which rows of a table FirstOfEach looks for.
type First struct {
	Table  string
	Parent string // the column that says whose a row is
	Column string // the column, of 64-bit integers, that rows are ordered by
	From   int64  // its least value
	Before int64  // rows have less than that
	Most   int    // of each parent

	// Filter, if set, is another column, which must have the value.
	Filter string
	Value  any
}

// FirstOfEach gives the ids of the first rows of each parent: one step in an
// index over (Parent, Column) for each, in one statement.
func FirstOfEach[K ~string | ~int64](ctx context.Context, db *DB, want First, parents []K) ([]int64, error) {
	text := sql.P(func(b *sql.Builder) { firstOfEach(b, want, parents) })
	text.SetDialect(db.Dialect)
	statement, values := text.Query()
	rows, err := db.SQL.QueryContext(ctx, statement, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	if err := sql.ScanSlice(rows, &ids); err != nil {
		return nil, err
	}
	return ids, rows.Err()
}

// AmongFirst is the condition that a row is one of the first of each parent.
func AmongFirst[K ~string | ~int64](want First, parents []K) func(*sql.Selector) {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(s.C("id")).WriteString(" IN (")
			firstOfEach(b, want, parents)
			b.WriteByte(')')
		}))
	}
}

// firstOfEach writes the query of the ids.
func firstOfEach[K ~string | ~int64](b *sql.Builder, want First, parents []K) {
	row := sql.Dialect(b.Dialect()).Table(want.Table).As("f")
	first := sql.Dialect(b.Dialect()).Select(row.C("id")).From(row).
		Where(sql.And(
			sql.P(func(b *sql.Builder) { b.Ident(row.C(want.Parent)).WriteString(" = parent.value") }),
			sql.GTE(row.C(want.Column), want.From),
			sql.LT(row.C(want.Column), want.Before),
		)).
		OrderBy(row.C(want.Column)).Limit(want.Most)
	if want.Filter != "" {
		first.Where(sql.EQ(row.C(want.Filter), want.Value))
	}
	if b.Dialect() == dialect.Postgres {
		b.WriteString("SELECT of_parent.id FROM unnest(").Arg(pq.Array(parents))
		b.WriteString("::" + arrayOf[K]() + ") parent(value), LATERAL (").Join(first).WriteString(") of_parent")
		return
	}
	b.WriteString("SELECT row.id FROM json_each(").Arg(JSON(parents))
	b.WriteString(") parent JOIN ").Ident(want.Table).WriteString(" row ON row.id IN (").Join(first).WriteString(")")
}

// arrayOf is PostgreSQL's type of a list of keys.
func arrayOf[K ~string | ~int64]() string {
	if reflect.TypeFor[K]().Kind() == reflect.String {
		return "text[]"
	}
	return "bigint[]"
}
