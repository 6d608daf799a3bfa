package selection

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/cost"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
)

// execution answers one field once. Rows are written as they come, with holes
// where they lead elsewhere; then the rows there are read in one statement for
// all, and put into the holes.
type execution struct {
	*Selector
	ctx       context.Context
	variables map[string]any
	taken     []*[]byte // buffers, until release

	meter   *cost.Meter
	charged size // of the rows that were read
}

// largestKept is the longest buffer that is kept for another answer, in bytes.
const largestKept = 512 << 10

func (x *execution) buffer() *[]byte {
	b := x.buffers.Get().(*[]byte)
	*b = (*b)[:0]
	x.taken = append(x.taken, b)
	return b
}

func (x *execution) release() {
	for _, b := range x.taken {
		if cap(*b) <= largestKept {
			x.buffers.Put(b)
		}
	}
	x.taken = nil
}

// answer is rows that are read, and their size as JSON.
type answer struct {
	of     *execution
	length int64
	append func(b []byte) []byte
}

// MarshalGQL writes the answer, once. Into gqlgen's buffer it is written in
// place, so that no second copy is held.
func (a *answer) MarshalGQL(w io.Writer) {
	if buffer, ok := w.(*bytes.Buffer); ok {
		buffer.Grow(int(a.length))
		_, _ = buffer.Write(a.append(buffer.AvailableBuffer()))
	} else {
		_, _ = w.Write(a.append(make([]byte, 0, a.length)))
	}
	a.of.release()
}

// reading is what one statement is to give.
type reading struct {
	rows    *rows
	beside  *edge // whose rows come with these, of which there is at most one
	narrow  func(*sql.Selector)
	joined  bool     // by narrow
	none    bool     // of the rows is there
	most    int      // rows that are written; one more is noticed
	key     []string // columns of the key by which rows are ordered, if it is wanted
	eachKey bool     // is wanted, of all rows, not only of the first and the last
	back    int      // the column by which the rows were found, or -1
	paged   bool     // by the values of that column, each with at most this length:
	length  int
	place   func(Row) (int, error)
	placeBy []string
	made    *Made

	arguments []any                   // of the SQL, if all that ask have the same:
	sql       *atomic.Pointer[string] // once one has asked
}

// written is rows in writing.
type written struct {
	reading
	of          *execution
	columns     []string // those of the rows, and then others
	keyAt       []int    // of columns, the key's
	placeAt     []int
	writers     []Writer
	views       []lines
	count       int
	more        bool // than most
	first, last page.Key
	keys        []page.Key
	written     map[any]int  // of pages, how many of each
	further     map[any]bool // whether there are more
	leads       [][]any      // of each edge, for each row, the value that leads there
	backs       []any
	places      []int
	led         []led    // of each edge
	listed      int      // objects that writers have written of this row's lists
	starts      [][]int  // of each edge, for each row, where the rows begin that it leads to
	sizes       [][]size // of each view, for each row, once they are reckoned
}

// lines is rows as one view writes them, each after a comma, with holes.
type lines struct {
	b       *[]byte
	ends    []int
	holes   []int // of each row as many as the view has edges
	objects []int // of each row, without those in its holes
}

// led is the rows that an edge leads to, by its value: the first of each, and
// after each row the next.
type led struct {
	there *written
	first map[any]int
	next  []int // or -1

	plan   page.Plan      // of pages
	totals map[string]int // of each, by its value, if they are asked for
}

const unlimited = int(^uint(0) >> 1)

