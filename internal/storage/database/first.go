package database

import (
	"math"
	"reflect"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// First describes a query of the first rows of each of several parents, such as the
// first images of each device.
//
// The plan of the query does not depend on the statistics of the database. On SQLite,
// CROSS JOIN fixes the order of reading: parents first. A subquery finds the last selected
// row of a parent, so the query reads only a range of an index. On PostgreSQL, a LATERAL
// query with a LIMIT runs once for each parent.
type First struct {
	Table  string
	Parent string // the column that holds the key of a row's parent
	Column string // the column that orders rows: 64-bit integers, no two alike within a parent
	From   int64  // the least value of Column
	Before int64  // every value of Column is less than Before
	Most   int    // the number of rows of each parent, at least 1

	// Filter, if set, is the name of a further column. Only rows with Value in this column
	// are selected.
	Filter string
	Value  any
}

// StartAfter excludes rows up to a value of Column, such as the value in a cursor, by
// increasing From. Value may be any number, because a client may invent a cursor.
func (first *First) StartAfter(value int64) {
	first.From = max(first.From, min(value, math.MaxInt64-1)+1)
}

// SelectFirst sets the FROM of a query of first.Table. The query then selects the first
// rows of each parent. The order of the result is undefined. For each parent, the query
// looks up an index over (Parent, Column) once. After SelectFirst, s.C does not work: name
// columns by sql.Table(first.Table).C.
func SelectFirst[K ~string | ~int64](s *sql.Selector, first First, parents []K) {
	if first.Before == math.MinInt64 { // an empty range: Before - 1 below would overflow and select all rows
		first.From, first.Before = 1, 1
	}
	if s.Dialect() == dialect.Postgres {
		rows := first.rows(s.Dialect(), "f", "*")
		s.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
			b.WriteString("unnest(").Arg(pq.Array(parents)).WriteString("::" + arrayOf[K]() + ") AS parent(value) CROSS JOIN LATERAL (")
			b.Join(rows.Limit(first.Most)).WriteString(") AS ").Ident(first.Table)
		}))
		return
	}
	row := sql.Dialect(s.Dialect()).Table(first.Table)
	s.FromExpr(sql.ExprFunc(func(b *sql.Builder) {
		b.WriteString("json_each(").Arg(JSON(parents)).WriteString(") AS parent CROSS JOIN ").Ident(first.Table)
	}))
	s.Where(sql.P(func(b *sql.Builder) {
		place := row.C(first.Column)
		last := first.rows(b.Dialect(), "f", first.Column).Limit(1).Offset(first.Most - 1)
		b.Ident(row.C(first.Parent)).WriteString(" = parent.value AND ").
			Ident(place).WriteString(" >= ").Arg(first.From).WriteString(" AND ").
			Ident(place).WriteString(" <= coalesce((").Join(last).WriteString("), ").Arg(first.Before - 1).WriteByte(')')
		if first.Filter != "" {
			b.WriteString(" AND ").Ident(row.C(first.Filter)).WriteString(" = ").Arg(first.Value)
		}
	}))
}

// rows returns the query of a column in all rows of a parent, ordered by Column. The outer
// query supplies the parent as parent.value.
func (first First) rows(dbDialect, alias, column string) *sql.Selector {
	row := sql.Dialect(dbDialect).Table(first.Table).As(alias)
	if column != "*" {
		column = row.C(column)
	}
	all := sql.Dialect(dbDialect).Select(column).From(row).
		Where(sql.And(
			sql.P(func(b *sql.Builder) {
				parent := row.C(first.Parent)
				if dbDialect != dialect.Postgres {
					b.Ident(parent).WriteString(" = parent.value")
					return
				}
				// The pair of inequalities means equality. With an equality, PostgreSQL
				// would drop the parent from ORDER BY, and could choose an index without
				// the parent.
				b.Ident(parent).WriteString(" >= parent.value AND ").Ident(parent).WriteString(" <= parent.value")
			}),
			sql.GTE(row.C(first.Column), first.From),
			sql.LT(row.C(first.Column), first.Before),
		))
	if dbDialect == dialect.Postgres {
		all.OrderBy(row.C(first.Parent))
	}
	all.OrderBy(row.C(first.Column))
	if first.Filter != "" {
		all.Where(sql.EQ(row.C(first.Filter), first.Value))
	}
	return all
}

// arrayOf returns PostgreSQL's type of a list of keys.
func arrayOf[K ~string | ~int64]() string {
	if reflect.TypeFor[K]().Kind() == reflect.String {
		return "text[]"
	}
	return "bigint[]"
}
