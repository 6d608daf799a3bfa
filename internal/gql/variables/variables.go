// Package variables owns the coercion of the variables of an operation: the
// conversion of decoded JSON into values of the types of a schema, by the rules of
// GraphQL (https://spec.graphql.org/draft/#sec-Coercing-Variable-Values). A Coercer
// reports all problems of a request at once.
//
// Package variables replaces the coercion of gqlparser. That coercion returns at the
// first problem, ignores the case of enum values, and names Go types in messages.
//
// Package variables does not own the forms of scalars (packages scalar and instant
// and the like), nor the decoding of JSON (package transport).
package variables

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/fault"
)

// Scalar converts a value into a value of a scalar type. The value is decoded JSON, or
// a literal of the document, and not nil. The error is a *fault.Error. Its message does
// not repeat the value, because the value may be a password.
type Scalar func(value any) (any, error)

// Coerced is a value that has the type of its variable already. Coerce returns Value
// unchanged.
type Coerced struct{ Value any }

// Coercer coerces variables to the types of one schema. A Coercer never changes, and
// is safe for concurrent use.
type Coercer struct {
	schema  *ast.Schema
	scalars map[string]Scalar
	public  func(name string) bool
}

// New returns a Coercer. The keys of scalars are names of types. public reports
// whether an error may repeat the name of an unknown field. New returns an error if
// scalars lacks a scalar of the schema.
func New(schema *ast.Schema, scalars map[string]Scalar, public func(name string) bool) (*Coercer, error) {
	for _, name := range slices.Sorted(maps.Keys(schema.Types)) {
		if schema.Types[name].Kind == ast.Scalar && scalars[name] == nil {
			return nil, fmt.Errorf("the scalar %s has no coercion", name)
		}
	}
	return &Coercer{schema, scalars, public}, nil
}

// Coerce returns the values of the variables of an operation. A variable without a
// value and without a default is absent. Coerce does not change values.
//
// The error is a *fault.Error with all problems. The path of a problem begins with
// the argument of the variable.
func (c *Coercer) Coerce(operation *ast.OperationDefinition, values map[string]any) (map[string]any, error) {
	run := coercion{Coercer: c, operation: operation}
	coerced := make(map[string]any, len(operation.VariableDefinitions))
	for _, definition := range operation.VariableDefinitions {
		run.variable = definition.Variable
		value, ok := values[definition.Variable]
		if !ok && definition.DefaultValue != nil {
			// Validation has refused a default value with variables.
			value, _ = definition.DefaultValue.Value(nil)
			ok = true
		}
		if !ok {
			if definition.Type.NonNull {
				run.problem("the variable $%s is missing: give a value of type %s", definition.Variable, definition.Type)
			}
			continue
		}
		coerced[definition.Variable] = run.value(definition.Type, value)
	}
	if err := run.problems.Err(); err != nil {
		return nil, err
	}
	return coerced, nil
}

// Scalar returns the error of a value for a scalar type, or nil.
func (c *Coercer) Scalar(typ string, value any) error {
	_, err := c.scalars[typ](value)
	return err
}

// Kind returns what JSON calls the type of a value, with an article.
func Kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number, float64, int64, int:
		return "a number"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	case graphql.Upload:
		return "a file"
	}
	return "of another type"
}

// coercion is one call of Coerce.
type coercion struct {
	*Coercer
	operation *ast.OperationDefinition
	variable  string // the present variable
	path      []step // from the present variable to the present value
	problems  fault.Problems
}

// step is the name of a field, or else the index of an item.
type step struct {
	field string
	index int
}

