// Package page owns paging: it turns the arguments of a Relay connection into
// one keyset query, and the rows of the query into a page.
//
// A cursor is the place of a row in a total order, not a count of rows. A walk
// through all pages therefore repeats no row and skips no row that existed
// throughout, whatever is inserted or deleted meanwhile. The last page costs as
// much as the first page. Rows are counted only when a caller requests
// totalCount.
//
// Package page does not own the order or the query: the caller does.
package page

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"entgo.io/ent/dialect/sql"

	"tagma/internal/base/fault"
)

// Limits bounds the length of a page.
type Limits struct{ Default, Max int }

// Request holds the arguments of a connection, unchecked.
type Request struct {
	First  *int
	After  *string
	Last   *int
	Before *string
}

// Key is a place in an order: the values of the sort columns, each a string or
// an int64.
type Key []any

// Column is a sort column of an order.
type Column struct {
	Table  string // name of a joined table; empty for the table of the query
	Name   string
	IsText bool // reports whether the values are strings; otherwise int64s
}

// Order is a total order of rows: the sort columns, ascending, and a function
// that returns the key of a row. No two rows have the same key.
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

// Query returns rows. The implementation calls narrow with its own query and
// returns the rows in the order that narrow sets.
type Query[T any] func(ctx context.Context, narrow func(*sql.Selector)) ([]T, error)

// Page is one page: a Relay connection.
type Page[T any] struct {
	Nodes    []T
	PageInfo Info

	order   Order[T]
	count   func(context.Context) (int, error)
	cursors []string // set by Map only, because order does not sort the mapped values
}

// Edge is a row with the cursor of the row.
type Edge[T any] struct {
	Cursor string
	Node   T
}

// Info holds the cursors of a page, and whether further pages exist.
type Info struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

// Fetch returns the page for a request. Count is called only when a caller
// requests the total. Fetch returns a *fault.Error for an invalid request.
func Fetch[T any](
	ctx context.Context, limits Limits, request Request, order Order[T],
	query Query[T], count func(context.Context) (int, error),
) (*Page[T], error) {
	keyset, err := order.Keyset(limits, request, count)
	if err != nil {
		return nil, err
	}
	rows, err := query(ctx, func(s *sql.Selector) {
		keyset.Apply(s)
		keyset.Limit(s)
	})
	if err != nil {
		return nil, err
	}
	return order.Page(keyset.Plan, rows, count), nil
}

// Keyset is the condition, order and limit of a page, for a reader that runs the query
// itself.
type Keyset struct {
	Plan    Plan
	Columns []Column // sort columns; their values are the key of a row
	Count   func(context.Context) (int, error)
}

// Keyset returns the keyset of a valid request. The error is a *fault.Error.
func (o Order[T]) Keyset(limits Limits, request Request, count func(context.Context) (int, error)) (Keyset, error) {
	plan, err := o.Plan(limits, request)
	return Keyset{plan, o.Columns, count}, err
}

// Apply restricts a query to the rows of the page and all rows after the page,
// in the direction of the plan. The reader takes one row more than the length
// of the plan, to learn whether a further page exists: see Limit.
func (k Keyset) Apply(s *sql.Selector) {
	k.WhereInPage(s)
	k.Order(s)
}

// WhereInPage restricts a query to the rows of the page and all rows after the page.
func (k Keyset) WhereInPage(s *sql.Selector) {
	addBound(s, k.Columns, ">", k.Plan.After)
	addBound(s, k.Columns, "<", k.Plan.Before)
}

// Order sorts a query in the direction of the plan.
func (k Keyset) Order(s *sql.Selector) {
	direction := sql.Asc
	if k.Plan.Backwards {
		direction = sql.Desc
	}
	for _, column := range k.Columns {
		s.OrderBy(direction(column.ident(s)))
	}
}

// Limit limits a query to one row more than the page.
func (k Keyset) Limit(s *sql.Selector) { s.Limit(k.Plan.Length + 1) }

