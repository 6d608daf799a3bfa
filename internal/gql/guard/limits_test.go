package guard_test

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"tagma/internal/base/fault"
	"tagma/internal/gql/guard"
)

// resolve parses a document and ties it to the schema, without judging it.
func resolve(t interface{ Fatal(...any) }, schema *ast.Schema, query string) *ast.QueryDocument {
	doc, err := parser.ParseQuery(&ast.Source{Input: query})
	if err != nil {
		t.Fatal(err, query)
	}
	validator.Walk(schema, doc, &validator.Events{})
	return doc
}

func nested(n int, open, innermost, end string) string {
	return strings.Repeat(open, n) + innermost + strings.Repeat(end, n)
}

// bomb is a document whose fields double with each of its n fragments.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("{shelf(first: 1){...f0}} ")
	for i := range n - 1 {
		fmt.Fprintf(&b, "fragment f%d on Book{...f%d ...f%d} ", i, i+1, i+1)
	}
	fmt.Fprintf(&b, "fragment f%d on Book{next{title}}", n-1)
	return b.String()
}

func TestLimits_WhatReachesALimitPassesAndOneMoreDoesNot(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(*guard.Limits)
		at, above string
		says      string
	}{
		"depth": {
			func(l *guard.Limits) { l.Depth = 5 },
			"{shelf{next{next{next{id}}}}}", "{shelf{next{next{next{next{id}}}}}}",
			"the operation has 6 levels of fields, and the limit is 5: ask for what lies deeper by its id",
		},
		"depth through fragments": {
			func(l *guard.Limits) { l.Depth = 5 },
			"{shelf{...a}} fragment a on Book{next{...b}} fragment b on Book{... on Book{next{next{id}}}}",
			"{shelf{...a}} fragment a on Book{next{...b}} fragment b on Book{... on Book{next{next{next{id}}}}}",
			"the operation has 6 levels of fields, and the limit is 5",
		},
		"introspection": {
			func(l *guard.Limits) { l.Depth, l.IntrospectionDepth = 1, 5 },
			"{__schema{queryType{ofType{ofType{name}}}}}", `{__type(name: "Book"){ofType{ofType{ofType{ofType{name}}}}}}`,
			"the operation has 6 levels of introspection, and the limit is 5",
		},
		"aliases": {
			func(l *guard.Limits) { l.Aliases = 3 },
			"{a: name b: name shelf{...f}} fragment f on Book{c: id title: title}", "{a: name b: name c: name d: name e: name}",
			"the operation has at least 4 aliases, and the limit is 3",
		},
		"directives": {
			func(l *guard.Limits) { l.Directives = 3 },
			"{name @skip(if: true) ... @skip(if: true){name} ...f} fragment f on Query{name @skip(if: true)}",
			"{name @skip(if: true) ... @skip(if: true){name} ...f @skip(if: true)} fragment f on Query{name @skip(if: true)}",
			"the operation has 4 directives, and the limit is 3",
		},
		"root fields": {
			func(l *guard.Limits) { l.RootFields = 3 },
			"{name ...f} fragment f on Query{name name}", "{name ...f ...f} fragment f on Query{name name}",
			"the operation has 5 root fields, and the limit is 3",
		},
		"fragments": {
			func(l *guard.Limits) { l.Fragments = 2 },
			bomb(2), bomb(3),
			"the operation has 3 fragments, and the limit is 2",
		},
		"fields": {
			func(l *guard.Limits) { l.Fields = 5 },
			"{shelf{...f ...f}} fragment f on Book{id title}", "{shelf{...f ...f title}} fragment f on Book{id title}",
			"the operation has 6 fields with its fragments expanded, and the limit is 5",
		},
		"cost": {
			func(l *guard.Limits) { l.Cost = 200 },
			"{shelf(first: 100){next{id}}}", "{shelf(first: 100){next{id}} node(id: 1){id}}",
			"the operation has 201 objects in its answer, and the limit is 200: ask for smaller pages with first, or for fewer lists within lists",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.change)
			if err := s.ask(t, callers["admin"], c.at); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			err := s.ask(t, callers["admin"], c.above)
			if fault.CodeOf(err.AsError()) != fault.TooLarge || !strings.Contains(messages(err), c.says) {
				t.Errorf("above the limit: %v", err)
			}
		})
	}
}

func TestLimits_TheIntrospectionOfCommonToolsIsWithinTheDefaults(t *testing.T) {
	if err := serve(t, byDefault).ask(t, nil, introspection.Query); err != nil {
		t.Error(err)
	}
}

