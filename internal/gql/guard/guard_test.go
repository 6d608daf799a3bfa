package guard_test

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/gql/guard"
)

// library is a schema with one of everything the guard reads.
const library = `
directive @access(to: [Audience!]!) on OBJECT | FIELD_DEFINITION
enum Audience { ANYONE DEVICE READER WRITER ADMIN SELF }

interface Node { id: ID! }
union Found = Book | Person

type Query {
  name: String! @access(to: [ANYONE])
  node(id: ID!): Node
  nodes(ids: [ID!]!): [Node]!
  find(text: String!): [Found!]!
  books(first: Int, after: String, last: Int, before: String): BookConnection!
  shelf(first: Int = 30): [Book!]!
  people: [Person!]! @access(to: [ADMIN])
}
type Mutation @access(to: [WRITER]) {
  addBook(title: String!): Book!
  returnBook(id: ID!): Book! @access(to: [WRITER, DEVICE])
  login(name: String!): String! @access(to: [ANYONE])
}
type BookConnection { edges: [BookEdge!]!  nodes: [Book!]!  pageInfo: PageInfo!  totalCount: Int! }
type BookEdge { cursor: String!  node: Book! }
type PageInfo { endCursor: String }
type Book implements Node @access(to: [READER, DEVICE]) {
  id: ID!
  title: String!
  authors: [Person!]!
  notes(about: [String!]): [Note!]!
  next: Book
  like(first: Int, last: Int): BookConnection!
  price: Int @access(to: [WRITER])
}
type Note { text: String!  book: Book! }
type Person implements Node @access(to: [ADMIN, SELF]) {
  id: ID! @access(to: [READER])
  email: String @access(to: [ADMIN])
  loans: [Book!]!
}
`

var sizes = map[string]guard.Size{
	"Query.nodes":  {Of: "ids", Each: 1},
	"Book.authors": {Each: 2},
	"Book.notes":   {Of: "about", Each: 3},
}

var callers = map[string]*caller.Caller{
	"anonymous": nil,
	"trap":      {Device: "0a3fb119", Role: caller.Admin},
	"reader":    {UserID: 1, Role: caller.Reader},
	"writer":    {UserID: 2, Role: caller.Writer},
	"admin":     {UserID: 3, Role: caller.Admin},
}

func load(t *testing.T, sdl string) *ast.Schema {
	t.Helper()
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: sdl})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// server is gqlgen's executor behind the guard, with nothing to execute.
type server struct{ *executor.Executor }

func serve(t *testing.T, change func(*guard.Limits)) server {
	t.Helper()
	schema, limits := load(t, library), guard.DefaultLimits()
	change(&limits)
	g, err := guard.New(schema, limits, sizes)
	if err != nil {
		t.Fatal(err)
	}
	e := executor.New(&graphql.ExecutableSchemaMock{SchemaFunc: func() *ast.Schema { return schema }})
	e.Use(g)
	return server{e}
}

func byDefault(*guard.Limits) {}

// ask sends an operation through the parser, validation and the guard.
// Variables are JSON, or nothing. A refusal by anything but the guard fails the
// test, for then the guard was not tested.
func (s server) ask(t *testing.T, c *caller.Caller, query string, variables ...string) *gqlerror.Error {
	t.Helper()
	params := &graphql.RawParams{Query: query}
	for _, v := range variables {
		d := json.NewDecoder(strings.NewReader(v))
		d.UseNumber()
		if err := d.Decode(&params.Variables); err != nil {
			t.Fatal(err)
		}
	}
	ctx := graphql.StartOperationTrace(caller.With(t.Context(), c))
	_, errs := s.CreateOperationContext(ctx, params)
	if len(errs) == 0 {
		return nil
	}
	if fault.CodeOf(errs[0]) == fault.Internal {
		t.Fatalf("%s was refused before the guard saw it: %v", query, errs)
	}
	return errs[0]
}

func problems(err *gqlerror.Error) []fault.Problem {
	if err == nil {
		return nil
	}
	return err.Extensions["problems"].([]fault.Problem)
}

func messages(err *gqlerror.Error) string {
	var all []string
	for _, p := range problems(err) {
		all = append(all, p.Message)
	}
	return strings.Join(all, "\n")
}

func TestError_AnAnswerHoldsTheCodeThePlaceAndEveryProblem(t *testing.T) {
	s := serve(t, byDefault)
	query := "query {\n  all: people { mail: email }\n  books(first: 5000) { totalCount }\n}"
	err := s.ask(t, callers["reader"], query)
	answer, _ := json.Marshal(s.DispatchError(context.Background(), gqlerror.List{err}))

	want := `{"errors":[{
		"message": "Query.people is for ADMIN, and your role is READER (and 2 more)",
		"path": ["all"],
		"locations": [{"line": 2, "column": 3}, {"line": 2, "column": 17}, {"line": 3, "column": 3}],
		"extensions": {"code": "FORBIDDEN", "problems": [
			{"code": "FORBIDDEN", "path": ["all"], "message": "Query.people is for ADMIN, and your role is READER"},
			{"code": "FORBIDDEN", "path": ["all", "mail"], "message": "Person.email is for ADMIN, and your role is READER"},
			{"code": "BAD_USER_INPUT", "path": ["books", "first"], "message": "Query.books has a first that is not from 0 to 1000, the length of the longest page: ask page by page with after or before"}
		]}}],"data":null}`
	if !sameJSON(t, string(answer), want) {
		t.Errorf("the answer is\n%s\nand should be\n%s", answer, want)
	}
	if err := s.ask(t, callers["admin"], "{people{email}}"); err != nil {
		t.Errorf("an operation that is in order is refused: %v", err)
	}
}

func TestValidate_AnotherSchemaThanTheOneThatWasReadIsRefused(t *testing.T) {
	g, err := guard.New(load(t, library), guard.DefaultLimits(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	other := load(t, library)
	if g.Validate(&graphql.ExecutableSchemaMock{SchemaFunc: func() *ast.Schema { return other }}) == nil {
		t.Error("the guard stands before a schema that it has not read")
	}
}

func TestNew_EverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	limits := guard.DefaultLimits()
	limits.Depth, limits.DefaultPage = 0, 2000
	wrong := maps.Clone(sizes)
	wrong["Query.gone"] = guard.Size{Each: 1}
	wrong["Query.node"] = guard.Size{Each: 1}
	wrong["Query.books"] = guard.Size{Each: 1}
	wrong["Query.find"] = guard.Size{Of: "text", Each: 1}
	wrong["Person.loans"] = guard.Size{}
	_, err := guard.New(load(t, library), limits, wrong)
	if err == nil {
		t.Fatal("nothing is said")
	}
	for _, part := range []string{
		"the limit Depth is 0",
		"the default page of 2000 is beyond the largest, 1000",
		"Query.gone, which the schema does not have",
		"Query.node, which is not a list",
		"Query.books, whose size is its page",
		"its argument text, which is not a list",
		"the size of Person.loans is 0",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not among\n%v", part, err)
		}
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	for text, into := range map[string]*any{a: &x, b: &y} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: got %v, want JSON", text, err)
		}
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
