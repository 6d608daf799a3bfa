package variables

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"

	"tagma/internal/base/fault"
)

const contract = `
	scalar Moment
	enum Colour { RED, DARK_BLUE }
	input Point { x: Int!, y: Float, label: String, near: [Point!] }
	input Marks { colour: Colour!, when: Moment!, points: [Point!]!, tags: [[String!]!], size: Int! = 1, ok: Boolean }
	type Query {
		paint(input: Marks!): Int
		count(colour: Colour, first: Int): Int
		sum(list: [Int!]!): Int
		secret: Int
	}`

// number is the coercion of a scalar that takes any JSON number.
func number(name string) Scalar {
	return func(value any) (any, error) {
		text, ok := value.(json.Number)
		if n, isInt := value.(int64); isInt {
			return n, nil
		}
		if !ok {
			return nil, fault.New(fault.BadInput, "the value is %s: %s takes a number", Kind(value), name)
		}
		return text.Int64()
	}
}

func is[T any](name string) Scalar {
	return func(value any) (any, error) {
		if _, ok := value.(T); !ok {
			return nil, fault.New(fault.BadInput, "the value is %s: %s does not take the value", Kind(value), name)
		}
		return value, nil
	}
}

func newTestCoercer(t testing.TB) (*Coercer, *ast.Schema) {
	t.Helper()
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: contract})
	coercer, err := New(schema, map[string]Scalar{
		"Int": number("Int"), "Float": number("Float"), "String": is[string]("String"), "Boolean": is[bool]("Boolean"),
		"ID": is[string]("ID"), "Moment": is[string]("Moment"),
	}, func(name string) bool { return name == "secret" })
	if err != nil {
		t.Fatal(err)
	}
	return coercer, schema
}

// run coerces variables in JSON.
func run(t testing.TB, query, variables string) (map[string]any, error) {
	t.Helper()
	coercer, schema := newTestCoercer(t)
	document, errs := gqlparser.LoadQueryWithRules(schema, query, nil)
	if errs != nil {
		t.Fatalf("%s: got %v, want a valid query", query, errs)
	}
	values := decode(t, variables)
	coerced, err := coercer.Coerce(document.Operations[0], values)
	if again := decode(t, variables); !reflect.DeepEqual(values, again) {
		t.Errorf("%s: Coerce changed the values to %v, want %v", variables, values, again)
	}
	return coerced, err
}

func decode(t testing.TB, text string) (values map[string]any) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&values); err != nil {
		t.Fatal(err)
	}
	return values
}

func problemsOf(err error) (problems []string) {
	known, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return nil
	}
	for _, p := range known.Problems {
		problems = append(problems, strings.Join(p.Path, ".")+": "+p.Message)
	}
	return problems
}

const (
	paint = `query($m: Marks!) { paint(input: $m) }`
	valid = `"colour": "RED", "when": "now", "points": []`
)

