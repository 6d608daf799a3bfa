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

// plan is the compiled selection of a root field of an operation. Only sql changes:
// the first request stores the SQL.
type plan struct {
	rows       *rowPlan
	joinedEdge *edgePlan // an edge with children in the statement of the row; or nil
	kind       rootKind
	connection connectionEncoder
	sql        atomic.Pointer[string]
}

// rootKind is the kind of value of a root field.
type rootKind int

const (
	one rootKind = iota // a row, or null
	list
	connection
)

// connectionEncoder encodes a connection.
type connectionEncoder struct {
	fields []connectionField
	suffix string // the JSON after the last field
}

// connectionField is a selected field of a connection.
type connectionField struct {
	prefix   string // the JSON before the value
	name     string // nodes, edges, pageInfo or totalCount
	encoder  int    // index in rowPlan.encoders, for nodes and edges
	pageInfo []SelectedField
}

func (c connectionEncoder) selects(names ...string) bool {
	return slices.ContainsFunc(c.fields, func(field connectionField) bool { return slices.Contains(names, field.name) })
}

// objects returns the number of objects in a connection without the rows.
func (c connectionEncoder) objects() int {
	n := 1
	for _, field := range c.fields {
		if field.name == "pageInfo" {
			n++
		}
	}
	return n
}

// rowPlan describes the rows of one statement: the columns, the ways to encode a
// row, and the edges to children. All selections of the same rows by one field of
// the schema share one statement, as the resolvers share one batch.
type rowPlan struct {
	typ         *Type
	columns     []string
	selectList  string // columns as SQL
	encoders    []*rowEncoder
	boundFields []*boundField
	edges       []*edgePlan
}

// addColumn returns the index of a column, and adds a new column.
func (r *rowPlan) addColumn(name string) int {
	if n := slices.Index(r.columns, name); n >= 0 {
		return n
	}
	r.columns = append(r.columns, name)
	return len(r.columns) - 1
}

func (r *rowPlan) addColumns(names []string) []int {
	indexes := make([]int, len(names))
	for n, name := range names {
		indexes[n] = r.addColumn(name)
	}
	return indexes
}

// rowEncoder encodes a row as a selection set describes the row.
type rowEncoder struct {
	steps     []step
	suffix    string // the JSON after the last step
	edgeSteps []step // the steps of kind edgeStep

	objects int // objects per row, without lists of objects and children
}

// step appends a prefix and then a value.
type step struct {
	prefix string
	kind   stepKind

	index    int          // of the column, the bound field or the edge
	encode   valueEncoder // of a column
	typ      string       // the type of the object, for encode
	nullable bool         // whether the column may be null
	encoder  int          // index of the children's encoder, or of the edge's connection
}

type stepKind int

const (
	columnStep stepKind = iota
	boundStep
	edgeStep
	cursorStep // appends the cursor of the row
)

// boundField is a selected field with a Bind.
type boundField struct {
	field      *ast.Field
	definition Field
	columns    []int
	fields     []SelectedField
}

// edgePlan describes the statement of the children of all rows.
type edgePlan struct {
	field     *ast.Field
	signature string // the field's name and arguments as the operation spells them
	edge      *Edge
	parentKey int // index of the parent's column
	childKey  int // index of the children's column
	children  *rowPlan

	isList, nullable bool
	connections      []connectionEncoder // one per selection of a connection
}

// planKey identifies a plan: a field of an operation, and the variables of
// @skip and @include.
type planKey struct {
	operation *ast.OperationDefinition
	alias     string
	flags     string
}

// plan returns the plan of a root field, or nil if the engine cannot answer the
// field.
func (e *Engine) plan(operation *graphql.OperationContext, field graphql.CollectedField, root Root) *plan {
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
	if p, ok := e.plans.Get(key); ok {
		return p
	}
	c := compiler{e, operation}
	p, ok := c.compileRoot(field, root)
	if ok {
		c.setSelectLists(p.rows)
	} else {
		p = nil
	}
	e.plans.Add(key, p)
	return p
}

// compiler compiles a plan. The methods return false for a selection beyond the
// registry.
type compiler struct {
	*Engine
	operation *graphql.OperationContext
}

func (c *compiler) compileRoot(field graphql.CollectedField, root Root) (*plan, bool) {
	p := &plan{rows: &rowPlan{typ: c.types[root.Type]}}
	if !hasOnlySkipInclude(field) {
		return nil, false
	}
	typ := field.Definition.Type
	switch {
	case typ.Elem != nil:
		p.kind = list
	case typ.Name() != root.Type:
		var ok bool
		p.kind = connection
		p.connection, ok = c.compileConnection(p.rows, field)
		return p, ok
	}
	_, ok := c.compileNode(p.rows, field.Selections)
	if p.kind == one {
		p.joinedEdge = p.rows.joinableEdge()
	}
	return p, ok
}

