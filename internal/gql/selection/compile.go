package selection

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
)

// plan is how one root field of an operation is answered. It does not change,
// but for the SQL, which is there once it was asked for.
type plan struct {
	rows   *rows
	beside *edge // whose rows come in the same statement, of one row
	shape  shape
	of     parts // a connection
	sql    atomic.Pointer[string]
}

// parts is how a connection is written.
type parts struct {
	list []part
	tail string // after them
}

func (p parts) has(fields ...string) bool {
	return slices.ContainsFunc(p.list, func(of part) bool { return slices.Contains(fields, of.field) })
}

// objects is how many objects a connection is without its rows.
func (p parts) objects() int {
	n := 1
	for _, part := range p.list {
		if part.field == "pageInfo" {
			n++
		}
	}
	return n
}

// shape is what the root field holds.
type shape int

const (
	one shape = iota // a row, or null
	list
	connection
)

// part is a field of a connection.
type part struct {
	before string // its key
	field  string // nodes, edges, pageInfo, totalCount; or empty, if before is all of it
	view   int    // of the rows, for nodes and edges
	info   []Selected
}

// rows is one statement: rows of a type, the ways in which each is written, and
// where they lead. All that one field of the contract asks for of the same rows
// is one statement, as it is in the ordinary execution.
type rows struct {
	of       *Type
	columns  []string
	selected string // the columns as SQL has them
	views    []*view
	bounds   []*bound
	edges    []*edge
}

func (r *rows) column(name string) int {
	if n := slices.Index(r.columns, name); n >= 0 {
		return n
	}
	r.columns = append(r.columns, name)
	return len(r.columns) - 1
}

func (r *rows) at(names []string) []int {
	at := make([]int, len(names))
	for n, name := range names {
		at[n] = r.column(name)
	}
	return at
}

// view is one way of writing a row.
type view struct {
	steps []step
	tail  string // after them
	edges []step // those of the steps that lead elsewhere, in their order

	objects int // that a row is, without lists of its own and what the edges lead to
}

// step writes some text and then one value.
type step struct {
	before string
	kind   kind

	n        int    // of the column, the bound field, or the edge
	scalar   scalar // of a column
	of       string // the type, for the scalar
	nullable bool   // the column's value
	view     int    // of the rows that the edge leads to, or which of its connections
}

type kind int

const (
	fromColumn kind = iota
	fromBound
	fromEdge
	cursor // the place of the row, by the order of its page
)

// bound is a field with a Bind.
type bound struct {
	field  *ast.Field
	known  Field
	at     []int
	fields []Selected
}

// edge is a statement for all rows that these rows lead to.
type edge struct {
	field  *ast.Field
	name   string // of the field with its arguments, as it was written
	known  *Edge
	column int // that leads there
	back   int // the column of the rows that it leads to
	rows   *rows

	many, nullable bool
	connections    []parts // each a way of writing its page
}

// planKey names what a plan was made of: a field of an operation, and what
// @skip and @include may depend on.
type planKey struct {
	operation *ast.OperationDefinition
	alias     string
	flags     string
}

// plan is the plan of a root field, or nil if it is for the ordinary execution.
func (s *Selector) plan(operation *graphql.OperationContext, field graphql.CollectedField, root Root) *plan {
	key := planKey{operation: operation.Operation, alias: field.Alias}
	for _, variable := range operation.Operation.VariableDefinitions {
		if variable.Type.NamedType == "Boolean" {
			flag := byte('0')
			if operation.Variables[variable.Variable] == true {
				flag = '1'
			}
			key.flags += string(flag)
		}
	}
	if p, ok := s.plans.Get(key); ok {
		return p
	}
	c := compiler{s, operation}
	p, ok := c.root(field, root)
	if ok {
		c.finish(p.rows)
	} else {
		p = nil
	}
	s.plans.Add(key, p)
	return p
}

// compiler makes one plan. Its methods say whether all of it is known.
type compiler struct {
	*Selector
	operation *graphql.OperationContext
}

