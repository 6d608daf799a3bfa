package web_test

import (
	"os"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
)

func TestExamples_EachIsNamedAndValidAgainstTheContract(t *testing.T) {
	schema, err := gqlparser.LoadSchema(source(t, "../schema.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	examples, err := parser.ParseQuery(source(t, "playground/src/examples.graphql"))
	if err != nil {
		t.Fatal(err)
	}
	if wrong := validator.ValidateWithRules(schema, examples, nil); wrong != nil {
		t.Fatal(wrong)
	}
	if len(examples.Operations) < 9 {
		t.Errorf("%d examples", len(examples.Operations))
	}
	for _, operation := range examples.Operations {
		if operation.Name == "" || len(operation.VariableDefinitions) > 0 {
			t.Errorf("line %d: an example has a name and needs no variables", operation.Position.Line)
		}
	}
}

func source(t *testing.T, name string) *ast.Source {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return &ast.Source{Name: name, Input: string(text)}
}
