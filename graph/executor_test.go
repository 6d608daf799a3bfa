package graph

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

// inputEnums returns the enums of arguments and of fields of inputs.
func inputEnums(schema *ast.Schema) map[string]*ast.Definition {
	enums := map[string]*ast.Definition{}
	add := func(typ *ast.Type) {
		if definition := schema.Types[typ.Name()]; definition.Kind == ast.Enum {
			enums[definition.Name] = definition
		}
	}
	for _, definition := range schema.Types {
		if strings.HasPrefix(definition.Name, "__") {
			continue
		}
		for _, field := range definition.Fields {
			if definition.Kind == ast.InputObject {
				add(field.Type)
			}
			for _, argument := range field.Arguments {
				add(argument.Type)
			}
		}
	}
	return enums
}

func TestCoercer_AnEnumValueIsTakenInItsOwnCaseOnly(t *testing.T) {
	schema := newSchema()
	coercer, err := newCoercer(schema, newVocabulary(schema))
	if err != nil {
		t.Fatal(err)
	}
	enums := inputEnums(schema)
	if len(enums) < 5 {
		t.Fatalf("the contract has %d enums of inputs, want at least 5", len(enums))
	}
	for name, enum := range enums {
		operation := &ast.OperationDefinition{VariableDefinitions: ast.VariableDefinitionList{
			{Variable: "v", Type: ast.NamedType(name, nil)}, {Variable: "list", Type: ast.ListType(ast.NamedType(name, nil), nil)},
		}}
		for _, v := range enum.EnumValues {
			if _, err := coercer.Coerce(operation, map[string]any{"v": v.Name, "list": []any{v.Name}}); err != nil {
				t.Errorf("%s.%s: got %v, want no error", name, v.Name, err)
			}
			lower := strings.ToLower(v.Name)
			for _, wrong := range []map[string]any{{"v": lower}, {"v": v.Name[:1] + lower[1:]}, {"list": []any{v.Name, lower}}, {"v": " " + v.Name}} {
				if _, err := coercer.Coerce(operation, wrong); err == nil || !strings.Contains(err.Error(), v.Name) {
					t.Errorf("%s of %v: got %v, want an error that names %s", name, wrong, err, v.Name)
				}
			}
		}
	}
}

func TestExecutor_AllProblemsOfTheTypesAreAnswered(t *testing.T) {
	w := newWays(t, sqlite(t))
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      []string // path and a part of the message
	}{
		{`query($s: [SeriesInput!]!, $o: ImageOrder, $n: Int) { imageSeries(series: $s, orderBy: $o, first: $n) { totalCount } }`,
			map[string]any{
				"s": []any{map[string]any{"device": 7, "start": "yesterday", "stop": 1}, oneSeries("%", 0, 1), []any{}}, "o": "time_device", "n": 1e12,
			},
			[]string{
				"series.0.device the value is a number: String", "series.0.start the value is not a time", "series.0.end is missing", "series.0 has a field that SeriesInput does not have",
				"series.2 the value is an array", "orderBy write DEVICE_TIME or TIME_DEVICE", "first too large",
			}},
		{`query($id: ID!, $ids: [ID!]!) { node(id: $id) { id } nodes(ids: $ids) { id } }`, map[string]any{"id": 5, "ids": []any{"Image:1", "Image", nil}},
			[]string{"id the value is a number: ID takes a string", "ids.1 not an id of this server", "ids.2 is null"}},
		{`query($e: Duration!) { activity(series: [], every: $e) { images } }`, map[string]any{"e": 60}, []string{"every the value is a number: Duration takes a string"}},
		{`query($at: DateTime) { image(device: "x", takenAt: "2020-06-20T21:33:24Z") { id } devices { nodes { images(start: $at) { nodes { id } } } } }`, map[string]any{"at": true}, []string{"start the value is a boolean: DateTime"}},
	} {
		_, errs, statements := answer(t.Context(), w.fast, operation{query: c.query, variables: c.variables})
		var problems struct {
			Extensions struct {
				Problems []struct {
					Path    []string
					Message string
				}
			}
		}
		if len(errs) != 1 || statements != 0 || json.Unmarshal([]byte(errs[0]), &problems) != nil {
			t.Errorf("%s: got %d errors and %d statements, %s, want 1 error and no statement", c.query, len(errs), statements, errs)
			continue
		}
		var got []string
		for _, p := range problems.Extensions.Problems {
			got = append(got, strings.Join(p.Path, ".")+" "+p.Message)
		}
		for n, want := range c.want {
			path, says, _ := strings.Cut(want, " ")
			if len(got) != len(c.want) || !strings.HasPrefix(got[n], path+" ") || !strings.Contains(got[n], says) {
				t.Errorf("%s: got the problems\n%s\nwant\n%s", c.query, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
				break
			}
		}
	}
}