func (c *compiler) root(field graphql.CollectedField, root Root) (*plan, bool) {
	p := &plan{rows: &rows{of: c.types[root.To]}}
	if !usual(field) {
		return nil, false
	}
	to := field.Definition.Type
	switch {
	case to.Elem != nil:
		p.shape = list
	case to.Name() != root.To:
		var ok bool
		p.shape = connection
		p.of, ok = c.connection(p.rows, field)
		return p, ok
	}
	_, ok := c.view(p.rows, field.Selections)
	if p.shape == one {
		p.beside = p.rows.joinable()
	}
	return p, ok
}

// joinable is the first edge whose rows may come in the statement of these, or
// nil.
func (r *rows) joinable() *edge {
	for _, e := range r.edges {
		if e.known.Join != nil && !slices.ContainsFunc(e.rows.columns, elsewhere) {
			return e
		}
	}
	return nil
}

// finish writes the columns of rows that are complete.
func (c *compiler) finish(r *rows) {
	for _, column := range r.columns {
		r.selected = c.selectAlso(r.selected, r.of, column)
	}
	for _, e := range r.edges {
		c.finish(e.rows)
	}
}

// collect is the fields of an object, as gqlgen collects them.
func (c *compiler) collect(of string, selections ast.SelectionSet) ([]graphql.CollectedField, bool) {
	definition := c.schema.Types[of]
	fields := graphql.CollectFields(c.operation, selections, append([]string{of}, definition.Interfaces...))
	seen := map[string]bool{}
	for _, field := range fields {
		if !usual(field) || seen[field.Alias] {
			return nil, false
		}
		seen[field.Alias] = true
	}
	return fields, true
}

// usual says whether nothing but @skip and @include is said of a field, which
// were minded when it was collected.
func usual(field graphql.CollectedField) bool {
	for _, directive := range field.Directives {
		if directive.Name != "skip" && directive.Name != "include" {
			return false
		}
	}
	return len(field.Deferrables) == 0
}

// text gathers what is written between two values.
type text struct{ strings.Builder }

func (t *text) take() string {
	s := t.String()
	t.Reset()
	return s
}

// key writes the key of the field in this place of its object.
func (t *text) key(place int, alias string) {
	if place > 0 {
		t.WriteByte(',')
	}
	t.quote(alias)
	t.WriteByte(':')
}

func (t *text) quote(s string) { t.Write(rawjson.AppendText(nil, s)) }

// connection is the rows as a connection.
func (c *compiler) connection(r *rows, field graphql.CollectedField) (p parts, ok bool) {
	of := field.Definition.Type.Name()
	fields, ok := c.collect(of, field.Selections)
	if !ok {
		return p, false
	}
	t := text{}
	t.WriteByte('{')
	for n, f := range fields {
		t.key(n, f.Alias)
		part := part{field: f.Name}
		switch f.Name {
		case "__typename":
			t.quote(of)
			continue
		case "nodes":
			part.view, ok = c.view(r, f.Selections)
		case "edges":
			part.view, ok = c.edges(r, f)
		case "pageInfo":
			part.info, ok = c.selected(f, []string{"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"}, nil)
		case "totalCount":
		default:
			return p, false
		}
		if !ok {
			return p, false
		}
		part.before = t.take()
		p.list = append(p.list, part)
	}
	t.WriteByte('}')
	p.tail = t.take()
	return p, true
}

// edges is a view of the rows as edges of a connection.
func (c *compiler) edges(r *rows, field graphql.CollectedField) (int, bool) {
	of := field.Definition.Type.Name()
	fields, ok := c.collect(of, field.Selections)
	if !ok {
		return 0, false
	}
	v, t := &view{objects: 1}, &text{}
	t.WriteByte('{')
	for n, f := range fields {
		t.key(n, f.Alias)
		switch f.Name {
		case "__typename":
			t.quote(of)
		case "cursor":
			v.steps = append(v.steps, step{before: t.take(), kind: cursor})
		case "node":
			if !c.object(r, v, t, f.Selections) {
				return 0, false
			}
		default:
			return 0, false
		}
	}
	t.WriteByte('}')
	return r.add(v, t), true
}

// view is a view of the rows as objects of their type.
func (c *compiler) view(r *rows, selections ast.SelectionSet) (int, bool) {
	v, t := &view{}, &text{}
	if !c.object(r, v, t, selections) {
		return 0, false
	}
	return r.add(v, t), true
}

