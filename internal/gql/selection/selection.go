// Package selection answers the fields of a query that carry the product, long
// lists of rows with what belongs to them, straight from the database: it turns
// what an operation selects once into columns and steps of writing, reads
// these columns only, and writes JSON from the driver's values, without an
// object, a goroutine or a context for each row or value.
//
// It knows what can be answered this way from a table (Known) that it is made
// with, and holds that table against the schema. What is not in it (a field, an
// argument, a directive) it leaves to gqlgen's ordinary execution, and so most
// of what fails: an answer is the same either way, to the byte, and all errors
// are the ordinary ones. An answer that has passed a limit (package cost), a
// request that has ended, and a database that is away end the field here: the
// ordinary execution would begin all of it again.
//
// It owns neither what may be asked, which was judged before (package guard),
// nor the queries, which are the domain's, nor any noun of the contract.
package selection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"entgo.io/ent/dialect/sql"
	"github.com/99designs/gqlgen/graphql"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/cost"
	"tagma/internal/base/page"
	"tagma/internal/storage/database"
)

// Known is what can be answered.
type Known struct {
	Types []Type
	Roots map[string]Root // by "Type.field"
}

// Type is an object of the schema that is a row of a table.
type Type struct {
	Name   string
	Table  string
	Fields map[string]Field

	// Join, if set, joins the table that columns written "table.column" are
	// of. There must be one row of it for each row of this one.
	Join func(*sql.Selector)

	// Expressions are columns that the table does not have, as SQL.
	Expressions map[string]string
}

// Field is how a field of a Type comes from a row. A field with neither Write,
// Bind nor Edge is the value of its one column, as the schema's scalar is
// written; that of an ID is prefixed with the type.
type Field struct {
	Columns []string // that it reads

	// Bind, if set, makes what writes the field in one answer.
	Bind func(Request) (Writer, error)
	// Fields, if what Bind's writer writes is an object or a list of them, are
	// those of its fields that it knows: leaves without arguments.
	Fields []string
	// Arguments are those that Bind or the edge minds.
	Arguments []string

	// Edge, if set, leads to other rows.
	Edge *Edge
}

// Column is a field with the value of a column.
func Column(name string) Field { return Field{Columns: []string{name}} }

// Request is what an operation wants of a field with a Bind.
type Request struct {
	Context   context.Context
	Arguments map[string]any    // as they came, defaults included
	Fields    []Selected        // of the object that the field holds
	Count     func(objects int) // is told how many objects the writer writes of a list, for each row
}

// Is says whether the fields are those of the names, in that order and without
// aliases, so that what is kept of them can be copied.
func (r Request) Is(names ...string) bool {
	if len(r.Fields) != len(names) {
		return false
	}
	for n, field := range r.Fields {
		if field.Name != names[n] || field.renamed {
			return false
		}
	}
	return true
}

// Selected is a leaf of an object.
type Selected struct {
	Name    string // in the schema; empty for a __typename, of which the key is all
	key     string // what is written before its value
	renamed bool
}

// AppendKey appends what stands before the field's value: a comma, if need be,
// and its key.
func (s Selected) AppendKey(b []byte) []byte { return append(b, s.key...) }

// Writer appends a value that is made of a row. If it fails, all of the answer
// is left to the ordinary execution.
type Writer func(b []byte, row Row) ([]byte, error)

// Edge leads from rows to those of another type: from one to one, to many if
// the field is a list, or to a page of them if it is a connection.
type Edge struct {
	To   string // the name of the type
	Back string // its column that has the value of this field's one column
	// Select narrows a query to the rows whose column Back has one of the
	// values, int64s or strings, and puts them in their order. Joined says that
	// it joins the table that Back is of.
	Select func(keys []any, arguments map[string]any) (func(*sql.Selector), error)
	Joined bool
	// Join, if set, is for a root that is one row: it joins the rows to a query
	// of that one, as their table is called, and puts them in their order. If
	// there are none, the one stays.
	Join func(arguments map[string]any) (func(*sql.Selector), error)
	// Pages, for a connection, is in the place of Select.
	Pages func(keys []any, arguments map[string]any) (Pages, error)
}

// Pages is a page of rows for each of some values.
type Pages struct {
	// Select narrows a query to the first rows of each, one more than the
	// plan's length, and puts them in their order.
	Select func(*sql.Selector)
	Plan   page.Plan // forwards
	Order  []page.Column
	// Count is how many there are of each, on all its pages.
	Count func(context.Context) (map[string]int, error)
}

// Root is a field from which all begins: a row, a list of rows, or a page of
// them (its type is a Relay connection).
type Root struct {
	To string // the name of the rows' type
	// Query is the rows of what an operation asks for.
	Query func(Asked) (Query, error)
}

// Asked is what an operation asks for of a root.
type Asked struct {
	Context   context.Context
	Arguments map[string]any // as gqlgen has decoded them
	columns   []string
}

// For says whether a column of the rows is needed.
func (a Asked) For(column string) bool { return slices.Contains(a.columns, column) }

// Query is the rows of one answer.
type Query struct {
	// Select narrows a query of the type's table to the rows, and puts them in
	// their order. Joined says that it has joined what Type.Join would.
	Select func(*sql.Selector)
	Joined bool
	// Arguments, if set, are those of Select's SQL, which then is the same for
	// all queries of the root, and is put together once.
	Arguments []any
	None      bool // there are no rows, and nothing to ask the database for
	Most      int  // rows of a list, if it is not 0; more are left to the resolver, which refuses them

	// Made, if set, is the rows, and the database is not asked.
	Made *Made

	// Page, of a connection, is which one it is. Select leaves its length out.
	Page page.Keyset

	// Place, if set, is the place of a row in the answer, by the values of the
	// columns PlaceBy. Rows in the same place stay in their order.
	Place   func(Row) (int, error)
	PlaceBy []string
}