func (x *execution) run(p *plan, q Query) (graphql.Marshaler, error) {
	r := reading{
		rows: p.rows, beside: p.beside, narrow: q.Select, joined: q.Joined, none: q.None, most: unlimited, back: -1, place: q.Place, placeBy: q.PlaceBy, made: q.Made,
	}
	if p.shape == one && (p.beside == nil || len(p.beside.field.Arguments) == 0) {
		r.arguments, r.sql = q.Arguments, &p.sql
	}
	if q.Most > 0 {
		r.most = q.Most
	}
	if p.shape == connection {
		r.most = q.Page.Plan.Length
		if p.of.has("edges", "pageInfo") {
			r.key = orderedBy(p.rows.of, q.Page.Columns)
		}
	}
	w, err := x.read(r)
	if err == nil && q.Most > 0 && w.more {
		err = errMore
	}
	if err != nil {
		return nil, err
	}
	if p.shape == one && w.count == 0 {
		x.release()
		return graphql.Null, nil
	}
	total := 0
	if p.shape == connection && p.of.has("totalCount") {
		if total, err = q.Page.Count(x.ctx); err != nil {
			return nil, err
		}
	}
	order := w.order(q)
	a := &answer{of: x}
	var all size
	switch p.shape {
	case one:
		all = w.sizesOf(0)[0]
		a.append = func(b []byte) []byte { return w.appendRow(b, 0, 0) }
	case list:
		all = w.sizeOfRows(0)
		a.append = func(b []byte) []byte { return w.appendRows(b, 0, order) }
	case connection:
		all = w.sizeOfConnection(p.of)
		a.append = func(b []byte) []byte { return w.appendConnection(b, p.of, q, order, total) }
	}
	a.length = all.bytes + spare
	return a, x.charge(all)
}

// begin is rows of which none is written yet.
func (x *execution) begin(r reading) (*written, error) {
	w := &written{
		reading: r, of: x, views: make([]lines, len(r.rows.views)),
		leads: make([][]any, len(r.rows.edges)), led: make([]led, len(r.rows.edges)),
		starts: make([][]int, len(r.rows.edges)), sizes: make([][]size, len(r.rows.views)),
	}
	if r.paged {
		w.written, w.further = map[any]int{}, map[any]bool{}
	}
	for n := range w.views {
		w.views[n].b = x.buffer()
	}
	columns := rows{columns: slices.Clone(r.rows.columns)}
	w.keyAt, w.placeAt = columns.at(r.key), columns.at(r.placeBy)
	w.columns = columns.columns
	if r.none {
		return w, nil
	}
	var err error
	w.writers, err = x.bind(r.rows, func(objects int) { w.listed += objects })
	return w, err
}

// read reads and writes the rows of a statement, and those that they lead to.
func (x *execution) read(r reading) (*written, error) {
	w, err := x.begin(r)
	if err != nil {
		return nil, err
	}
	switch {
	case r.none:
	case r.made != nil:
		err = r.made.each(w.columns, w.take)
	case r.beside != nil:
		err = x.both(w)
	default:
		err = x.each(w, w.columns, w.take)
	}
	if err != nil && !errors.Is(err, errMore) {
		return nil, err
	}
	w.more = err != nil
	return w, x.follow(w)
}

// both reads a row together with those that one of its edges leads to. Where
// there are several of them, the row comes with each.
func (x *execution) both(w *written) error {
	e, own := w.beside, len(w.columns)
	there, err := x.begin(reading{rows: e.rows, most: unlimited, back: e.back})
	if err != nil {
		return err
	}
	err = x.each(w, slices.Concat(w.columns, e.rows.columns), func(cells []cell) error {
		if w.count == 0 {
			if err := w.take(cells[:own]); err != nil {
				return err
			}
		}
		if cells[own+e.back].value == nil {
			return nil
		}
		return there.take(cells[own:])
	})
	if err != nil {
		return err
	}
	w.led[slices.Index(w.rows.edges, e)] = index(there)
	return x.follow(there)
}

// errMore ends the reading at one row more than is wanted.
var errMore = errors.New("selection: there are more rows")

// each reads the rows of the statement, one after the other. The columns are what
// it gives of each.
func (x *execution) each(w *written, columns []string, take func([]cell) error) error {
	statement, arguments, err := x.statement(w)
	if err != nil {
		return err
	}
	found, err := x.db.SQL.QueryContext(x.ctx, statement, arguments...)
	if err != nil {
		return err
	}
	defer found.Close()
	cells, into := make([]cell, len(columns)), make([]any, len(columns))
	for n := range cells {
		into[n] = &cells[n]
	}
	for found.Next() {
		if err := found.Scan(into...); err != nil {
			return err
		}
		if err := take(cells); err != nil {
			return err
		}
	}
	return errors.Join(found.Err(), found.Close())
}

// each is the same of rows that are there.
func (m *Made) each(columns []string, take func([]cell) error) error {
	cells := make([]cell, len(columns))
	for row := range m.Count {
		for n, column := range columns {
			cells[n].value = m.Value(row, column)
		}
		if err := take(cells); err != nil {
			return err
		}
	}
	return nil
}

