// Package page owns paging: how the arguments of a Relay connection become one
// keyset query, and its rows a page.
//
// A cursor is the place of a row in an order that is total, not a count of
// rows. So a walk through all pages repeats none and skips none that was there
// throughout, whatever is inserted or deleted meanwhile, and the last page
// costs what the first does. Nothing is counted unless totalCount is asked for.
//
// It does not own the order, nor the query: those are the caller's.
package page

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql"

	"tagma/internal/fault"
)

// Limits of a page's length.
type Limits struct{ Default, Max int }

// Request is the arguments of a connection, as they came.
type Request struct {
	First  *int
	After  *string
	Last   *int
	Before *string
}

// Key is a place in an order: the values of the columns that it sorts by,
// strings and int64s.
type Key []any

// Column is one of the columns that an order sorts by.
type Column struct {
	Table string // of a joined table; empty for the query's own
	Name  string
	Text  bool // its values are strings, not int64s
}

// Order is a total order of rows: the columns that it sorts by, ascending, and
// the key of a row. No two rows have the same key.
type Order[T any] struct {
	Columns []Column
	Key     func(T) Key
}

func (c Column) ident(s *sql.Selector) string {
	if c.Table == "" {
		return s.C(c.Name)
	}
	return sql.Table(c.Table).C(c.Name)
}

// Query fetches rows. It adds what it is given to its own conditions, and
// gives the rows in that order.
type Query[T any] func(ctx context.Context, narrow func(*sql.Selector)) ([]T, error)

// Page is one page: a Relay connection.
type Page[T any] struct {
	Nodes    []T
	PageInfo Info

	order   Order[T]
	count   func(context.Context) (int, error)
	cursors []string // of a page made by Map, whose order is of other rows
}

// Edge is a row with its cursor.
type Edge[T any] struct {
	Cursor string
	Node   T
}

// Info says where a page stands.
type Info struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Fetch gives the page that was asked for. Count is called only if somebody
// asks for the total. Errors about the request are *fault.Error.
func Fetch[T any](
	ctx context.Context, limits Limits, request Request, order Order[T],
	query Query[T], count func(context.Context) (int, error),
) (*Page[T], error) {
	keyset, err := order.Want(limits, request, count)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, func(s *sql.Selector) {
		keyset.Narrow(s)
		keyset.Limit(s)
	})
	if err != nil {
		return nil, err
	}
	return order.Page(keyset.Plan, rows, count), nil
}

// Wanted is a page that a reader fetches by itself, with the columns of its
// choice.
type Wanted struct {
	Plan    Plan
	Columns []Column // whose values are the key of a row
	Count   func(context.Context) (int, error)
}

// Want checks a request. Errors about it are *fault.Error.
func (o Order[T]) Want(limits Limits, request Request, count func(context.Context) (int, error)) (Wanted, error) {
	plan, err := o.Plan(limits, request)
	return Wanted{plan, o.Columns, count}, err
}

// Narrow makes a query one of the rows of the page and all that follow, in the
// plan's direction. The reader takes one more than the plan's length, which
// tells whether there is a further page: see Limit.
func (w Wanted) Narrow(s *sql.Selector) {
	w.From(s)
	w.Order(s)
}

// From lets only the rows of the page through and all that follow.
func (w Wanted) From(s *sql.Selector) {
	addBound(s, w.Columns, ">", w.Plan.After)
	addBound(s, w.Columns, "<", w.Plan.Before)
}

// Order puts a query in the plan's direction.
func (w Wanted) Order(s *sql.Selector) {
	direction := sql.Asc
	if w.Plan.Backwards {
		direction = sql.Desc
	}
	for _, column := range w.Columns {
		s.OrderBy(direction(column.ident(s)))
	}
}

// Limit ends a query one row after the page.
func (w Wanted) Limit(s *sql.Selector) { s.Limit(w.Plan.Length + 1) }

// Leading is the page as a query of another table narrows it, which has only
// the first columns of the order, under the names that are given. The row where
// the page begins or ends is let through.
func (w Wanted) Leading(columns []Column) Wanted {
	return Wanted{Plan: w.Plan, Columns: columns}
}

// Plan is a request that was checked.
type Plan struct {
	Length    int  // of the page
	Backwards bool // from the end
	After     Key  // nil, or what the page comes after
	Before    Key  // nil, or what the page comes before
}

// Plan checks a request. Its error is a *fault.Error.
func (o Order[T]) Plan(limits Limits, request Request) (Plan, error) {
	length, backwards, err := request.length(limits)
	if err != nil {
		return Plan{}, err
	}
	var problems fault.Problems
	plan := Plan{
		Length:    length,
		Backwards: backwards,
		After:     o.parse(&problems, "after", request.After),
		Before:    o.parse(&problems, "before", request.Before),
	}
	return plan, problems.Err()
}