func TestCoerce_ReportsAllProblemsWithTheirPaths(t *testing.T) {
	for name, c := range map[string]struct {
		query, variables string
		want             []string
	}{
		"many": {paint, `{"m": {"colour": "red", "points": [{"y": "1", "z": 1, "label": 2}, 3, null, [], {"x": 1, "near": {"x": "2"}}], "size": null, "ok": "true", "tags": [["a"], [1], null]}}`, []string{
			"input.colour: the string is no value of Colour: write RED or DARK_BLUE exactly as here",
			"input.when: is missing: give a value of type Moment!",
			"input.points.0.x: is missing: give a value of type Int!",
			"input.points.0.y: the value is a string: Float takes a number",
			"input.points.0.label: the value is a number: String does not take the value",
			"input.points.0: has a field that Point does not have: leave the field out, or write x, y, label or near",
			"input.points.1: the value is a number: give an object of type Point",
			"input.points.2: is null: give a value of type Point!",
			"input.points.3: the value is an array: give an object of type Point",
			"input.points.4.near.x: the value is a string: Int takes a number",
			"input.tags.1.0: the value is a number: String does not take the value",
			"input.tags.2: is null: give a value of type [String!]!",
			"input.size: is null: give a value of type Int!",
			"input.ok: the value is a string: Boolean does not take the value",
		}},
		"no variable":         {paint, `{}`, []string{"input: the variable $m is missing: give a value of type Marks!"}},
		"a null":              {paint, `{"m": null}`, []string{"input: is null: give a value of type Marks!"}},
		"a boolean":           {paint, `{"m": true}`, []string{"input: the value is a boolean: give an object of type Marks"}},
		"a public name":       {paint, `{"m": {` + valid + `, "secret": 1}}`, []string{"input.secret: Marks has no field of this name: leave the field out, or write colour, when, points, tags, size or ok"}},
		"other names":         {paint, `{"m": {` + valid + `, "hush": 1, "pst": 2}}`, []string{"input: has 2 fields that Marks does not have: leave the fields out, or write colour, when, points, tags, size or ok"}},
		"an enum in a list":   {`query($c: Colour) { count(colour: $c) }`, `{"c": ["RED"]}`, []string{"colour: the value is an array: Colour takes a string, RED or DARK_BLUE"}},
		"an enum's number":    {`query($c: Colour) { count(colour: $c) }`, `{"c": 0}`, []string{"colour: the value is a number: Colour takes a string, RED or DARK_BLUE"}},
		"an enum's case":      {`query($c: Colour) { count(colour: $c) }`, `{"c": "Dark_Blue"}`, []string{"colour: the string is no value of Colour: write RED or DARK_BLUE exactly as here"}},
		"within a literal":    {`query($x: Int!) { paint(input: {colour: RED, when: "now", points: [{x: 1}, {x: 2, near: [{x: $x}]}]}) }`, `{"x": "1"}`, []string{"input.points.1.near.0.x: the value is a string: Int takes a number"}},
		"in a fragment":       {`query($n: Int) { ...F } fragment F on Query { ...G } fragment G on Query { count(first: $n) }`, `{"n": "1"}`, []string{"first: the value is a string: Int takes a number"}},
		"in a directive":      {`query($on: Boolean!) { secret @include(if: $on) }`, `{"on": 1}`, []string{"if: the value is a number: Boolean does not take the value"}},
		"a field comes first": {`query($n: Int!) { a: secret @include(if: true) ... { count(first: $n) } sum(list: [$n]) }`, `{"n": "1"}`, []string{"first: the value is a string: Int takes a number"}},
		"two variables": {`query($c: Colour, $n: Int) { count(first: $n, colour: $c) }`, `{"n": "1", "c": "BLUE"}`, []string{
			"colour: the string is no value of Colour: write RED or DARK_BLUE exactly as here", "first: the value is a string: Int takes a number",
		}},
	} {
		_, err := run(t, c.query, c.variables)
		if got := problemsOf(err); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got problems\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
		if fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%s: got code %s, want %s", name, fault.CodeOf(err), fault.BadInput)
		}
	}
}

func TestCoerce_ReturnsTheValuesOfTheTypes(t *testing.T) {
	one := []any{map[string]any{"x": int64(1)}}
	for _, c := range []struct {
		query, variables string
		want             map[string]any
	}{
		{paint, `{"m": {` + valid + `, "ok": null, "__typename": "Marks"}, "unused": 1}`, map[string]any{"m": map[string]any{"colour": "RED", "when": "now", "points": []any{}, "ok": nil}}},
		{paint, `{"m": {"colour": "DARK_BLUE", "when": "", "points": {"x": 1}, "tags": "a"}}`, map[string]any{"m": map[string]any{"colour": "DARK_BLUE", "when": "", "points": one, "tags": []any{[]any{"a"}}}}},
		{`query($n: Int, $c: Colour) { count(first: $n, colour: $c) }`, `{"n": null}`, map[string]any{"n": nil}},
		{`query($n: Int = 5, $c: Colour = RED) { count(first: $n, colour: $c) }`, `{}`, map[string]any{"n": int64(5), "c": "RED"}},
		{`query($l: [Int!]! = 7) { sum(list: $l) }`, `{}`, map[string]any{"l": []any{int64(7)}}},
		{`query($l: [Int!]!) { sum(list: $l) }`, `{"l": 7}`, map[string]any{"l": []any{int64(7)}}},
	} {
		got, err := run(t, c.query, c.variables)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s with %s: got %v, %v, want %v", c.query, c.variables, got, err, c.want)
		}
	}
}