// value returns a value of a type. If the value has a problem, the result is not
// used.
func (c *coercion) value(typ *ast.Type, value any) any {
	if ready, ok := value.(Coerced); ok {
		return ready.Value
	}
	if value == nil {
		if typ.NonNull {
			c.problem("is null: give a value of type %s", typ)
		}
		return nil
	}
	if typ.Elem != nil {
		return c.list(typ, value)
	}
	definition := c.schema.Types[typ.NamedType]
	switch definition.Kind {
	case ast.Enum:
		return c.enum(definition, value)
	case ast.InputObject:
		return c.object(definition, value)
	}
	scalar, err := c.scalars[typ.NamedType](value)
	if err != nil {
		c.problem("%s", err)
	}
	return scalar
}

// list returns a list. Any other value than a list stands for a list with this value.
func (c *coercion) list(typ *ast.Type, value any) []any {
	items, ok := value.([]any)
	if !ok {
		return []any{c.value(typ.Elem, value)}
	}
	var list []any
	if c.isValid() {
		list = make([]any, len(items))
	}
	for n, item := range items {
		c.path = append(c.path, step{index: n})
		value := c.value(typ.Elem, item)
		c.path = c.path[:len(c.path)-1]
		if list != nil {
			list[n] = value
		}
	}
	return list
}

// isValid reports whether no problem is known. After a problem nobody uses the coerced
// values, so that large values need not take memory twice.
func (c *coercion) isValid() bool { return len(c.problems.List()) == 0 }

// enum returns a value of an enum. Upper and lower case differ.
func (c *coercion) enum(definition *ast.Definition, value any) any {
	name, ok := value.(string)
	if ok && definition.EnumValues.ForName(name) != nil {
		return name
	}
	var names []string
	for _, v := range definition.EnumValues {
		names = append(names, v.Name)
	}
	if ok {
		c.problem("the string is no value of %s: write %s exactly as here", definition.Name, oneOf(names))
	} else {
		c.problem("the value is %s: %s takes a string, %s", Kind(value), definition.Name, oneOf(names))
	}
	return nil
}

// typenameField is a field of every object. Clients send back objects with the field
// from an answer.
const typenameField = "__typename"

// object returns an input object with the fields of the request.
func (c *coercion) object(definition *ast.Definition, value any) any {
	given, ok := value.(map[string]any)
	if !ok {
		c.problem("the value is %s: give an object of type %s", Kind(value), definition.Name)
		return nil
	}
	var fields map[string]any
	if c.isValid() {
		fields = make(map[string]any, len(given))
	}
	unknown := len(given)
	for _, field := range definition.Fields {
		c.path = append(c.path, step{field: field.Name})
		if value, ok := given[field.Name]; ok {
			unknown--
			if coerced := c.value(field.Type, value); fields != nil {
				fields[field.Name] = coerced
			}
		} else if field.Type.NonNull && field.DefaultValue == nil {
			c.problem("is missing: give a value of type %s", field.Type)
		}
		c.path = c.path[:len(c.path)-1]
	}
	if _, ok := given[typenameField]; ok {
		unknown--
	}
	if unknown > 0 {
		c.unknownFields(definition, given)
	}
	return fields
}

// unknownFields adds the problems of the unknown fields of an input object. The path of
// a problem ends before a name that is not public.
func (c *coercion) unknownFields(definition *ast.Definition, given map[string]any) {
	var names []string
	for _, field := range definition.Fields {
		names = append(names, field.Name)
	}
	secret := 0
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case name == typenameField || definition.Fields.ForName(name) != nil:
		case c.public(name):
			c.path = append(c.path, step{field: name})
			c.problem("%s has no field of this name: leave the field out, or write %s", definition.Name, oneOf(names))
			c.path = c.path[:len(c.path)-1]
		default:
			secret++
		}
	}
	if secret == 1 {
		c.problem("has a field that %s does not have: leave the field out, or write %s", definition.Name, oneOf(names))
	} else if secret > 1 {
		c.problem("has %d fields that %s does not have: leave the fields out, or write %s", secret, definition.Name, oneOf(names))
	}
}

// oneOf returns a list of names: "A, B or C".
func oneOf(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
