package database

import (
	"encoding/json"
	"strconv"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"
)

// AmongNumbers returns the condition that a column holds a number of the list. The
// whole list is a single parameter, so the list may be long and the text of the
// statement does not depend on the length.
func AmongNumbers[N ~int64](column string, numbers []N) func(*sql.Selector) {
	plain := numbersOf(numbers)
	return func(s *sql.Selector) { s.Where(inCondition(s, column, pq.Array(plain), plain)) }
}

// AmongTexts returns the condition that a column holds a text of the list: see
// AmongNumbers.
func AmongTexts(column string, texts []string) func(*sql.Selector) {
	return func(s *sql.Selector) { s.Where(inCondition(s, column, pq.Array(texts), texts)) }
}

func inCondition[T any](s *sql.Selector, column string, array any, list []T) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Ident(s.C(column))
		if b.Dialect() == dialect.Postgres {
			b.WriteString(" = ANY(").Arg(array).WriteByte(')')
			return
		}
		b.WriteString(" IN (SELECT value FROM json_each(").Arg(JSON(list)).WriteString("))")
	})
}

// Exactly returns the condition that a column holds the value, for a query of a row by
// key. On SQLite the condition has a plus before the value. The plus hides the value
// from the planner: otherwise SQLite would compare the value with samples of the column
// and plan the statement again for each value, which takes longer than the query.
func Exactly(column string, value any) func(*sql.Selector) {
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(s.C(column)).WriteString(" = ")
			if b.Dialect() == dialect.SQLite {
				b.WriteByte('+')
			}
			b.Arg(value)
		}))
	}
}

// AmongPairs returns the condition that two columns, a text and a number, hold a pair
// (texts[i], numbers[i]).
func AmongPairs[N ~int64](text, number string, texts []string, numbers []N) func(*sql.Selector) {
	plain := numbersOf(numbers)
	return func(s *sql.Selector) {
		s.Where(sql.P(func(b *sql.Builder) {
			b.WriteByte('(').Ident(s.C(text)).Comma().Ident(s.C(number)).WriteString(") IN (SELECT ")
			if b.Dialect() == dialect.Postgres {
				b.WriteString("* FROM unnest(").Arg(pq.Array(texts)).WriteString("::text[], ").
					Arg(pq.Array(plain)).WriteString("::bigint[]))")
				return
			}
			b.WriteString("value->>0, value->>1 FROM json_each(").Arg(JSON(pairsOf(texts, plain))).WriteString("))")
		}))
	}
}

// Lists returns the table `list` for the FROM of a statement. The table has a row for
// each text: column place is the index of the text, from 0, and column text is the
// text. Membership, written after a column, is the condition that the column holds a
// number of numbers[place]. On PostgreSQL the arguments are $1 and $2, so the statement
// must have no earlier arguments.
func Lists[N ~int64](dbDialect string, texts []string, numbers [][]N) (table, membership string, arguments []any) {
	arrays := make([]string, len(numbers))
	opening, closing := byte('['), byte(']')
	if dbDialect == dialect.Postgres {
		opening, closing = '{', '}'
	}
	for i, list := range numbers {
		b := append(make([]byte, 0, 2+14*len(list)), opening)
		for n, number := range list {
			if n > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendInt(b, int64(number), 10)
		}
		arrays[i] = string(append(b, closing))
	}
	if dbDialect == dialect.Postgres {
		return "(SELECT text, numbers, n - 1 AS place FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS pair(text, numbers, n)) AS list",
			" = ANY (list.numbers::bigint[])", []any{pq.Array(texts), pq.Array(arrays)}
	}
	pairs := make([][2]any, len(texts))
	for i, text := range texts {
		pairs[i] = [2]any{text, json.RawMessage(arrays[i])}
	}
	return "(SELECT value->>0 AS text, value->1 AS numbers, key AS place FROM json_each(?)) AS list",
		" IN (SELECT value FROM json_each(list.numbers))", []any{JSON(pairs)}
}

func numbersOf[N ~int64](numbers []N) []int64 {
	plain := make([]int64, len(numbers))
	for i, n := range numbers {
		plain[i] = int64(n)
	}
	return plain
}

func pairsOf(texts []string, numbers []int64) [][2]any {
	pairs := make([][2]any, len(numbers))
	for i, n := range numbers {
		pairs[i] = [2]any{texts[i], n}
	}
	return pairs
}

// JSON returns v as the text for SQLite's json_each.
func JSON[T any](v []T) string {
	text, err := json.Marshal(v)
	if err != nil { // never for strings and integers
		panic(err)
	}
	return string(text)
}
