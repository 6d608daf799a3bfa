package web_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"tagma/web"
)

// The steps and what they expect are in playground/test/browser.mjs; so is the
// API that answers them, because this package has none. Needs Node.js and
// `npm ci` in web/playground, which brings Chromium too.
func TestPlayground_APersonCanWorkWithItInABrowserWithoutTheInternet(t *testing.T) {
	if _, err := os.Stat("playground/node_modules"); err != nil {
		t.Fatal("playground/node_modules is not there: run `npm ci` in web/playground")
	}
	server := httptest.NewServer(web.Playground())
	defer server.Close()

	script := exec.CommandContext(t.Context(), "node", "test/browser.mjs")
	script.Dir = "playground"
	script.Env = append(os.Environ(),
		"PLAYGROUND_URL="+server.URL,
		"PLAYGROUND_STUB=1",
		"TMPDIR="+t.TempDir(), // Chromium is unpacked there
	)
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Logf("%s", output)
}

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
