// Package schemalint owns one rule about schema.graphql: every element that a
// caller can name has a description. Only tests import it.
//
// Package schemalint does not own the quality of descriptions, nor the validity
// of the schema.
package schemalint

import (
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// Undescribed returns the elements of source, in SDL, without a description, in
// order: types of all kinds, fields, input fields, arguments, enum values,
// directives and their arguments. An entry holds the element and its line, such
// as "Query.images(first:), line 12". Undescribed returns an error for invalid
// SDL.
func Undescribed(source string) ([]string, error) {
	document, err := parser.ParseSchema(&ast.Source{Name: "schema", Input: source})
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
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