// Info says where the page stands that has rows from the first key to the
// last, nil if it has none. More says that the query gave one row more.
func (p Plan) Info(hasMore bool, first, last Key) Info {
	info := Info{HasNextPage: hasMore, HasPreviousPage: p.After != nil}
	if p.Backwards {
		info = Info{HasPreviousPage: hasMore, HasNextPage: p.Before != nil}
	}
	if first != nil {
		start, end := first.Cursor(), last.Cursor()
		info.StartCursor, info.EndCursor = &start, &end
	}
	return info
}

// Page makes a page of rows, which may be one more than the plan's length and
// are in the plan's direction.
func (o Order[T]) Page(plan Plan, rows []T, count func(context.Context) (int, error)) *Page[T] {
	hasMore := len(rows) > plan.Length
	if hasMore {
		rows = rows[:plan.Length]
	}
	if plan.Backwards {
		slices.Reverse(rows)
	}
	var first, last Key
	if len(rows) > 0 {
		first, last = o.Key(rows[0]), o.Key(rows[len(rows)-1])
	}
	return &Page[T]{Nodes: rows, PageInfo: plan.Info(hasMore, first, last), order: o, count: count}
}

// Map is the same page of other values, with the same cursors.
func Map[T, U any](p *Page[T], convert func(T) U) *Page[U] {
	nodes := make([]U, len(p.Nodes))
	for n, row := range p.Nodes {
		nodes[n] = convert(row)
	}
	return &Page[U]{Nodes: nodes, PageInfo: p.PageInfo, count: p.count, cursors: p.Cursors()}
}

// Cursors are the rows' cursors.
func (p *Page[T]) Cursors() []string {
	if p.cursors != nil {
		return p.cursors
	}
	cursors := make([]string, len(p.Nodes))
	for n, row := range p.Nodes {
		cursors[n] = p.order.Key(row).Cursor()
	}
	return cursors
}

// Edges are the rows with their cursors.
func (p *Page[T]) Edges() []*Edge[T] {
	edges := make([]*Edge[T], len(p.Nodes))
	for n, cursor := range p.Cursors() {
		edges[n] = &Edge[T]{Cursor: cursor, Node: p.Nodes[n]}
	}
	return edges
}

// TotalCount counts the rows on all pages.
func (p *Page[T]) TotalCount(ctx context.Context) (int, error) { return p.count(ctx) }

// Cursor is the key as callers see it.
func (k Key) Cursor() string {
	text, err := json.Marshal(k)
	if err != nil { // strings and integers always can be
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parse reads a cursor. One of another list, or made up, is a problem.
func (o Order[T]) parse(problems *fault.Problems, argument string, cursor *string) Key {
	if cursor == nil {
		return nil
	}
	key, ok := parseKey(*cursor, o.Columns)
	if !ok {
		problems.Add(fault.BadInput, []any{argument}, "%.40q is not a cursor of this list: pass back one that this list gave, with the same order", *cursor)
		return nil
	}
	return key
}

func parseKey(cursor string, columns []Column) (Key, bool) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(text) > 1024 {
		return nil, false
	}
	var values []json.RawMessage
	if json.Unmarshal(text, &values) != nil || len(values) != len(columns) {
		return nil, false
	}
	key := make(Key, len(columns))
	for i, value := range values {
		var text string
		var number int64
		if columns[i].Text {
			err = json.Unmarshal(value, &text)
			key[i] = text
		} else {
			err = json.Unmarshal(value, &number)
			key[i] = number
		}
		if err != nil || strings.ContainsRune(text, 0) { // which PostgreSQL does not take
			return nil, false
		}
	}
	return key, key.Cursor() == cursor // there is one way to write each place
}

// addBound lets only rows through that stand before or after a key, if there is
// one; those too that stand at it, if the columns are only the first of the
// key's. It is one comparison of rows, so that an index over the columns serves
// it.
func addBound(s *sql.Selector, columns []Column, operator string, key Key) {
	if key == nil {
		return
	}
	if len(columns) < len(key) {
		operator += "="
	}
	s.Where(sql.P(func(b *sql.Builder) {
		b.WriteByte('(')
		for i, column := range columns {
			if i > 0 {
				b.Comma()
			}
			b.Ident(column.ident(s))
		}
		b.WriteString(") " + operator + " (").Args(key[:len(columns)]...).WriteByte(')')
	}))
}

// length is how long a page is asked for, and from which end. The guard has
// checked it before, so that the caller hears of all problems at once; this
// holds for whoever asks without it.
func (r Request) length(limits Limits) (length int, backwards bool, err error) {
	if r.First != nil && r.Last != nil {
		return 0, false, fault.New(fault.BadInput, "give first or last, not both")
	}
	argument, name := r.First, "first"
	if r.Last != nil {
		argument, name, backwards = r.Last, "last", true
	}
	if argument == nil {
		return limits.Default, false, nil
	}
	if *argument < 0 || *argument > limits.Max {
		return 0, false, fault.New(fault.BadInput, "%s is %d: a page has from 0 to %d; ask for more by pages", name, *argument, limits.Max)
	}
	return *argument, backwards, nil
}
