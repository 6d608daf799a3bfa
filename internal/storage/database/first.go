package database

import (
	"context"
	"math"
	"reflect"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// First describes the first rows of each of several parents: of each device its
// first images, for example.
//
// The statement of a First fetches the same rows of the tables whatever the
// database's statistics say. On SQLite CROSS JOIN fixes the order in which tables
// are read, and the place of the last wanted row bounds a range of an index. On
// PostgreSQL a LATERAL query with a LIMIT runs once for each parent.
type First struct {
	Table  string
	Parent string // the column that holds the key of a row's parent
	Column string // the column that orders rows: 64-bit integers, no two alike within a parent
	From   int64  // the least value of Column
	Before int64  // every value of Column is less than Before
	Most   int    // the number of rows of each parent, at least 1

	// Filter, if set, is another column. Its value in a row must be Value.
	Filter string
	Value  any
}

// FirstOfEach returns the ids of the first rows of each parent. It sends one
// statement, which takes one step in an index over (Parent, Column) for each
// parent.
func FirstOfEach[K ~string | ~int64](ctx context.Context, db *DB, want First, parents []K) ([]int64, error) {
	s := sql.Dialect(db.Dialect).Select()
	SelectFirst(s, want, parents)
	s.Select(sql.Table(want.Table).C("id"))
	statement, values := s.Query()
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

// SelectFirst sets the FROM of a query of want.Table, so that the query selects
// the first rows of each parent. It sets no order. Afterwards, s.C does not work:
// name columns by sql.Table(want.Table).C.
func SelectFirst[K ~string | ~int64](s *sql.Selector, want First, parents []K) {
	if want.Before == math.MinInt64 { // an empty range, which the last value before it would make a full one
		want.From, want.Before = 1, 1
	}
	if s.Dialect() == dialect.Postgres {
		first := want.rows(s.Dialect(), "f", "*")
		s.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.WriteString("unnest(").Arg(pq.Array(parents)).WriteString("::" + arrayOf[K]() + ") AS parent(value) CROSS JOIN LATERAL (")
			b.Join(first.Limit(want.Most)).WriteString(") AS ").Ident(want.Table)
		}))
		return
	}
	row := sql.Dialect(s.Dialect()).Table(want.Table)
	s.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
		b.WriteString("json_each(").Arg(JSON(parents)).WriteString(") AS parent CROSS JOIN ").Ident(want.Table)
	}))
	s.Where(sql.P(func(b *sql.Builder) {
		place := row.C(want.Column)
		last := want.rows(b.Dialect(), "f", want.Column).Limit(1).Offset(want.Most - 1)
		b.Ident(row.C(want.Parent)).WriteString(" = parent.value AND ").
			Ident(place).WriteString(" >= ").Arg(want.From).WriteString(" AND ").
			Ident(place).WriteString(" <= coalesce((").Join(last).WriteString("), ").Arg(want.Before - 1).WriteByte(')')
		if want.Filter != "" {
			b.WriteString(" AND ").Ident(row.C(want.Filter)).WriteString(" = ").Arg(want.Value)
		}
	}))
}

// rows selects a column of all rows of the parent that the query around it names,
// in their order.
func (f First) rows(of, alias, column string) *sql.Selector {
	row := sql.Dialect(of).Table(f.Table).As(alias)
	if column != "*" {
		column = row.C(column)
	}
	all := sql.Dialect(of).Select(column).From(row).
		Where(sql.And(
			sql.P(func(b *sql.Builder) {
				parent := row.C(f.Parent)
				if of != dialect.Postgres {
					b.Ident(parent).WriteString(" = parent.value")
					return
				}
				// With an equality, PostgreSQL would leave the parent out of the
				// order, and could take an index that has no parent.
				b.Ident(parent).WriteString(" >= parent.value AND ").Ident(parent).WriteString(" <= parent.value")
			}),
			sql.GTE(row.C(f.Column), f.From),
			sql.LT(row.C(f.Column), f.Before),
		))
	if of == dialect.Postgres {
		all.OrderBy(row.C(f.Parent))
	}
	all.OrderBy(row.C(f.Column))
	if f.Filter != "" {
		all.Where(sql.EQ(row.C(f.Filter), f.Value))
	}
	return all
}

// arrayOf is PostgreSQL's type of a list of keys.
func arrayOf[K ~string | ~int64]() string {
	if reflect.TypeFor[K]().Kind() == reflect.String {
		return "text[]"
	}
	return "bigint[]"
}
