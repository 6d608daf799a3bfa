package variables

import (
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/fault"
)

// maxProblems bounds the problems of an error. A body may have a problem in each byte.
const maxProblems = 50

// problem adds a problem of the present value.
func (c *coercion) problem(format string, args ...any) {
	if len(c.problems.List()) == maxProblems {
		c.problems.Omit()
		return
	}
	var path []any
	for _, name := range argumentPath(c.operation, c.variable) {
		path = append(path, name)
	}
	for _, s := range c.path {
		if s.field != "" {
			path = append(path, s.field)
		} else {
			path = append(path, s.index)
		}
	}
	c.problems.Add(fault.BadInput, path, format, args...)
}

// argumentPath returns the path to the first place of a variable in an operation:
// the name of an argument, and the fields and indices within the literal of the
// argument. The path of a variable without a place is the name of the variable.
func argumentPath(operation *ast.OperationDefinition, variable string) []string {
	s := search{variable: variable, fragments: map[string]bool{}}
	s.directives(operation.Directives)
	s.selections(operation.SelectionSet)
	if s.path == nil {
		return []string{variable}
	}
	return s.path
}

// search looks for the first place of a variable. Places in fields come before
// places in directives.
type search struct {
	variable  string
	fragments map[string]bool // fragments that the search has entered
	path      []string        // the place, or nil
	final     bool            // the place is in a field
}

func (s *search) selections(set ast.SelectionSet) {
	for _, selection := range set {
		if s.final {
			return
		}
		switch selection := selection.(type) {
		case *ast.Field:
			s.arguments(selection.Arguments, true)
			s.directives(selection.Directives)
			s.selections(selection.SelectionSet)
		case *ast.InlineFragment:
			s.directives(selection.Directives)
			s.selections(selection.SelectionSet)
		case *ast.FragmentSpread:
			s.directives(selection.Directives)
			if !s.fragments[selection.Name] {
				s.fragments[selection.Name] = true
				s.selections(selection.Definition.SelectionSet)
			}
		}
	}
}

func (s *search) directives(list ast.DirectiveList) {
	for _, directive := range list {
		s.arguments(directive.Arguments, false)
	}
}

func (s *search) arguments(list ast.ArgumentList, inField bool) {
	for _, argument := range list {
		if s.final || s.path != nil && !inField {
			return
		}
		if path := s.within(argument.Value, []string{argument.Name}); path != nil {
			s.path, s.final = path, inField
		}
	}
}

// within returns the path to the variable in a literal at a path, or nil.
func (s *search) within(value *ast.Value, path []string) []string {
	if value.Kind == ast.Variable {
		if value.Raw == s.variable {
			return path
		}
		return nil
	}
	for n, child := range value.Children {
		name := child.Name
		if value.Kind == ast.ListValue {
			name = strconv.Itoa(n)
		}
		if found := s.within(child.Value, append(path[:len(path):len(path)], name)); found != nil {
			return found
		}
	}
	return nil
}
