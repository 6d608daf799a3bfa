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

func (c Column) in(s *sql.Selector) string {
	if c.Table == "" {
		return s.C(c.Name)
	}
	return sql.Table(c.Table).C(c.Name)
}

// Query fetches rows. It adds what it is given to its own conditions, and
// gives the rows in that order.
type Query[T any] func(ctx context.Context, add func(*sql.Selector)) ([]T, error)

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
	plan, err := order.Plan(limits, request)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, func(s *sql.Selector) { order.narrow(s, plan) })
	if err != nil {
		return nil, err
	}
	return order.Page(plan, rows, count), nil
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

// narrow makes a query one of the rows of a page and one more, which tells
// whether there is a further page.
func (o Order[T]) narrow(s *sql.Selector, plan Plan) {
	o.beyond(s, ">", plan.After)
	o.beyond(s, "<", plan.Before)
	direction := sql.Asc
	if plan.Backwards {
		direction = sql.Desc
	}
	for _, column := range o.Columns {
		s.OrderBy(direction(column.in(s)))
	}
	s.Limit(plan.Length + 1)
}

// Page makes a page of rows, which may be one more than the plan's length and
// are in the plan's direction.
func (o Order[T]) Page(plan Plan, rows []T, count func(context.Context) (int, error)) *Page[T] {
	more := len(rows) > plan.Length
	if more {
		rows = rows[:plan.Length]
	}
	p := &Page[T]{Nodes: rows, order: o, count: count}
	if plan.Backwards {
		slices.Reverse(rows)
		p.PageInfo = Info{HasPreviousPage: more, HasNextPage: plan.Before != nil}
	} else {
		p.PageInfo = Info{HasNextPage: more, HasPreviousPage: plan.After != nil}
	}
	if len(rows) > 0 {
		start, end := o.cursor(rows[0]), o.cursor(rows[len(rows)-1])
		p.PageInfo.StartCursor, p.PageInfo.EndCursor = &start, &end
	}
	return p
}

// Map is the same page of other values, with the same cursors.
func Map[T, U any](p *Page[T], to func(T) U) *Page[U] {
	nodes := make([]U, len(p.Nodes))
	for n, row := range p.Nodes {
		nodes[n] = to(row)
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
		cursors[n] = p.order.cursor(row)
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

func (o Order[T]) cursor(row T) string { return o.Key(row).cursor() }

func (k Key) cursor() string {
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
	var parts []json.RawMessage
	if json.Unmarshal(text, &parts) != nil || len(parts) != len(columns) {
		return nil, false
	}
	key := make(Key, len(columns))
	for i, part := range parts {
		var text string
		var number int64
		if columns[i].Text {
			err = json.Unmarshal(part, &text)
			key[i] = text
		} else {
			err = json.Unmarshal(part, &number)
			key[i] = number
		}
		if err != nil || strings.ContainsRune(text, 0) { // which PostgreSQL does not take
			return nil, false
		}
	}
	return key, key.cursor() == cursor // there is one way to write each place
}

// beyond lets only rows through that stand before or after a key, if there is
// one.
func (o Order[T]) beyond(s *sql.Selector, operator string, key Key) {
	if key == nil {
		return
	}
	s.Where(o.compare(s, operator, key))
	// Columns of two tables are in no index together. What follows for the
	// first table alone lets its own index skip what is on earlier pages.
	same := func(c Column) bool { return c.Table == o.Columns[0].Table }
	if other := slices.IndexFunc(o.Columns, func(c Column) bool { return !same(c) }); other > 0 {
		s.Where(o.compare(s, operator+"=", key[:other]))
	}
}

// compare is the condition that a row's first columns stand so to a key's
// parts: one comparison of rows, so that an index over the columns serves it.
func (o Order[T]) compare(s *sql.Selector, operator string, key Key) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.WriteByte('(')
		for i, column := range o.Columns[:len(key)] {
			if i > 0 {
				b.Comma()
			}
			b.Ident(column.in(s))
		}
		b.WriteString(") " + operator + " (").Args(key...).WriteByte(')')
	})
}

// length is how long a page is asked for, and from which end. The guard has
// checked it before, so that the caller hears of all problems at once; this
// holds for whoever asks without it.
func (r Request) length(limits Limits) (length int, backwards bool, err error) {
	if r.First != nil && r.Last != nil {
		return 0, false, fault.New(fault.BadInput, "give first or last, not both")
	}
	asked, name := r.First, "first"
	if r.Last != nil {
		asked, name, backwards = r.Last, "last", true
	}
	if asked == nil {
		return limits.Default, false, nil
	}
	if *asked < 0 || *asked > limits.Max {
		return 0, false, fault.New(fault.BadInput, "%s is %d: a page has from 0 to %d; ask for more by pages", name, *asked, limits.Max)
	}
	return *asked, backwards, nil
}