// joinableEdge returns the first edge whose children can be read in the statement
// of these rows, or nil.
func (r *rowPlan) joinableEdge() *edgePlan {
	for _, e := range r.edges {
		if e.edge.Join != nil && !slices.ContainsFunc(e.children.columns, isJoinedColumn) {
			return e
		}
	}
	return nil
}

// setSelectLists sets selectList of complete rows and all their children.
func (c *compiler) setSelectLists(r *rowPlan) {
	for _, column := range r.columns {
		r.selectList = c.appendToSelectList(r.selectList, r.typ, column)
	}
	for _, e := range r.edges {
		c.setSelectLists(e.children)
	}
}

// collectFields returns the selected fields of an object, as gqlgen collects
// fields.
func (c *compiler) collectFields(typ string, selections ast.SelectionSet) ([]graphql.CollectedField, bool) {
	definition := c.schema.Types[typ]
	fields := graphql.CollectFields(c.operation, selections, append([]string{typ}, definition.Interfaces...))
	seen := map[string]bool{}
	for _, field := range fields {
		if !hasOnlySkipInclude(field) || seen[field.Alias] {
			return nil, false
		}
		seen[field.Alias] = true
	}
	return fields, true
}

// hasOnlySkipInclude reports whether a field has no directives but @skip and
// @include. Both were applied when the field was collected.
func hasOnlySkipInclude(field graphql.CollectedField) bool {
	for _, directive := range field.Directives {
		if directive.Name != "skip" && directive.Name != "include" {
			return false
		}
	}
	return len(field.Deferrables) == 0
}

// literal collects the constant JSON between two values.
type literal struct{ strings.Builder }

// flush returns the JSON, and empties the literal.
func (l *literal) flush() string {
	s := l.String()
	l.Reset()
	return s
}

// writeKey writes the key of an object's field. Position counts from 0.
func (l *literal) writeKey(position int, alias string) {
	if position > 0 {
		l.WriteByte(',')
	}
	l.writeText(alias)
	l.WriteByte(':')
}

func (l *literal) writeText(s string) { l.Write(rawjson.AppendText(nil, s)) }

// compileConnection compiles a connection whose nodes are the rows.
func (c *compiler) compileConnection(r *rowPlan, field graphql.CollectedField) (encoder connectionEncoder, ok bool) {
	typ := field.Definition.Type.Name()
	fields, ok := c.collectFields(typ, field.Selections)
	if !ok {
		return encoder, false
	}
	l := literal{}
	l.WriteByte('{')
	for n, f := range fields {
		l.writeKey(n, f.Alias)
		selected := connectionField{name: f.Name}
		switch f.Name {
		case "__typename":
			l.writeText(typ)
			continue
		case "nodes":
			selected.encoder, ok = c.compileNode(r, f.Selections)
		case "edges":
			selected.encoder, ok = c.compileEdges(r, f)
		case "pageInfo":
			selected.pageInfo, ok = c.compileFields(f, []string{"hasNextPage", "hasPreviousPage", "startCursor", "endCursor"}, nil)
		case "totalCount":
		default:
			return encoder, false
		}
		if !ok {
			return encoder, false
		}
		selected.prefix = l.flush()
		encoder.fields = append(encoder.fields, selected)
	}
	l.WriteByte('}')
	encoder.suffix = l.flush()
	return encoder, true
}

// compileEdges adds an encoder of the rows as edges of a connection, and returns
// the index of the encoder.
func (c *compiler) compileEdges(r *rowPlan, field graphql.CollectedField) (int, bool) {
	typ := field.Definition.Type.Name()
	fields, ok := c.collectFields(typ, field.Selections)
	if !ok {
		return 0, false
	}
	encoder, l := &rowEncoder{objects: 1}, &literal{}
	l.WriteByte('{')
	for n, f := range fields {
		l.writeKey(n, f.Alias)
		switch f.Name {
		case "__typename":
			l.writeText(typ)
		case "cursor":
			encoder.steps = append(encoder.steps, step{prefix: l.flush(), kind: cursorStep})
		case "node":
			if !c.compileObject(r, encoder, l, f.Selections) {
				return 0, false
			}
		default:
			return 0, false
		}
	}
	l.WriteByte('}')
	return r.addEncoder(encoder, l), true
}

// compileNode adds an encoder of the rows as objects, and returns the index of
// the encoder.
func (c *compiler) compileNode(r *rowPlan, selections ast.SelectionSet) (int, bool) {
	encoder, l := &rowEncoder{}, &literal{}
	if !c.compileObject(r, encoder, l, selections) {
		return 0, false
	}
	return r.addEncoder(encoder, l), true
}

