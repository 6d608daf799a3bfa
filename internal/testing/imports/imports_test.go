package imports

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is the path of the main module.
const module = "tagma"

// allowed lists, for each folder, the folders whose packages the packages of
// that folder may import. A folder may always import from within itself.
//
// docs/architecture.md draws the same table.
var allowed = map[string][]string{
	"ent/schema":       {"internal/base"},
	"ent/migrations":   {},
	"ent/generated":    {"ent/schema", "internal/base"},
	"internal/base":    {},
	"internal/photo":   {"internal/base"},
	"internal/storage": {"ent/generated", "ent/migrations", "internal/base"},
	"internal/domain":  {"ent/generated", "internal/base", "internal/photo", "internal/storage"},
	"internal/gql":     {"ent/generated", "internal/base", "internal/storage"},
	"graph":            {"ent/generated", "internal/base", "internal/storage", "internal/domain", "internal/gql"},
	"internal/server":  {"ent/generated", "internal/base", "internal/photo", "internal/storage", "internal/domain", "internal/gql"},
	"internal/cli":     {"internal/base", "internal/photo", "internal/storage", "internal/domain", "internal/server"},
	"internal/testing": {"internal/base", "internal/photo", "internal/storage"},
	"internal/bench":   {"ent/generated", "ent/migrations", "internal/base", "internal/photo", "internal/storage", "internal/domain", "internal/testing"},
	"web":              {},
	"":                 {"ent/generated", "graph", "internal/base", "internal/cli", "internal/domain", "internal/gql", "internal/photo", "internal/server", "internal/storage", "web"},
}

// allowedInTests lists the folders that any test may import besides.
var allowedInTests = []string{"ent/generated", "ent/migrations", "internal/base", "internal/photo", "internal/storage", "internal/testing", "internal/bench"}

// endToEnd lists the folders that the tests in internal/testing may import
// besides: they compare the running binary with the code that the binary is made
// of.
var endToEnd = []string{"internal/cli", "internal/domain"}

// A listing is what `go list -json` prints of one package.
type listing struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// packages returns all packages of the module.
func packages(t *testing.T) []listing {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...")
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: got %v, want a list of packages", err)
	}
	var all []listing
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one listing
		err := decoder.Decode(&one)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("what go list printed: got %v, want JSON", err)
		}
		all = append(all, one)
	}
}

// folderOf returns the folder whose row holds for a package of the module: two
// path elements below ent and internal, else one. The root package has "".
func folderOf(importPath string) string {
	elements := strings.Split(strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/"), "/")
	if len(elements) > 1 && (elements[0] == "internal" || elements[0] == "ent") {
		return elements[0] + "/" + elements[1]
	}
	return elements[0]
}

// violations returns the imports of a package that its folder's row does not
// allow.
func violations(p listing, rules map[string][]string) []string {
	folder := folderOf(p.ImportPath)
	row, ok := rules[folder]
	if !ok {
		return []string{fmt.Sprintf("%s: the folder %q has no row in the table of imports: add one", p.ImportPath, folder)}
	}
	var found []string
	check := func(imports, permitted []string, in string) {
		for _, path := range imports {
			if path != module && !strings.HasPrefix(path, module+"/") {
				continue
			}
			if to := folderOf(path); to != folder && !slices.Contains(permitted, to) {
				found = append(found, fmt.Sprintf("%s%s imports %s: got an import from %q to %q, want one of %q", p.ImportPath, in, path, folder, to, permitted))
			}
		}
	}
	check(p.Imports, row, "")
	inTests := slices.Concat(row, allowedInTests)
	if folder == "internal/testing" {
		inTests = append(inTests, endToEnd...)
	}
	check(slices.Concat(p.TestImports, p.XTestImports), inTests, " (tests)")
	return found
}

func TestImports_EachFolderImportsOnlyFromTheFoldersOfItsRow(t *testing.T) {
	all := packages(t)
	if len(all) < 50 {
		t.Fatalf("packages of the module: got %d, want all of them", len(all))
	}
	for _, p := range all {
		for _, problem := range violations(p, allowed) {
			t.Error(problem)
		}
	}
}

func TestImports_TheTableHasNoCircle(t *testing.T) {
	var visit func(folder string, path []string)
	visit = func(folder string, path []string) {
		if slices.Contains(path, folder) {
			t.Fatalf("the table of imports: got the circle %q, want none", append(path, folder))
		}
		for _, next := range allowed[folder] {
			visit(next, append(slices.Clone(path), folder))
		}
	}
	for folder := range allowed {
		visit(folder, nil)
	}
}

func TestImports_AFolderWithoutARowAndAnImportUpwardsAreFound(t *testing.T) {
	rules := map[string][]string{"internal/low": {}, "internal/high": {"internal/low"}}
	for _, c := range []struct {
		p    listing
		want int
	}{
		{listing{ImportPath: "tagma/internal/high/a", Imports: []string{"tagma/internal/low/b", "fmt", "tagma/internal/high/c"}}, 0},
		{listing{ImportPath: "tagma/internal/low/b", Imports: []string{"tagma/internal/high/a"}}, 1},
		{listing{ImportPath: "tagma/internal/low/b", TestImports: []string{"tagma/internal/testing/testenv", "tagma/internal/high/a"}}, 1},
		{listing{ImportPath: "tagma/internal/new/x"}, 1},
		{listing{ImportPath: "tagma/internal/low/b", Imports: []string{"tagma"}}, 1},
	} {
		if got := violations(c.p, rules); len(got) != c.want {
			t.Errorf("violations of %+v: got %q, want %d", c.p, got, c.want)
		}
	}
}
