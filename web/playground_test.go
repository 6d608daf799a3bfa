package web_test

import (
	"encoding/json"
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
	var variables map[string]any // of all examples together
	if err := json.Unmarshal([]byte(source(t, "playground/src/examples.json").Input), &variables); err != nil {
		t.Fatal(err)
	}
	for _, operation := range examples.Operations {
		if operation.Name == "" {
			t.Errorf("line %d: an example has a name", operation.Position.Line)
		}
		if _, err := validator.VariableValues(schema, operation, variables); err != nil {
			t.Errorf("line %d: %v", operation.Position.Line, err)
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
