package graph

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
)

func TestIntrospection_AFieldThatAKindDoesNotHaveIsNull(t *testing.T) {
	w := newWays(t, sqlite(t))
	data, errs, _ := answer(t.Context(), w.fast, operation{query: `{ __schema { types { ...T fields { type { ...T ofType { ...T ofType { ...T } } } } } } }
		fragment T on __Type { kind name f: fields { name } interfaces { name } possibleTypes { name } enumValues { name } inputFields { name } isOneOf ofType { name } specifiedByURL }`})
	if errs != nil {
		t.Fatal(errs)
	}
	has := map[string][]string{
		"f": {"OBJECT", "INTERFACE"}, "interfaces": {"OBJECT", "INTERFACE"}, "possibleTypes": {"INTERFACE", "UNION"},
		"enumValues": {"ENUM"}, "inputFields": {"INPUT_OBJECT"}, "isOneOf": {"INPUT_OBJECT"}, "ofType": {"LIST", "NON_NULL"},
	}
	seen := map[string]bool{}
	var check func(value any)
	check = func(value any) {
		switch v := value.(type) {
		case []any:
			for _, item := range v {
				check(item)
			}
		case map[string]any:
			if kind, ok := v["kind"].(string); ok {
				seen[kind] = true
				for field, kinds := range has {
					_, selected := v[field]
					if got, want := v[field] != nil, slices.Contains(kinds, kind); selected && got != want {
						t.Errorf("%s %v: got %s %v, want null: %t", kind, v["name"], field, v[field], !want)
					}
				}
			}
			for _, member := range v {
				check(member)
			}
		}
	}
	var decoded any
	if err := json.Unmarshal(data, &decoded); err != nil {
		t.Fatal(err)
	}
	check(decoded)
	for _, kind := range []string{"SCALAR", "OBJECT", "INTERFACE", "ENUM", "INPUT_OBJECT", "LIST", "NON_NULL"} {
		if !seen[kind] {
			t.Errorf("no type of the kind %s was answered, want one at least", kind)
		}
	}
}

func TestIntrospection_ListsNoDirectiveThatIsRefused(t *testing.T) {
	w := newWays(t, sqlite(t))
	data, errs, _ := answer(t.Context(), w.fast, operation{query: `{ __schema { directives { name locations } } }`})
	var got struct {
		Schema struct {
			Directives []struct {
				Name      string
				Locations []ast.DirectiveLocation
			}
		} `json:"__schema"`
	}
	if err := json.Unmarshal(data, &got); err != nil || errs != nil {
		t.Fatal(err, errs)
	}
	for _, directive := range got.Schema.Directives {
		if !slices.Contains(directive.Locations, ast.LocationField) && !slices.Contains(directive.Locations, ast.LocationInlineFragment) {
			continue
		}
		query := `{ ... @` + directive.Name + `(if: true) { __typename } }`
		if _, errs, _ := answer(t.Context(), w.fast, operation{query: query}); errs != nil {
			t.Errorf("%s: got %s, want an answer: introspection lists the directive", query, errs)
		}
	}
	_, errs, _ = answer(t.Context(), w.fast, operation{query: `{ ... @defer { __typename } }`})
	if len(errs) != 1 || !strings.Contains(errs[0], "there is no directive of this name") {
		t.Errorf("@defer: got %s, want one error: the directive does not exist", errs)
	}
}
