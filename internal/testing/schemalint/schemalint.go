// Package schemalint owns the rules of style for schema.graphql: every element
// has a description (Undescribed), every mutation returns a payload
// (WithoutPayload), and only nodes have ids (IDsOutsideNodes). Only tests import
// the package.
//
// Package schemalint does not own the quality of descriptions, nor the validity
// of the schema.
package schemalint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Undescribed returns the elements of source, in SDL, without a description, in
// order: types of all kinds, fields, input fields, arguments, enum values,
// directives and their arguments. An entry holds the element and the line, such
// as "Query.images(first:), line 12". Undescribed returns an error for invalid
// SDL.
func Undescribed(source string) ([]string, error) {
	document, err := parse(source)
	if err != nil {
		return nil, err
	}
	var l list
	for _, schema := range document.Schema {
		l.check("schema", schema.Description, schema.Position)
	}
	for _, directive := range document.Directives {
		name := "@" + directive.Name
		l.check(name, directive.Description, directive.Position)
		l.arguments(name, directive.Arguments)
	}
	for _, definition := range document.Definitions {
		l.check(definition.Name, definition.Description, definition.Position)
		l.members(definition)
	}
	for _, extension := range document.Extensions { // cannot have a description
		l.members(extension)
	}
	return l, nil
}

type list []string

func (l *list) check(name, description string, position *ast.Position) {
	if strings.TrimSpace(description) == "" {
		*l = append(*l, fmt.Sprintf("%s, line %d", name, position.Line))
	}
}

func (l *list) members(definition *ast.Definition) {
	for _, value := range definition.EnumValues {
		l.check(definition.Name+"."+value.Name, value.Description, value.Position)
	}
	for _, field := range definition.Fields {
		name := definition.Name + "." + field.Name
		l.check(name, field.Description, field.Position)
		l.arguments(name, field.Arguments)
	}
}

func (l *list) arguments(parent string, arguments ast.ArgumentDefinitionList) {
	for _, argument := range arguments {
		l.check(parent+"("+argument.Name+":)", argument.Description, argument.Position)
	}
}

// WithoutPayload returns the fields of Mutation in source, in SDL, without a
// payload of their own as type. The field createUsers must have the type
// CreateUsersPayload!, an object type. An entry holds the field, the type and the
// line. A payload may get more fields without a break of clients, and a client can
// ask for each effect of a mutation. WithoutPayload returns an error for invalid
// SDL.
func WithoutPayload(source string) ([]string, error) {
	document, err := parse(source)
	if err != nil {
		return nil, err
	}
	var faults []string
	for _, definition := range definitions(document) {
		if definition.Name != "Mutation" {
			continue
		}
		for _, field := range definition.Fields {
			want := strings.ToUpper(field.Name[:1]) + field.Name[1:] + "Payload"
			payload := document.Definitions.ForName(want)
			if field.Type.String() != want+"!" || payload == nil || payload.Kind != ast.Object {
				faults = append(faults, fmt.Sprintf("Mutation.%s: %s, line %d", field.Name, field.Type, field.Position.Line))
			}
		}
	}
	return faults, nil
}

// IDsOutsideNodes returns the fields called id in source, in SDL, of types that do
// not implement Node. An entry holds the field and the line. Caches of clients
// merge all objects with the same type and id, so an id must be unique in the
// server. IDsOutsideNodes returns an error for invalid SDL.
func IDsOutsideNodes(source string) ([]string, error) {
	document, err := parse(source)
	if err != nil {
		return nil, err
	}
	nodes := map[string]bool{"Node": true}
	for _, definition := range definitions(document) {
		if slices.Contains(definition.Interfaces, "Node") {
			nodes[definition.Name] = true
		}
	}
	var faults []string
	for _, definition := range definitions(document) {
		if field := definition.Fields.ForName("id"); field != nil && !nodes[definition.Name] {
			faults = append(faults, fmt.Sprintf("%s.id, line %d", definition.Name, field.Position.Line))
		}
	}
	return faults, nil
}

// definitions returns the types of a document, and the extensions of types.
func definitions(document *ast.SchemaDocument) []*ast.Definition {
	return slices.Concat(document.Definitions, document.Extensions)
}

func parse(source string) (*ast.SchemaDocument, error) {
	document, err := parser.ParseSchema(&ast.Source{Name: "schema", Input: source})
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	return document, nil
}
