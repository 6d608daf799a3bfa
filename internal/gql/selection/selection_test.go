package selection

import (
	"strings"
	"testing"

	"entgo.io/ent/dialect/sql"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// Package graph compares the answers of both engines on the whole schema.

const contract = `
	directive @minded on FIELD_DEFINITION
	type Query { bees: [Bee!]! }
	type Bee { id: ID!, name: String, mood(of: Int): String, secret: String @minded, wings: [String!]!, hive: Hive, sting: Sting }
	type Hive { id: ID! }
	type Sting { length: Float, owner: Bee }`

func TestNew_RefusesWhatTheSchemaDoesNotHave(t *testing.T) {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: contract})
	bind := func(BindRequest) (FieldEncoder, error) { return nil, nil }
	edge := func(typ string) *Edge {
		return &Edge{Type: typ, ChildKey: "id", Narrow: func([]any, map[string]any) (func(*sql.Selector), error) { return nil, nil }}
	}
	one := func(name string, field Field) Registry {
		return Registry{Types: []Type{{Name: "Bee", Table: "bees", Fields: map[string]Field{name: field}}, {Name: "Hive", Table: "hives"}}}
	}
	for name, c := range map[string]struct {
		registry Registry
		want     string // empty for no error
	}{
		"a column":                   {one("name", Column("name")), ""},
		"a bound field":              {one("sting", Field{Bind: bind, Fields: []string{"length"}}), ""},
		"an edge":                    {one("hive", Field{Columns: []string{"hive_id"}, Edge: edge("Hive")}), ""},
		"a type of its own":          {Registry{Types: []Type{{Name: "Wasp"}}}, "no type Wasp"},
		"a field of its own":         {one("age", Column("age")), "no Bee.age"},
		"an argument that is passed": {one("mood", Column("mood")), "an argument of, which"},
		"a directive":                {one("secret", Column("secret")), "@minded"},
		"a list from a column":       {one("wings", Column("wings")), "not one column"},
		"an object from a column":    {one("hive", Column("hive")), "not one column"},
		"an edge to another type":    {one("hive", Field{Columns: []string{"hive_id"}, Edge: edge("Bee")}), "is not an edge to Bee"},
		"an object in an object":     {one("sting", Field{Bind: bind, Fields: []string{"owner"}, Objects: map[string][]string{"owner": {"name"}}}), ""},
		"an object as a leaf":        {one("sting", Field{Bind: bind, Fields: []string{"owner"}}), "no leaf Sting.owner"},
		"a leaf as an object":        {one("sting", Field{Bind: bind, Fields: []string{"length"}, Objects: map[string][]string{"length": {"unit"}}}), "no leaf Sting.length"},
		"a leaf of another object":   {one("sting", Field{Bind: bind, Fields: []string{"owner"}, Objects: map[string][]string{"owner": {"age"}}}), "no leaf Bee.age"},
		"an object two levels below": {one("sting", Field{Bind: bind, Fields: []string{"owner"}, Objects: map[string][]string{"owner": {"hive"}}}), "no leaf Bee.hive"},
		"a root of its own":          {Registry{Roots: map[string]Root{"Query.wasps": {Type: "Bee"}}}, "no Query.wasps"},
		"a root to nowhere":          {Registry{Roots: map[string]Root{"Query.bees": {Type: "Bee"}}}, "is not registered"},
	} {
		_, err := New(schema, nil, c.registry, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the error %v, want %q", name, err, c.want)
		}
	}
}