func (r *rowPlan) addEncoder(encoder *rowEncoder, l *literal) int {
	encoder.suffix = l.flush()
	for _, s := range encoder.steps {
		if s.kind == edgeStep {
			encoder.edgeSteps = append(encoder.edgeSteps, s)
		}
	}
	r.encoders = append(r.encoders, encoder)
	return len(r.encoders) - 1
}

// compileObject adds the steps of a row as an object.
func (c *compiler) compileObject(r *rowPlan, encoder *rowEncoder, l *literal, selections ast.SelectionSet) bool {
	fields, ok := c.collectFields(r.typ.Name, selections)
	if !ok {
		return false
	}
	encoder.objects++
	l.WriteByte('{')
	for n, f := range fields {
		l.writeKey(n, f.Alias)
		if f.Name == "__typename" {
			l.writeText(r.typ.Name)
			continue
		}
		definition, ok := r.typ.Fields[f.Name]
		if !ok {
			return false
		}
		s := step{prefix: l.flush(), typ: r.typ.Name, nullable: !f.Definition.Type.NonNull}
		switch {
		case definition.Edge != nil:
			s.kind = edgeStep
			s.index, s.encoder, ok = c.compileEdge(r, f, definition)
		case definition.Bind != nil:
			s.kind, s.index = boundStep, len(r.boundFields)
			bound := &boundField{field: f.Field, definition: definition, columns: r.addColumns(definition.Columns)}
			if len(f.Selections) > 0 {
				bound.fields, ok = c.compileFields(f, definition.Fields, definition.Objects)
				if f.Definition.Type.Elem == nil {
					encoder.objects++
				}
			}
			r.boundFields = append(r.boundFields, bound)
		default:
			s.index, s.encode = r.addColumn(definition.Columns[0]), c.valueEncoder(f.Definition.Type)
		}
		if !ok {
			return false
		}
		encoder.steps = append(encoder.steps, s)
	}
	l.WriteByte('}')
	return true
}

// compileEdge returns the index of the edge of a field, and the index of an
// encoder of the children. Fields with the same arguments share an edge.
func (c *compiler) compileEdge(r *rowPlan, field graphql.CollectedField, definition Field) (index, encoder int, ok bool) {
	signature := field.Name
	for _, argument := range field.Arguments {
		signature += " " + argument.Name + ":" + argument.Value.String()
	}
	index = slices.IndexFunc(r.edges, func(e *edgePlan) bool { return e.signature == signature })
	if index < 0 {
		index = len(r.edges)
		children := &rowPlan{typ: c.types[definition.Edge.Type]}
		r.edges = append(r.edges, &edgePlan{
			field: field.Field, signature: signature, edge: definition.Edge, children: children,
			parentKey: r.addColumn(definition.Columns[0]), childKey: children.addColumn(definition.Edge.ChildKey),
			isList: field.Definition.Type.Elem != nil, nullable: !field.Definition.Type.NonNull,
		})
	}
	e := r.edges[index]
	if definition.Edge.Pages == nil {
		encoder, ok = c.compileNode(e.children, field.Selections)
		return index, encoder, ok
	}
	connection, ok := c.compileConnection(e.children, field)
	e.connections = append(e.connections, connection)
	return index, len(e.connections) - 1, ok
}

// compileFields returns the selected fields of an object. It returns false if a
// selected field is not in names. Objects maps names of objects to their leaves.
func (c *compiler) compileFields(field graphql.CollectedField, names []string, objects map[string][]string) ([]SelectedField, bool) {
	typ := field.Definition.Type.Name()
	fields, ok := c.collectFields(typ, field.Selections)
	if !ok {
		return nil, false
	}
	selected := make([]SelectedField, len(fields))
	l := literal{}
	for n, f := range fields {
		l.writeKey(n, f.Alias)
		if f.Name == "__typename" {
			l.writeText(typ)
			selected[n] = SelectedField{key: l.flush()}
			continue
		}
		if !slices.Contains(names, f.Name) {
			return nil, false
		}
		selected[n] = SelectedField{Name: f.Name, key: l.flush(), hasAlias: f.Alias != f.Name}
		if leaves := objects[f.Name]; leaves != nil {
			if selected[n].Fields, ok = c.compileFields(f, leaves, nil); !ok {
				return nil, false
			}
		}
	}
	return selected, true
}

// keyColumns returns the columns of an order, in the form of a Type's columns.
func keyColumns(typ *Type, order []page.Column) []string {
	names := make([]string, len(order))
	for n, column := range order {
		names[n] = column.Name
		if column.Table != "" && column.Table != typ.Table {
			names[n] = column.Table + "." + column.Name
		}
	}
	return names
}
