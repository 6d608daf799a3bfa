package selection

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect/sql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/page"
)

// Registry lists the types and root fields of the engine. All
// other fields go to their resolvers.
type Registry struct {
	Types []Type
	Roots map[string]Root // by "Type.field"
}

// Type is an object type of the schema. Each object is a row of a table.
type Type struct {
	Name   string
	Table  string
	Fields map[string]Field

	// Join, if set, joins the table of columns that are written
	// "table.column". Each row has exactly one row in the joined table.
	Join func(*sql.Selector)

	// Expressions maps columns to SQL. The table does not have these columns.
	Expressions map[string]string
}

// Field says how a field of a Type is made from a row. A field with neither Bind
// nor Edge holds the value of its one column, encoded as the schema's scalar. The
// value of an ID is prefixed with the name of the type.
type Field struct {
	Columns []string

	// Bind, if set, returns the function that encodes the field in one answer.
	Bind func(BindRequest) (FieldEncoder, error)
	// Fields are the fields that Bind supports, if the field is an object or a
	// list of objects. None has arguments or directives.
	Fields []string
	// Objects maps each of Fields that is an object to its leaves.
	Objects map[string][]string
	// Arguments are the arguments that Bind or Edge use.
	Arguments []string

	// Edge, if set, reads the rows of another type.
	Edge *Edge
}

// Column returns a field with the value of a column.
func Column(name string) Field { return Field{Columns: []string{name}} }

// BindRequest says how an operation uses a field with a Bind.
type BindRequest struct {
	Context   context.Context
	Arguments map[string]any  // not decoded by gqlgen; defaults are set
	Fields    []SelectedField // the selected fields of the object
	// CountObjects is called once per row with the number of appended objects, if
	// the field is a list of objects.
	CountObjects func(objects int)
}

// SelectsExactly reports whether the selected fields are the given fields, in
// the same order and without aliases. If so, stored JSON can be copied.
func (r BindRequest) SelectsExactly(names ...string) bool { return areFields(r.Fields, names) }

func areFields(fields []SelectedField, names []string) bool {
	return slices.EqualFunc(fields, names, func(field SelectedField, name string) bool { return field.Name == name && !field.hasAlias })
}

// SelectedField is a selected field of the object of a Bind.
type SelectedField struct {
	Name     string // in the schema; empty for __typename, whose value is part of the key
	key      string // the JSON before the value
	hasAlias bool

	Fields []SelectedField // of an object
}

// SelectsExactly reports whether the selected fields of an object are the given
// fields, as BindRequest.SelectsExactly does.
func (f SelectedField) SelectsExactly(names ...string) bool { return areFields(f.Fields, names) }

// AppendKey appends the JSON before the value of the field: the comma, if any,
// and the key.
func (f SelectedField) AppendKey(b []byte) []byte { return append(b, f.key...) }

// FieldEncoder appends the JSON of a field of a row. After an error the resolvers
// answer the whole root field.
type FieldEncoder func(b []byte, row Row) ([]byte, error)

// Edge reads child rows of another type for many parent rows in one statement: one
// child per parent, a list of children, or a page of children if the field is a
// connection.
type Edge struct {
	Type     string // name of the children's type
	ChildKey string // column of the children that equals the parent's one column

	// Narrow returns a function that restricts a query of the children to the
	// given values of ChildKey, and orders the query. The keys are int64s or
	// strings.
	Narrow func(keys []any, arguments map[string]any) (func(*sql.Selector), error)
	// NarrowJoins reports whether Narrow joins the table of ChildKey.
	NarrowJoins bool

	// Join, if set, returns a function that joins the children to a query of one
	// parent row, and orders the query. A parent without children stays in the
	// result. The children's table keeps the name.
	Join func(arguments map[string]any) (func(*sql.Selector), error)

	// Pages replaces Narrow if the field is a connection.
	Pages func(keys []any, arguments map[string]any) (Pages, error)
}

// Pages describes one page of children for each of many parents.
type Pages struct {
	// Narrow restricts a query to the first children of each parent, one more
	// than the length of the plan, and orders the query.
	Narrow func(*sql.Selector)
	Plan   page.Plan // not backwards
	Order  []page.Column
	// CountByKey returns the number of children on all pages of each parent.
	CountByKey func(context.Context) (map[string]int, error)
}

// Root is a field of the query type that holds a row, a list of rows or a
// connection.
type Root struct {
	Type string // name of the rows' type
	// Query describes the rows of one answer.
	Query func(RootArgs) (RootQuery, error)
}

// RootArgs holds the arguments of a root field.
type RootArgs struct {
	Context   context.Context
	Arguments map[string]any // decoded by gqlgen
	columns   []string
}

// Needs reports whether the answer needs a column of the rows.
func (a RootArgs) Needs(column string) bool { return slices.Contains(a.columns, column) }