func TestCost_IsTheNumberOfObjectsTheAnswerMayHold(t *testing.T) {
	schema := load(t, library)
	g, err := guard.New(schema, guard.DefaultLimits(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query     string
		variables map[string]any
		want      int64
	}{
		{"{name}", nil, 0},
		{"{node(id: 1){id}}", nil, 1},
		{"{node(id: 1){... on Book{next{id}}}}", nil, 2},

		// A list is its objects; a connection is besides one itself, and each edge is one.
		{"{shelf(first: 7){id}}", nil, 7},
		{"{books(first: 100){totalCount}}", nil, 1},
		{"{books(first: 100){nodes{id}}}", nil, 1 + 100},
		{"{books(first: 100){edges{node{id}} pageInfo{endCursor}}}", nil, 1 + 100*2 + 1},
		{"{books(last: 100){nodes{next{id}}}}", nil, 1 + 100*2},
		{"{shelf(first: 3){like(first: 5){nodes{id}}}}", nil, 3 * (1 + 1 + 5)},

		// The page: of a literal, a variable, its default, the argument's default, the server's.
		{"{books{nodes{id}}}", nil, 1 + 50},
		{"{books(first: null){nodes{id}}}", nil, 1 + 50},
		{"{books(first: 0){nodes{id}}}", nil, 1},
		{"{shelf{id}}", nil, 30},
		{"{shelf(first: null){id}}", nil, 50},
		{"query($n: Int){shelf(first: $n){id}}", map[string]any{"n": int64(9)}, 9},
		{"query($n: Int){shelf(first: $n){id}}", map[string]any{"n": nil}, 50},
		{"query($n: Int){shelf(first: $n){id}}", nil, 30},
		{"query($n: Int){shelf(first: $n){id}}", map[string]any{"n": "9"}, 9}, // as gqlgen reads it

		// A fragment on a connection takes the page of each field that spreads it.
		{"{a: books(first: 5){...f} b: books(first: 7){...f}} fragment f on BookConnection{nodes{id}}", nil, 1 + 5 + 1 + 7},

		// Lists of which only a table knows the size, and those of which nothing does.
		{"{nodes(ids: [1, 2, 3]){id}}", nil, 3},
		{"{nodes(ids: 1){id}}", nil, 1},
		{"query($ids: [ID!]!){nodes(ids: $ids){id}}", map[string]any{"ids": []any{"1", "2"}}, 2},
		{"{node(id: 1){... on Book{authors{id}}}}", nil, 1 + 2},
		{"{node(id: 1){... on Book{notes{text}}}}", nil, 1 + 10*3},
		{`{node(id: 1){... on Book{notes(about: ["a", "b"]){text}}}}`, nil, 1 + 2*3},
		{"{people{id}}", nil, 10},

		// What a condition may leave out counts all the same.
		{"{people @skip(if: true){id}}", nil, 10},
	} {
		if got, _, _ := g.Look(callers["admin"], resolve(t, schema, c.query), c.variables); got != c.want {
			t.Errorf("%s %v costs %d, not %d", c.query, c.variables, got, c.want)
		}
	}
}

func TestPage_WhatNoPageCanBeIsRefusedByArgumentAndNotRepeated(t *testing.T) {
	s := serve(t, byDefault)
	for _, c := range []struct{ query, variables, path, says string }{
		{"{books(first: 1001){totalCount}}", "{}", "books.first", "Query.books has a first that is not from 0 to 1000"},
		{"{x: books(last: -1){totalCount}}", "{}", "x.last", "Query.books has a last that is not from 0 to 1000"},
		{"{shelf{like(first: 5, last: 5){totalCount}}}", "{}", "shelf.like.first", "Book.like has both first and last: give one of them"},
		{"query($n: Int){books(first: $n){totalCount}}", `{"n": 2000}`, "books.first", "has a first that is not from 0 to 1000"},
		{"query($n: Int = 3000){books(first: $n){totalCount}}", "{}", "books.first", "has a first that is not from 0 to 1000"},
		{"query($n: Int){books(first: $n){totalCount}}", `{"n": "` + nested(99, "0", "", "") + `1001"}`, "books.first", "has a first that is not from 0 to 1000"},
		{"{books(first: 2147483647){totalCount}}", "{}", "books.first", "has a first that is not from 0 to 1000"},
	} {
		err := s.ask(t, callers["reader"], c.query, c.variables)
		got := problems(err)
		if len(got) != 1 || got[0].Code != fault.BadInput || strings.Join(got[0].Path, ".") != c.path || !strings.Contains(got[0].Message, c.says) {
			t.Errorf("%s %s: got %+v, want one BAD_USER_INPUT at %s that says %q", c.query, c.variables, got, c.path, c.says)
		}
	}
	for _, query := range []string{"{books(first: 1000){totalCount}}", "{books(first: null, last: 5){totalCount}}", "{books{totalCount}}"} {
		if err := s.ask(t, callers["reader"], query); err != nil {
			t.Errorf("%s: got %v, want no error", query, err)
		}
	}
}

func TestWork_AFragmentBombIsJudgedInTheTimeItTakesToReadIt(t *testing.T) {
	schema, limits := load(t, library), guard.DefaultLimits()
	limits.Fragments = 100
	g, err := guard.New(schema, limits, sizes)
	if err != nil {
		t.Fatal(err)
	}
	open := serve(t, func(l *guard.Limits) { *l = limits })
	for n := 10; n <= 60; n++ {
		objects, fields, visited := g.Look(callers["admin"], resolve(t, schema, bomb(n)), nil)
		copies := int64(1) << (n - 1)
		if objects != 1+copies || fields != 1+2*copies {
			t.Errorf("%d fragments: %d objects, %d fields", n, objects, fields)
		}
		if written := 2 + 2*(n-1) + 2; visited != written {
			t.Errorf("%d fragments: %d selections visited of %d written", n, visited, written)
		}
		if err := open.ask(t, callers["admin"], bomb(n)); (err == nil) != (fields <= int64(limits.Fields)) {
			t.Errorf("%d fragments: %v", n, err)
		}
	}
	if objects, fields, _ := g.Look(callers["admin"], resolve(t, schema, bomb(90)), nil); objects != math.MaxInt64 || fields != math.MaxInt64 {
		t.Errorf("beyond 64 bits there are %d objects, %d fields", objects, fields)
	}
	if got := messages(open.ask(t, callers["admin"], bomb(90))); !strings.Contains(got, "at least 9223372036854775807 objects") {
		t.Errorf("beyond 64 bits it says %s", got)
	}
}

func TestText_HalfOfASurrogatePairIsNoString(t *testing.T) {
	for query, wrong := range map[string]bool{
		`{ a(b: "\ud800") }`: true, "# é\n" + `{ a(b: "é x\uDC00") c(d: "\ufffd") }`: true, `{ a(b: "\ude00\ud83d"`: true,
		`{ a(b: "\ud83d\ude00") }`: false, `{ a(b: """\ud800""") }`: false, "{ a(b: \"\ufffd\") } # \\ud800": false, `{ a(b: "\\ud800 \ufffd") }`: false,
	} {
		err := guard.Text{Tokens: 100}.MutateOperationParameters(t.Context(), &graphql.RawParams{Query: query})
		if got := err != nil && strings.Contains(err.Message, "half of a surrogate pair"); got != wrong {
			t.Errorf("%s: got %v, want an error: %t", query, err, wrong)
		}
	}
}

func TestWork_ManyAliasesAndDeepListsAreRefusedBeforeTheLastIsSeen(t *testing.T) {
	schema := load(t, library)
	g, err := guard.New(schema, guard.DefaultLimits(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, visited := g.Look(callers["admin"], resolve(t, schema, "{"+strings.Repeat("a: name ", 5000)+"}"), nil); visited != 31 {
		t.Errorf("%d of 5000 aliases are visited", visited)
	}
	if _, _, visited := g.Look(callers["admin"], resolve(t, schema, "{"+strings.Repeat("name @skip(if: true) ", 5000)+"}"), nil); visited != 101 {
		t.Errorf("%d of 5000 directives are visited", visited)
	}
	if _, _, visited := g.Look(nil, resolve(t, schema, "{"+strings.Repeat("people{id} ", 5000)+"}"), nil); visited > 2*20 {
		t.Errorf("an anonymous caller has %d fields visited", visited)
	}

	s := serve(t, byDefault)
	deep := "{books{" + nested(4, "nodes{like{", "totalCount", "}}") + "}}"
	if err := s.ask(t, callers["admin"], deep); fault.CodeOf(err.AsError()) != fault.TooLarge || !strings.Contains(messages(err), "objects in its answer") {
		t.Errorf("pages within pages: %v", err)
	}
	for n := 10; n < 300; n += 29 {
		err := s.ask(t, callers["admin"], "{shelf{"+nested(n, "authors{loans{", "id", "}}")+"}}")
		if fault.CodeOf(err.AsError()) != fault.TooLarge {
			t.Errorf("%d lists within lists: %v", 2*n, err)
		}
	}
}

func TestWork_OneDocumentIsJudgedForManyCallersAtOnce(t *testing.T) {
	schema := load(t, library)
	g, err := guard.New(schema, guard.DefaultLimits(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	doc := resolve(t, schema, "query($n: Int){shelf(first: $n){...f ...f}} fragment f on Book{next{id}}")
	var together sync.WaitGroup
	for n := range int64(50) {
		together.Go(func() {
			if objects, _, _ := g.Look(callers["reader"], doc, map[string]any{"n": n}); objects != n*3 {
				t.Errorf("%d books cost %d", n, objects)
			}
		})
	}
	together.Wait()
}