// take writes a row, and notes where it leads.
func (w *written) take(cells []cell) error {
	if w.count == w.most {
		return errMore
	}
	if w.paged {
		back := kept(cells[w.back].value)
		if w.written[back] == w.length {
			w.further[back] = true
			return nil
		}
		w.written[back]++
	}
	if len(w.keyAt) > 0 {
		w.last = w.last[:0]
		for _, column := range w.keyAt {
			w.last = append(w.last, kept(cells[column].value))
		}
		if w.count == 0 {
			w.first = slices.Clone(w.last)
		}
		if w.eachKey {
			w.keys = append(w.keys, slices.Clone(w.last))
		}
	}
	for n, edge := range w.rows.edges {
		w.leads[n] = append(w.leads[n], kept(cells[edge.column].value))
	}
	if w.back >= 0 {
		w.backs = append(w.backs, kept(cells[w.back].value))
	}
	if w.place != nil {
		place, err := w.place(Row{cells, w.placeAt})
		if err != nil {
			return err
		}
		w.places = append(w.places, place)
	}
	for n := range w.views {
		view := w.rows.views[n]
		before := len(*w.views[n].b)
		w.listed = 0
		if err := w.views[n].write(w.rows, view, cells, w.writers, w.last); err != nil {
			return err
		}
		objects := view.objects + w.listed
		w.views[n].objects = append(w.views[n].objects, objects)
		if err := w.of.took(size{int64(objects), int64(len(*w.views[n].b) - before)}); err != nil {
			return err
		}
	}
	w.count++
	return nil
}

// statement is the SQL for the columns of the rows: those that were selected
// when it was compiled, and others; and for those of the rows beside.
func (x *execution) statement(w *written) (string, []any, error) {
	if w.arguments != nil {
		if text := w.sql.Load(); text != nil {
			return *text, w.arguments, nil
		}
	}
	of := w.rows.of
	s := sql.Dialect(x.db.Dialect).Select().From(sql.Table(of.Table))
	selected := w.rows.selected
	for _, column := range w.columns[len(w.rows.columns):] {
		selected = x.selectAlso(selected, of, column)
	}
	if w.beside != nil {
		selected += ", " + w.beside.rows.selected
	}
	if selected == "" {
		selected = "1" // only their number is asked for
	}
	if !w.joined && slices.ContainsFunc(w.columns, elsewhere) {
		of.Join(s)
	}
	s.SelectExpr(sql.Raw(selected))
	w.narrow(s)
	if w.beside != nil {
		join, err := w.beside.known.Join(w.beside.field.ArgumentMap(x.variables))
		if err != nil {
			return "", nil, err
		}
		join(s)
	}
	text, arguments := s.Query()
	if w.most < unlimited {
		// As an argument. A number in the text would lead PostgreSQL, once it
		// plans without the arguments, to sort all of a long range for it.
		arguments = append(arguments, w.most+1)
		if x.db.Dialect == dialect.Postgres {
			text += " LIMIT $" + strconv.Itoa(len(arguments))
		} else {
			text += " LIMIT ?"
		}
	}
	if w.arguments != nil {
		if !reflect.DeepEqual(arguments, w.arguments) {
			return "", nil, errArguments
		}
		w.sql.Store(&text)
	}
	return text, arguments, s.Err()
}

var errArguments = errors.New("selection: a query's arguments are not those of its SQL")

// selectAlso is a list of columns, as SQL has it, with one more.
func (s *Selector) selectAlso(list string, of *Type, column string) string {
	if list != "" {
		list += ", "
	}
	if expression, ok := of.Expressions[column]; ok {
		return list + expression
	}
	table, name, ok := strings.Cut(column, ".")
	if !ok {
		table, name = of.Table, column
	}
	return list + sql.Dialect(s.db.Dialect).Table(table).C(name)
}

// elsewhere says whether a column is of a joined table.
func elsewhere(column string) bool { return strings.Contains(column, ".") }

func (x *execution) bind(r *rows, count func(objects int)) ([]Writer, error) {
	writers := make([]Writer, len(r.bounds))
	for n, b := range r.bounds {
		var err error
		writers[n], err = b.known.Bind(Request{Context: x.ctx, Arguments: b.field.ArgumentMap(x.variables), Fields: b.fields, Count: count})
		if err != nil {
			return nil, err
		}
	}
	return writers, nil
}

