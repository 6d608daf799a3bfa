package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"

	_ "modernc.org/sqlite" // to look into the server's own database
)

// contract is the published schema.
func contract(t testing.TB) *ast.Schema {
	t.Helper()
	text, err := os.ReadFile("../../../schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// step is a field of a type, on the way from a root.
type step struct {
	on    *ast.Definition
	field *ast.FieldDefinition
}

func (s step) coordinate() string { return s.on.Name + "." + s.field.Name }

// way leads from a root to a field.
type way []step

func (w way) root() step { return w[0] }

func (w way) String() string {
	names := []string{w[0].on.Name}
	for _, s := range w {
		names = append(names, s.field.Name)
	}
	return strings.Join(names, ".")
}

// ways are those to every field of every object of the schema: from each root,
// over each edge that leads to the object, and up to that edge the shortest.
// What a query leads to is not gone through once more behind a mutation.
func ways(schema *ast.Schema) []way {
	var all []way
	queried := shortest(schema, schema.Query)
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		to := shortest(schema, root)
		for _, name := range slices.Sorted(maps.Keys(to)) {
			if _, known := queried[name]; known && root == schema.Mutation {
				continue
			}
			from := schema.Types[name]
			for _, field := range visible(from) {
				edge := extended(to[name], step{from, field})
				all = append(all, edge)
				for _, object := range objects(schema, field) {
					for _, below := range visible(object) {
						if len(object.Fields) > 0 && schema.Types[below.Type.Name()].IsLeafType() {
							all = append(all, extended(edge, step{object, below}))
						}
					}
				}
			}
		}
	}
	return all
}

// shortest is the shortest way to each object that can be reached from a root.
func shortest(schema *ast.Schema, root *ast.Definition) map[string]way {
	to := map[string]way{root.Name: {}}
	for queue := []*ast.Definition{root}; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for _, field := range visible(from) {
			for _, object := range objects(schema, field) {
				if _, known := to[object.Name]; !known {
					to[object.Name] = extended(to[from.Name], step{from, field})
					queue = append(queue, object)
				}
			}
		}
	}
	return to
}

// extended copies: ways share their beginnings.
func extended(w way, s step) way { return append(slices.Clone(w), s) }

// objects are the types that a field answers with, none for a leaf.
func objects(schema *ast.Schema, field *ast.FieldDefinition) []*ast.Definition {
	if def := schema.Types[field.Type.Name()]; def.IsCompositeType() {
		return schema.GetPossibleTypes(def)
	}
	return nil
}

// visible are the fields without those of introspection.
func visible(def *ast.Definition) []*ast.FieldDefinition {
	return slices.DeleteFunc(slices.Clone(def.Fields), func(f *ast.FieldDefinition) bool { return strings.HasPrefix(f.Name, "__") })
}

// operation writes the way as GraphQL. Given has the arguments of fields, by
// coordinate, and may tell apart of which type an answer is wanted; required
// arguments that it does not know are made up.
func (w way) operation(schema *ast.Schema, given func(coordinate, wanted string) string) string {
	text := ""
	for n := len(w) - 1; n >= 0; n-- {
		s := w[n]
		wanted := ""
		if n+1 < len(w) {
			wanted = w[n+1].on.Name
			text = fmt.Sprintf("{ ... on %s { %s } }", wanted, text)
		} else if objects(schema, s.field) != nil {
			text = "{ __typename }"
		}
		arguments := given(s.coordinate(), wanted)
		if arguments == "" {
			arguments = required(schema, s.field)
		}
		if arguments != "" {
			arguments = "(" + arguments + ")"
		}
		text = s.field.Name + arguments + " " + text
	}
	return strings.ToLower(w.root().on.Name) + " { " + text + " }"
}

// required makes up the arguments without which a field cannot be asked for.
func required(schema *ast.Schema, field *ast.FieldDefinition) string {
	var arguments []string
	for _, a := range field.Arguments {
		if a.Type.NonNull && a.DefaultValue == nil {
			arguments = append(arguments, a.Name+": "+literal(schema, a.Type))
		}
	}
	return strings.Join(arguments, ", ")
}

// literal is some value of an input type.
func literal(schema *ast.Schema, of *ast.Type) string {
	if of.Elem != nil {
		return "[" + literal(schema, of.Elem) + "]"
	}
	def := schema.Types[of.NamedType]
	switch def.Kind {
	case ast.Enum:
		return def.EnumValues[0].Name
	case ast.InputObject:
		var fields []string
		for _, f := range def.Fields {
			if f.Type.NonNull && f.DefaultValue == nil {
				fields = append(fields, f.Name+": "+literal(schema, f.Type))
			}
		}
		return "{" + strings.Join(fields, ", ") + "}"
	}
	switch def.Name {
	case "Int", "Long", "Float":
		return "1"
	case "Boolean":
		return "true"
	case "DateTime":
		return `"2020-06-20T20:00:00Z"`
	case "Duration":
		return `"PT1H"`
	case "Contour":
		return "[[1, 1], [9, 1], [9, 9]]"
	case "ID":
		return `"User:1"`
	}
	return `"0a5bb6f4"`
}

// post sends an operation with more headers.
func (c *client) post(query string, variables vars, header map[string]string) *answer {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.s.URL+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	return read(c.t, response)
}

// read is an answer of /graphql.
func read(t testing.TB, response *http.Response) *answer {
	t.Helper()
	defer response.Body.Close()
	got := &answer{Status: response.StatusCode, Header: response.Header}
	if err := json.NewDecoder(response.Body).Decode(got); err != nil {
		t.Fatalf("status %d: %v", response.StatusCode, err)
	}
	return got
}

// open connects to the server's database beside the server.
func (s *server) open() *sql.DB {
	s.t.Helper()
	driver, source := "sqlite", "file:"+filepath.Join(s.Data, "tagma.db")+"?_pragma=busy_timeout(10000)"
	if s.Database != "" {
		driver, source = "postgres", s.Database
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = db.Close() })
	return db
}

// rows returns the rows of all tables, one line for each row. The times when
// tokens were last used and the checkpoints are left out, because the server
// writes them by itself.
func (s *server) rows() []string {
	s.t.Helper()
	db := s.open()
	defer db.Close()
	list := "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
	if s.Database != "" {
		list = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
	}
	var lines []string
	for _, table := range query(s.t, db, list) {
		if table["name"]+table["table_name"] == "checkpoints" {
			continue
		}
		for _, row := range query(s.t, db, "SELECT * FROM "+table["name"]+table["table_name"]) {
			delete(row, "last_used_at")
			lines = append(lines, table["name"]+table["table_name"]+" "+fmt.Sprint(row))
		}
	}
	slices.Sort(lines)
	return lines
}

// query gives the rows of a statement as text by column.
func query(t testing.TB, db *sql.DB, statement string) []map[string]string {
	t.Helper()
	rows, err := db.Query(statement)
	if err != nil {
		t.Fatalf("%s: got %v, want rows", statement, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for rows.Next() {
		values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for n := range values {
			targets[n] = &values[n]
		}
		if err := rows.Scan(targets...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for n, column := range columns {
			row[column] = values[n].String
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// get is what a path is answered with.
func (s *server) get(path string) (status int, body []byte) {
	s.t.Helper()
	response, err := http.Get(s.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, body
}