// RootQuery describes the rows of one answer.
type RootQuery struct {
	// Narrow restricts a query of the type's table to the rows, and orders the
	// query.
	Narrow func(*sql.Selector)
	// NarrowJoins reports whether Narrow joins the same table as Type.Join.
	NarrowJoins bool
	// Arguments, if set, are the arguments of Narrow's SQL. The SQL must then be
	// the same for all queries of the root: the SQL is built once per plan.
	Arguments []any

	Empty   bool // there are no rows, and no statement is sent
	MaxRows int  // if not 0, more rows are an error: the resolver reports the error

	// Static, if set, holds the rows. No statement is sent.
	Static *StaticRows

	// Page is the requested page of a connection. Narrow sets no LIMIT.
	Page page.Keyset

	// Position, if set, returns the position of a row in the answer, from the
	// PositionColumns. Rows with equal positions keep their order.
	Position        func(Row) (int, error)
	PositionColumns []string
}

// StaticRows are rows from outside the database.
type StaticRows struct {
	Count int
	// Value returns the value of a column, with the type that a database driver
	// returns.
	Value func(row int, column string) any
}

// check returns an error for each part of the registry that the schema
// contradicts.
func (e *Engine) check() error {
	var faults []error
	for name, typ := range e.types {
		definition := e.schema.Types[name]
		if definition == nil {
			faults = append(faults, fmt.Errorf("selection: the schema has no type %s", name))
			continue
		}
		for fieldName, field := range typ.Fields {
			faults = append(faults, e.checkField(name+"."+fieldName, definition.Fields.ForName(fieldName), field))
		}
	}
	for path, root := range e.roots {
		parent, field, _ := strings.Cut(path, ".")
		if definition := e.schema.Types[parent]; definition == nil || definition.Fields.ForName(field) == nil {
			faults = append(faults, fmt.Errorf("selection: the schema has no %s", path))
		} else if e.types[root.Type] == nil {
			faults = append(faults, fmt.Errorf("selection: the rows of %s are of type %s, which is not registered", path, root.Type))
		}
	}
	return errors.Join(faults...)
}

func (e *Engine) checkField(path string, definition *ast.FieldDefinition, field Field) error {
	if definition == nil {
		return fmt.Errorf("selection: the schema has no %s", path)
	}
	for _, directive := range definition.Directives {
		if directive.Name != "deprecated" {
			return fmt.Errorf("selection: %s has @%s, which only its resolver obeys", path, directive.Name)
		}
	}
	for _, argument := range definition.Arguments {
		if !slices.Contains(field.Arguments, argument.Name) {
			return fmt.Errorf("selection: %s has an argument %s, which the registry does not use", path, argument.Name)
		}
	}
	if err := e.checkObject(path, e.schema.Types[definition.Type.Name()], field); err != nil {
		return err
	}
	switch {
	case field.Edge != nil:
		typ := field.Edge.Type
		if field.Edge.Pages != nil {
			typ += "Connection"
		}
		if e.types[field.Edge.Type] == nil || definition.Type.Name() != typ || len(field.Columns) != 1 {
			return fmt.Errorf("selection: %s is not an edge to %s by one column", path, field.Edge.Type)
		}
		if field.Edge.Join != nil && definition.Type.Elem == nil {
			return fmt.Errorf("selection: %s has a Join and is not a list", path)
		}
	case field.Bind == nil && (e.valueEncoder(definition.Type) == nil || definition.Type.Elem != nil || len(field.Columns) != 1):
		return fmt.Errorf("selection: %s is not one column of a scalar with an encoder", path)
	}
	return nil
}

// checkObject checks the fields of the object of a Bind.
func (e *Engine) checkObject(path string, typ *ast.Definition, field Field) error {
	for _, name := range field.Fields {
		definition := plainField(typ, name)
		if definition == nil {
			return fmt.Errorf("selection: %s has no field %s.%s without arguments and directives", path, typ.Name, name)
		}
		object := e.schema.Types[definition.Type.Name()]
		if object.IsCompositeType() != (field.Objects[name] != nil) {
			return fmt.Errorf("selection: %s has no leaf %s.%s", path, typ.Name, name)
		}
		for _, leafName := range field.Objects[name] {
			if leaf := plainField(object, leafName); leaf == nil || e.schema.Types[leaf.Type.Name()].IsCompositeType() {
				return fmt.Errorf("selection: %s has no leaf %s.%s without arguments and directives", path, object.Name, leafName)
			}
		}
	}
	return nil
}

// plainField returns a field without arguments and directives, or nil.
func plainField(typ *ast.Definition, name string) *ast.FieldDefinition {
	field := typ.Fields.ForName(name)
	if field == nil || len(field.Arguments) > 0 || len(field.Directives) > 0 {
		return nil
	}
	return field
}