func (r *rows) add(v *view, t *text) int {
	v.tail = t.take()
	for _, s := range v.steps {
		if s.kind == fromEdge {
			v.edges = append(v.edges, s)
		}
	}
	r.views = append(r.views, v)
	return len(r.views) - 1
}

// object adds the steps that write an object of the rows' type.
func (c *compiler) object(r *rows, v *view, t *text, selections ast.SelectionSet) bool {
	fields, ok := c.collect(r.of.Name, selections)
	if !ok {
		return false
	}
	v.objects++
	t.WriteByte('{')
	for n, f := range fields {
		t.key(n, f.Alias)
		if f.Name == "__typename" {
			t.quote(r.of.Name)
			continue
		}
		known, ok := r.of.Fields[f.Name]
		if !ok {
			return false
		}
		s := step{before: t.take(), of: r.of.Name, nullable: !f.Definition.Type.NonNull}
		switch {
		case known.Edge != nil:
			s.kind = fromEdge
			s.n, s.view, ok = c.edge(r, f, known)
		case known.Bind != nil:
			s.kind, s.n = fromBound, len(r.bounds)
			b := &bound{field: f.Field, known: known, at: r.at(known.Columns)}
			if len(f.Selections) > 0 {
				b.fields, ok = c.selected(f, known.Fields, known.Objects)
				if f.Definition.Type.Elem == nil {
					v.objects++
				}
			}
			r.bounds = append(r.bounds, b)
		default:
			s.n, s.scalar = r.column(known.Columns[0]), c.scalar(f.Definition.Type)
		}
		if !ok {
			return false
		}
		v.steps = append(v.steps, s)
	}
	t.WriteByte('}')
	return true
}

// edge is the edge that a field takes, and the view that it has of the rows
// there. Fields with the same arguments take the same.
func (c *compiler) edge(r *rows, field graphql.CollectedField, known Field) (number, seen int, ok bool) {
	name := field.Name
	for _, argument := range field.Arguments {
		name += " " + argument.Name + ":" + argument.Value.String()
	}
	number = slices.IndexFunc(r.edges, func(e *edge) bool { return e.name == name })
	if number < 0 {
		number = len(r.edges)
		there := &rows{of: c.types[known.Edge.To]}
		r.edges = append(r.edges, &edge{
			field: field.Field, name: name, known: known.Edge, rows: there,
			column: r.column(known.Columns[0]), back: there.column(known.Edge.Back),
			many: field.Definition.Type.Elem != nil, nullable: !field.Definition.Type.NonNull,
		})
	}
	e := r.edges[number]
	if known.Edge.Pages == nil {
		seen, ok = c.view(e.rows, field.Selections)
		return number, seen, ok
	}
	of, ok := c.connection(e.rows, field)
	e.connections = append(e.connections, of)
	return number, len(e.connections) - 1, ok
}

// selected is the fields of an object that has no others than those of the names,
// of which some are objects with leaves.
func (c *compiler) selected(field graphql.CollectedField, names []string, objects map[string][]string) ([]Selected, bool) {
	of := field.Definition.Type.Name()
	fields, ok := c.collect(of, field.Selections)
	if !ok {
		return nil, false
	}
	list := make([]Selected, len(fields))
	t := text{}
	for n, f := range fields {
		t.key(n, f.Alias)
		if f.Name == "__typename" {
			t.quote(of)
			list[n] = Selected{key: t.take()}
			continue
		}
		if !slices.Contains(names, f.Name) {
			return nil, false
		}
		list[n] = Selected{Name: f.Name, key: t.take(), renamed: f.Alias != f.Name}
		if leaves := objects[f.Name]; leaves != nil {
			if list[n].Fields, ok = c.selected(f, leaves, nil); !ok {
				return nil, false
			}
		}
	}
	return list, true
}

// orderedBy is the columns whose values are the key of a row of a page, as
// columns of the rows' type are written.
func orderedBy(of *Type, order []page.Column) []string {
	names := make([]string, len(order))
	for n, column := range order {
		names[n] = column.Name
		if column.Table != "" && column.Table != of.Table {
			names[n] = column.Table + "." + column.Name
		}
	}
	return names
}