func TestExecutor_AWholeNumberMayHaveAFraction(t *testing.T) {
	w := newWays(t, sqlite(t))
	w.fill(t)
	const query = `query($n: Int) { devices(first: $n) { nodes { name } } }`
	want, errs, _ := answer(t.Context(), w.fast, operation{query: query, variables: map[string]any{"n": 1}})
	if errs != nil {
		t.Fatal(errs)
	}
	for _, number := range []string{"1.0", "1.000", "1e0", "10e-1", "0.1e1"} {
		got, errs, _ := answer(t.Context(), w.fast, operation{query: query, variables: map[string]any{"n": json.RawMessage(number)}})
		if errs != nil || string(got) != string(want) {
			t.Errorf("first: %s: got %s %s, want %s", number, got, errs, want)
		}
	}
	list := fmt.Sprintf(`[{"image": {"device": %q, "takenAt": %q}, "md5": "x", "algorithm": {"name": "a", "version": "1"}, "objects": [
		{"name": "moth", "contour": [[0.0, 0], [1.0, 0], [1, 1e0]], "value": 1.0}, {"name": "moth", "contour": [[0, 0], [1, 0], [1, 1]], "value": 1.5}]}]`, traps[0], taken(1))
	for _, wide := range []bool{false, true} { // a short list, and a raw list
		_, errs, _ = answer(t.Context(), w.fast, operation{query: `mutation($list: [AnnotationInput!]!) { putAnnotations(input: $list) { results { problems { message } } } }`,
			variables: map[string]any{"list": json.RawMessage(list)}, role: "WRITER", wide: wide})
		if all := strings.Join(errs, " "); !strings.Contains(all, "input.0.objects.1.value: the value is a number with a fraction") || strings.Contains(all, "objects.0") {
			t.Errorf("wide %t: got %s, want the one problem at input.0.objects.1.value", wide, all)
		}
	}
}

func TestExecutor_AllWrongLiteralsAreAnswered(t *testing.T) {
	w := newWays(t, sqlite(t))
	for query, want := range map[string]int{
		`{ images(keys: [{device: "x", takenAt: "1"}, {device: "x", takenAt: 2}, {device: "x", takenAt: ["3"]}, {device: "x", takenAt: now}]) { id } }`: 4,
		`{ nodes(ids: ["Image:1", "Image", 5, 1.5]) { id } }`:                                                                  3,
		`query($t: DateTime! = "never") { image(device: "x", takenAt: $t) { id } }`:                                            1,
		`mutation { createAccessToken(input: {name: "x", expiresAt: true}) { token } }`:                                        1,
		`mutation { requestBundleUpload(name: "x", files: [{key: "a", md5: "x", size: 1.5, modifiedAt: null}]) { uploadId } }`: 2,
		`{ activity(series: [], every: 5) { images } }`:                                                                        1,
	} {
		_, errs, _ := answer(t.Context(), w.fast, operation{query: query, role: "WRITER"})
		all := strings.Join(errs, "\n")
		if len(errs) != want || strings.Count(all, `"BAD_USER_INPUT"`) != want || strings.Count(all, `"locations"`) != want {
			t.Errorf("%s: got %d errors\n%s\nwant %d with locations", query, len(errs), all, want)
		}
	}
}
