package messages

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the top folder of the module.
const root = "../../.."

// minFiles is a lower bound of the number of test files in the module. A walk
// that returns fewer files has the wrong folder.
const minFiles = 150

// skipDirs lists the names of folders without tests of the module.
var skipDirs = []string{".git", ".tools", "generated", "node_modules", "testdata"}

var (
	verb   = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[\pL%]`)
	letter = regexp.MustCompile(`\pL`)
)

// testFiles returns the paths of the module's test files, relative to root.
func testFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipDirs, entry.Name()):
			return fs.SkipDir
		case !entry.IsDir() && strings.HasSuffix(name, "_test.go"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("test files below %s: got %v, want a list", root, err)
	}
	return files
}

// violations returns the calls in a test file whose message has no word, as
// "file:line: format". Generated files have no violations.
func violations(name string, source []byte) ([]string, error) {
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if ast.IsGenerated(file) {
		return nil, nil
	}
	packages := importNames(file)
	var calls []string
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok || !isFailure(call, packages) {
			return true
		}
		if format, constant := constantString(call.Args[0]); constant && isBare(format) {
			calls = append(calls, fmt.Sprintf("%s:%d: %q", name, positions.Position(call.Pos()).Line, format))
		}
		return true
	})
	return calls, nil
}

// importNames returns the names by which a file refers to the packages that the
// file imports.
func importNames(file *ast.File) []string {
	names := make([]string, 0, len(file.Imports))
	for _, spec := range file.Imports {
		if spec.Name != nil {
			names = append(names, spec.Name.Name)
			continue
		}
		if importPath, err := strconv.Unquote(spec.Path.Value); err == nil {
			names = append(names, path.Base(importPath))
		}
	}
	return names
}

// isFailure reports whether a call is Errorf or Fatalf of a value, such as a
// *testing.T. The functions of packages, such as fmt.Errorf, make errors and
// fail no test.
func isFailure(call *ast.CallExpr, packages []string) bool {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || len(call.Args) == 0 || selector.Sel.Name != "Errorf" && selector.Sel.Name != "Fatalf" {
		return false
	}
	receiver, ok := selector.X.(*ast.Ident)
	return !ok || !slices.Contains(packages, receiver.Name)
}

// constantString returns the value of a string literal or of a sum of string
// literals, and reports whether the expression is one of the two.
func constantString(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.ParenExpr:
		return constantString(e.X)
	case *ast.BinaryExpr:
		left, okLeft := constantString(e.X)
		right, okRight := constantString(e.Y)
		return left + right, okLeft && okRight && e.Op == token.ADD
	}
	return "", false
}

// isBare reports whether a format has no letter outside of its verbs.
func isBare(format string) bool {
	return !letter.MatchString(verb.ReplaceAllString(format, ""))
}

func TestMessages_EachFailureOfATestSaysInWordsWhatWasCompared(t *testing.T) {
	files := testFiles(t)
	if len(files) < minFiles {
		t.Fatalf("test files of the module: got %d, want at least %d", len(files), minFiles)
	}
	for _, name := range files {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		calls, err := violations(name, source)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range calls {
			t.Errorf("%s: got verbs alone, want what: got X, want Y", call)
		}
	}
}

func TestMessages_AFormatOfVerbsAloneIsFoundAndWordsAreNot(t *testing.T) {
	const header = "package p\n\nimport (\n\t\"fmt\"\n\tother \"example.org/x\"\n)\n\nfunc f() {\n\t"
	for call, want := range map[string][]string{
		`t.Errorf("%v", err)`:                     {`a_test.go:9: "%v"`},
		`t.Fatalf("%-5.2f%%, %q\n", a, b)`:        {`a_test.go:9: "%-5.2f%%, %q\n"`},
		`s.t.Errorf("%d: " + "%[1]s", a, b)`:      {`a_test.go:9: "%d: %[1]s"`},
		"tb().Fatalf(`%+v`, a)":                   {`a_test.go:9: "%+v"`},
		"t.Run(s, func() {\n\tb.Fatalf(\"%s\")})": {`a_test.go:10: "%s"`},
		`t.Errorf("rows: got %d, want 3", n)`:     nil,
		`t.Errorf(format, a)`:                     nil,
		`t.Errorf(format + ": %v", a)`:            nil,
		`t.Error(err); t.Logf("%v", a)`:           nil,
		`_ = fmt.Errorf("%v", a)`:                 nil,
		`other.Fatalf("%v", a)`:                   nil,
	} {
		got, err := violations("a_test.go", []byte(header+call+"\n}\n"))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("violations of %s: got %q, %v, want %q", call, got, err, want)
		}
	}
	generatedSource := "// Code generated by x. DO NOT EDIT.\n\n" + header + "t.Errorf(\"%v\", a)\n}\n"
	if got, err := violations("a_test.go", []byte(generatedSource)); err != nil || len(got) > 0 {
		t.Errorf("violations of a generated file: got %q, %v, want none", got, err)
	}
}