// Prefix returns the keyset for a query of another table that has only the first
// columns of the order, under the given names. The query returns the row at
// which the page begins or ends as well.
func (k Keyset) Prefix(columns []Column) Keyset {
	return Keyset{Plan: k.Plan, Columns: columns}
}

// Plan is a checked request.
type Plan struct {
	Length    int  // of the page
	Backwards bool // whether the page is at the end of the list
	After     Key  // the page begins after this key; nil for no bound
	Before    Key  // the page ends before this key; nil for no bound
}

// Plan checks a request. The error is a *fault.Error.
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

// Info returns the Info of the page from key first to key last. Both keys are
// nil if the page is empty. HasMore reports whether the query returned one row
// more than the page.
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

// Page returns the page of rows. The rows are in the direction of the plan, and
// may be one more than the length of the plan.
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

// OfParents returns one page of rows for each parent, by the parent. Rows are the
// rows of all parents, sorted within a parent, and at most one more of each parent
// than the length of the plan. ParentOf returns the parent of a row. Count returns
// the number of rows of each parent on all pages. Count is called at most once, when
// a caller requests the first total.
func OfParents[K comparable, T any](
	order Order[T], plan Plan, parents []K, rows []T, parentOf func(T) K, count func() (map[K]int, error),
) map[K]*Page[T] {
	rowsOf := make(map[K][]T, len(parents))
	for _, row := range rows {
		parent := parentOf(row)
		rowsOf[parent] = append(rowsOf[parent], row)
	}
	counts := sync.OnceValues(count)
	pages := make(map[K]*Page[T], len(parents))
	for _, parent := range parents {
		pages[parent] = order.Page(plan, rowsOf[parent], func(context.Context) (int, error) {
			counts, err := counts()
			return counts[parent], err
		})
	}
	return pages
}

// Map returns the same page with converted nodes and the same cursors.
func Map[T, U any](p *Page[T], convert func(T) U) *Page[U] {
	nodes := make([]U, len(p.Nodes))
	for n, row := range p.Nodes {
		nodes[n] = convert(row)
	}
	return &Page[U]{Nodes: nodes, PageInfo: p.PageInfo, count: p.count, cursors: p.Cursors()}
}

// Cursors returns the cursor of each row.
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

// Edges returns the rows with their cursors.
func (p *Page[T]) Edges() []*Edge[T] {
	edges := make([]*Edge[T], len(p.Nodes))
	for n, cursor := range p.Cursors() {
		edges[n] = &Edge[T]{Cursor: cursor, Node: p.Nodes[n]}
	}
	return edges
}

// TotalCount returns the number of rows on all pages.
func (p *Page[T]) TotalCount(ctx context.Context) (int, error) { return p.count(ctx) }

// Cursor returns the key in the opaque form of the API.
func (k Key) Cursor() string {
	text, err := json.Marshal(k)
	if err != nil { // json.Marshal accepts every string and integer
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// parse returns the key of a cursor. A cursor of another list, or an invented
// cursor, is a problem.
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
		if columns[i].IsText {
			err = json.Unmarshal(value, &text)
			key[i] = text
		} else {
			err = json.Unmarshal(value, &number)
			key[i] = number
		}
		if err != nil || strings.ContainsRune(text, 0) { // PostgreSQL refuses U+0000 in text
			return nil, false
		}
	}
	return key, key.Cursor() == cursor // a key has exactly one cursor
}

// addBound restricts a query to the rows before or after a key; a nil key is no
// bound. If columns are only the first columns of the key, rows that equal the
// key in columns pass too. The condition is one comparison of rows, so that an
// index over the columns serves the condition.
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

// length returns the length of the requested page, and whether the page is at
// the end of the list. The guard checks the length too, so that a caller learns
// of all problems at once. The check here covers callers that do not pass the
// guard.
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