// Made is rows that are there already.
type Made struct {
	Count int
	// Value is that of a column, as a driver would give it.
	Value func(row int, column string) any
}

// keptPlans bounds the plans that are kept, of the last used operations.
const keptPlans = 400

// Selector answers fields. It is safe for concurrent use.
type Selector struct {
	db      *database.DB
	schema  *ast.Schema
	types   map[string]*Type
	roots   map[string]Root
	plans   *lru.Cache[planKey, *plan]
	buffers sync.Pool // of *[]byte
}

// New makes a Selector of what is known, all of which the schema must have.
func New(schema *ast.Schema, db *database.DB, known Known) (*Selector, error) {
	plans, err := lru.New[planKey, *plan](keptPlans)
	if err != nil {
		return nil, err
	}
	s := &Selector{
		db: db, schema: schema, plans: plans, roots: known.Roots,
		types:   map[string]*Type{},
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
	for n := range known.Types {
		s.types[known.Types[n].Name] = &known.Types[n]
	}
	return s, s.check()
}

// check holds what is known against the schema.
func (s *Selector) check() error {
	var faults []error
	for name, t := range s.types {
		definition := s.schema.Types[name]
		if definition == nil {
			faults = append(faults, fmt.Errorf("selection: the schema has no type %s", name))
			continue
		}
		for field, known := range t.Fields {
			faults = append(faults, s.checkField(name+"."+field, definition.Fields.ForName(field), known))
		}
	}
	for at, root := range s.roots {
		parent, field, _ := strings.Cut(at, ".")
		if definition := s.schema.Types[parent]; definition == nil || definition.Fields.ForName(field) == nil {
			faults = append(faults, fmt.Errorf("selection: the schema has no %s", at))
		} else if s.types[root.To] == nil {
			faults = append(faults, fmt.Errorf("selection: %s leads to %s, which is not known", at, root.To))
		}
	}
	return errors.Join(faults...)
}

func (s *Selector) checkField(at string, definition *ast.FieldDefinition, known Field) error {
	if definition == nil {
		return fmt.Errorf("selection: the schema has no %s", at)
	}
	for _, directive := range definition.Directives {
		if directive.Name != "deprecated" {
			return fmt.Errorf("selection: %s has @%s, which only its resolver minds", at, directive.Name)
		}
	}
	for _, argument := range definition.Arguments {
		if !slices.Contains(known.Arguments, argument.Name) {
			return fmt.Errorf("selection: %s has an argument %s, which nobody minds", at, argument.Name)
		}
	}
	for _, name := range known.Fields {
		of := s.schema.Types[definition.Type.Name()]
		if leaf := of.Fields.ForName(name); leaf == nil || len(leaf.Arguments) > 0 || len(leaf.Directives) > 0 || s.schema.Types[leaf.Type.Name()].IsCompositeType() {
			return fmt.Errorf("selection: %s has no leaf %s.%s that is without arguments and directives", at, of.Name, name)
		}
	}
	switch {
	case known.Edge != nil:
		to := known.Edge.To
		if known.Edge.Pages != nil {
			to += "Connection"
		}
		if s.types[known.Edge.To] == nil || definition.Type.Name() != to || len(known.Columns) != 1 {
			return fmt.Errorf("selection: %s does not lead to %s by one column", at, known.Edge.To)
		}
		if known.Edge.Join != nil && definition.Type.Elem == nil {
			return fmt.Errorf("selection: %s is joined, but no list", at)
		}
	case known.Bind == nil && (s.scalar(definition.Type) == nil || definition.Type.Elem != nil || len(known.Columns) != 1):
		return fmt.Errorf("selection: %s is not one column with a scalar that can be written", at)
	}
	return nil
}

// scalar is how a value of the type is written, or nil if that is not known.
func (s *Selector) scalar(of *ast.Type) scalar {
	if s.schema.Types[of.Name()].Kind == ast.Enum {
		return writeText
	}
	return scalars[of.Name()]
}

// Field answers a field if it can, and otherwise lets next do it. It is for
// gqlgen's AroundFields.
func (s *Selector) Field(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx)
	if field.Object != "Query" {
		return next(ctx)
	}
	root, ok := s.roots["Query."+field.Field.Name]
	if !ok {
		return next(ctx)
	}
	operation := graphql.GetOperationContext(ctx)
	p := s.plan(operation, field.Field, root)
	if p == nil {
		return next(ctx)
	}
	x := execution{Selector: s, ctx: cost.Streamed(ctx), variables: operation.Variables, meter: cost.From(ctx)}
	if x.twins(p.rows) {
		return next(ctx)
	}
	query, err := root.Query(Asked{Context: ctx, Arguments: field.Args, columns: p.rows.columns})
	if err == nil {
		var answer graphql.Marshaler
		if answer, err = x.run(p, query); err == nil {
			return answer, nil
		}
		x.release()
	}
	if x.meter.Err() != nil || ctx.Err() != nil || database.IsUnavailable(err) {
		return nil, err
	}
	return next(ctx) // which meets the same, or not
}
