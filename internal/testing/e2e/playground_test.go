package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

const playground = top + "/web/playground"

// The steps and what they expect are in web/playground/test/browser.mjs. Needs
// Node.js and `npm ci` in web/playground, which brings Chromium too.
func TestPlayground_APersonCanWorkWithItInABrowserWithoutTheInternet(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(playground + "/node_modules"); err != nil {
		t.Fatal("web/playground/node_modules is not there: run `npm ci` in web/playground")
	}
	photo, err := filepath.Abs(top + "/docs/examples/0a5bb6f4.2020-06-30_20-41-05.jpg")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, "")
	script := exec.CommandContext(t.Context(), "node", "test/browser.mjs")
	script.Dir = playground
	script.Env = append(os.Environ(),
		"PLAYGROUND_URL="+s.URL,
		"PLAYGROUND_USER=admin",
		"PLAYGROUND_PASSWORD="+s.Password,
		"PLAYGROUND_PHOTO="+photo,
		"TMPDIR="+t.TempDir(), // Chromium is unpacked there
	)
	output, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("node test/browser.mjs: got %v, want exit status 0\n%s", err, output)
	}
	t.Logf("%s", output)
}

// answers has for each of the playground's examples something that its answer
// holds on a server with the demo's data.
var answers = map[string]string{
	"WhoAmI":           `"username":"admin"`,
	"WhatIsNew":        `"verdict":"SAME"`,
	"Devices":          `"lastTakenAt":"2020-07-01T04:11:05Z"`,
	"Series":           `"name":"moth"`,
	"Activity":         `"start":"2020-06-20T23:00:00Z"`,
	"WhatWouldGo":      `"images":1,`,
	"Annotate":         `"objectCount":1`,
	"LabelSets":        `"name":"paws"`,
	"SubmitLabels":     `"outcome":"ACCEPTED"`,
	"Video":            `"labelledFrames":1,"coverage":0.0006666666666666666`,
	"LabelSubmissions": `"frameIndex":7`,
	"PlanABundle":      `"wanted":[{"key":"config/config.yaml","method":"PUT","url":"`,
	"Bundles":          `{"bundles":{"nodes":[`,
	"People":           `"username":"admin"`,
	"NewPerson":        `"username":"maria"`,
	"NewToken":         `"device":"0a5bb6f4"`,
}

// examples runs each of the playground's examples. Its answer must hold what
// other says, or else what answers says.
func examples(t *testing.T, admin *client, other map[string]string) {
	t.Helper()
	text, err := os.ReadFile(playground + "/src/examples.graphql")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parser.ParseQuery(&ast.Source{Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	variables, err := os.ReadFile(playground + "/src/examples.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, example := range all.Operations {
		if example.Operation == ast.Subscription {
			continue // browser.mjs runs one of them
		}
		body, err := json.Marshal(map[string]any{
			"query": string(text), "operationName": example.Name, "variables": json.RawMessage(variables),
		})
		if err != nil {
			t.Fatal(err)
		}
		asked++
		got := admin.send(bytes.NewReader(body), "application/json")
		want, ok := answers[example.Name]
		if instead := other[example.Name]; instead != "" {
			want = instead
		}
		if bytes.Contains(got.Data, []byte(`"problems":[{`)) {
			t.Errorf("%s: there is a problem: %s", example.Name, got.Body)
		}
		if !ok || len(got.Errors) > 0 || !bytes.Contains(got.Data, []byte(want)) {
			t.Errorf("%s: the answer lacks %q: %s", example.Name, want, got.Body)
		}
	}
	if asked != len(answers) {
		t.Errorf("%d examples were asked, not %d", asked, len(answers))
	}
}