func TestCoerce_ACoercedValueIsReturnedAsItIs(t *testing.T) {
	coercer, schema := newTestCoercer(t)
	document := gqlparser.MustLoadQueryWithRules(schema, `query($l: [Int!]!) { sum(list: $l) }`, nil)
	want := []string{"of another type"}
	got, err := coercer.Coerce(document.Operations[0], map[string]any{"l": Coerced{want}})
	if err != nil || !reflect.DeepEqual(got, map[string]any{"l": want}) {
		t.Errorf("got %v, %v, want the list itself", got, err)
	}
}

func TestCoerce_BoundsTheProblems(t *testing.T) {
	_, err := run(t, `query($l: [Int!]!) { sum(list: $l) }`, `{"l": [`+strings.Repeat(`"x",`, 999)+`"x"]}`)
	got := problemsOf(err)
	if n := len(got); n != maxProblems+1 || got[n-1] != fmt.Sprintf(": … and %d more problems", 1000-maxProblems) || got[n-2] != fmt.Sprintf("list.%d: the value is a string: Int takes a number", maxProblems-1) {
		t.Errorf("got %d problems, %q, want %d and the number of the others", n, got[max(0, n-2):], maxProblems)
	}
	if err == nil || !strings.HasSuffix(err.Error(), "(and 999 more)") {
		t.Errorf("got %v, want an error with the number of all other problems", err)
	}
}

func TestCoerce_NothingOfTheRequestIsRepeated(t *testing.T) {
	const canary = "canary"
	for _, m := range []string{
		`"canary"`, `["canary"]`, `{"canary": "canary"}`, `{"colour": "canary", "when": {"canary": 1}, "points": {"canary": {"canary": "canary"}}, "size": "canary", "ok": ["canary"], "tags": {"canary": 1}}`,
	} {
		if _, err := run(t, paint, `{"m": `+m+`}`); err == nil || strings.Contains(fmt.Sprint(err, problemsOf(err)), canary) {
			t.Errorf("%s: got %v %v, want an error without %s", m, err, problemsOf(err), canary)
		}
	}
}

func TestNew_EachScalarNeedsACoercion(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: contract})
	if _, err := New(schema, map[string]Scalar{"Boolean": is[bool]("Boolean")}, nil); err == nil || !strings.Contains(err.Error(), "Float") {
		t.Errorf("got %v, want an error that names the scalar Float", err)
	}
}

// BenchmarkCoerce compares the coercion with that of gqlparser, which ends at the first
// problem.
func BenchmarkCoerce(b *testing.B) {
	coercer, schema := newTestCoercer(b)
	operation := gqlparser.MustLoadQueryWithRules(schema, paint, nil).Operations[0]
	points := strings.Repeat(`{"x": 1, "y": 2, "label": "a point"}, `, 99) + `{"x": 1}`
	text := `{"m": {"colour": "RED", "when": "now", "points": [` + points + `], "tags": [["a", "b"]], "ok": true}}`
	for name, coerce := range map[string]func(map[string]any) error{
		"Coerce": func(values map[string]any) error { _, err := coercer.Coerce(operation, values); return err },
		"gqlparser": func(values map[string]any) error {
			_, err := validator.VariableValues(schema, operation, values)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			values := decode(b, text)
			b.ReportAllocs()
			for b.Loop() {
				if err := coerce(values); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
