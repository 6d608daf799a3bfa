package graph

import (
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tagma/internal/gql/variables"
)

// scalarRule is the name of the validation rule for literals of scalars. The messages
// of the rule are Tagma's own.
const scalarRule = "LiteralsOfScalars"

// newRules returns a function with the validation rules of GraphQL, and a rule for
// literals of the scalars that GraphQL does not define, such as DateTime. gqlgen
// would report the first wrong literal of a field, after the operation has begun.
func newRules(coercer *variables.Coercer) func() *rules.Rules {
	return func() *rules.Rules {
		all := rules.NewDefaultRules()
		all.AddRule(scalarRule, func(observers *core.Events, addError core.AddErrFunc) {
			observers.OnValue(func(_ *core.Walker, value *ast.Value) {
				if problem := scalarProblem(coercer, value); problem != "" {
					addError(core.Message("%s", problem), core.At(value.Position))
				}
			})
		})
		return all
	}
}

// builtIn lists the scalars whose literals GraphQL's own rules validate.
var builtIn = []string{"Int", "Float", "String", "Boolean"}

// scalarProblem returns the problem of a literal, or "".
func scalarProblem(coercer *variables.Coercer, value *ast.Value) string {
	definition, typ := value.Definition, value.ExpectedType
	if definition == nil || typ == nil || definition.Kind != ast.Scalar || slices.Contains(builtIn, definition.Name) {
		return ""
	}
	switch value.Kind {
	case ast.Variable, ast.NullValue:
		return ""
	case ast.ListValue:
		if typ.Elem != nil { // the rule sees each item too
			return ""
		}
	case ast.EnumValue:
		return "the value is a name: put a string in double quotes"
	case ast.FloatValue, ast.BooleanValue, ast.ObjectValue:
		if definition.Name == "ID" { // GraphQL's own rules refuse these literals
			return ""
		}
	}
	literal, err := value.Value(nil)
	if err == nil {
		err = coercer.Scalar(definition.Name, literal)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}