// write writes a row.
func (l *lines) write(r *rows, v *view, cells []cell, writers []Writer, key page.Key) (err error) {
	b := append(*l.b, ',')
	for n := range v.steps {
		s := &v.steps[n]
		b = append(b, s.before...)
		switch s.kind {
		case fromColumn:
			value := cells[s.n].value
			if value != nil {
				b, err = s.scalar(b, s.of, value)
			} else if b = append(b, "null"...); !s.nullable {
				err = errNull
			}
		case fromBound:
			b, err = writers[s.n](b, Row{cells, r.bounds[s.n].at})
		case fromEdge:
			l.holes = append(l.holes, len(b))
		case cursor:
			b = rawjson.AppendText(b, key.Cursor())
		}
		if err != nil {
			return err
		}
	}
	*l.b = append(b, v.tail...)
	l.ends = append(l.ends, len(*l.b))
	return nil
}

var errGone = errors.New("selection: a row is not there to which another leads")

// follow reads the rows to which those that are written lead.
func (x *execution) follow(w *written) error {
	for n, e := range w.rows.edges {
		if e == w.beside {
			continue
		}
		if keys := distinct(w.leads[n]); len(keys) > 0 {
			var err error
			if w.led[n], err = x.lead(e, keys); err != nil {
				return err
			}
		}
		if e.many || e.nullable || e.known.Pages != nil {
			continue
		}
		for _, value := range w.leads[n] {
			if _, ok := w.led[n].first[value]; !ok {
				return errGone
			}
		}
	}
	return nil
}

// lead reads the rows to which the values lead.
func (x *execution) lead(e *edge, keys []any) (l led, err error) {
	r := reading{rows: e.rows, joined: e.known.Joined, most: unlimited, back: e.back}
	arguments := e.field.ArgumentMap(x.variables)
	var pages Pages
	if e.known.Pages == nil {
		r.narrow, err = e.known.Select(keys, arguments)
	} else if pages, err = e.known.Pages(keys, arguments); err == nil {
		r.narrow, r.paged, r.length = pages.Select, true, pages.Plan.Length
		for _, of := range e.connections {
			if of.has("edges", "pageInfo") {
				r.key, r.eachKey = orderedBy(e.rows.of, pages.Order), true
			}
		}
	}
	if err != nil {
		return l, err
	}
	there, err := x.read(r)
	if err != nil {
		return l, err
	}
	l = index(there)
	l.plan = pages.Plan
	if slices.ContainsFunc(e.connections, func(of parts) bool { return of.has("totalCount") }) {
		l.totals, err = pages.Count(x.ctx)
	}
	return l, err
}

// twins says whether two fields lead from the same rows to the same others in
// different words, as by variables with the same value: that would be one
// statement in the ordinary execution, and two here.
func (x *execution) twins(r *rows) bool {
	for n, e := range r.edges {
		for _, other := range r.edges[:n] {
			if other.field.Name == e.field.Name &&
				reflect.DeepEqual(given(other.field.ArgumentMap(x.variables)), given(e.field.ArgumentMap(x.variables))) {
				return true
			}
		}
		if x.twins(e.rows) {
			return true
		}
	}
	return false
}

// given is arguments without those that are null, which says no more than to
// leave them out.
func given(arguments map[string]any) map[string]any {
	all := make(map[string]any, len(arguments))
	for name, value := range arguments {
		if input, ok := value.(map[string]any); ok {
			value = given(input)
		}
		if value != nil {
			all[name] = value
		}
	}
	return all
}

// distinct is the values that are not null, each once.
func distinct(values []any) []any {
	seen := make(map[any]struct{}, len(values))
	var keys []any
	for _, value := range values {
		if _, ok := seen[value]; !ok && value != nil {
			seen[value] = struct{}{}
			keys = append(keys, value)
		}
	}
	return keys
}

func index(there *written) led {
	l := led{there: there, first: make(map[any]int, there.count), next: make([]int, there.count)}
	for row := there.count - 1; row >= 0; row-- {
		back := there.backs[row]
		l.next[row] = -1
		if after, ok := l.first[back]; ok {
			l.next[row] = after
		}
		l.first[back] = row
	}
	return l
}
