package graph

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tagma/graph/generated"
	"tagma/graph/model"
)

// wrongOperation is an operation that the library refuses, and Tagma's words for
// the error.
type wrongOperation struct {
	query     string
	want      string
	operation string // the operationName
}

const deepest = 1000 // parser.MaxNestingDepth

const malformed = "GraphQL has no such string, number or character: put strings in double quotes, close each string, and write control characters as escape sequences"

// wrongOperations has an operation for each phrase of the tables in wording.go.
var wrongOperations = []wrongOperation{
	// The parser.
	{query: `fragment F on Image { id }`, want: "the query holds no operation"},
	{query: `query A { __typename } query B { __typename }`, want: "the query has several operations: say with operationName which to run"},
	{query: `query A { __typename }`, operation: "B", want: "the query has no operation of the name that operationName gives"},
	{query: "{" + strings.Repeat(" a", 3*deepest) + " }", want: "the query has more tokens than limits { queryTokens } allows"},
	{query: "{ a(b: " + strings.Repeat("[", deepest+1), want: "the query is nested too deep"},
	{query: `{ device(name: "x) { id } }`, want: malformed},
	{query: `{ device(name: """x) { id } }`, want: malformed},
	{query: `{ devices(first: 01) { totalCount } }`, want: malformed},
	{query: "{ device(name: \"\x01\") { id } }", want: malformed},
	{query: `{ device(name: "\q") { id } }`, want: malformed},
	{query: `{ device(name: "\u12") { id } }`, want: malformed},
	{query: `{ device(name: ?) { id } }`, want: malformed},
	{query: "{ device(name: \x01) { id } }", want: malformed},
	{query: `{ server { name }`, want: "the query ends too early: look for a brace that is not closed"},
	{query: `{ 1 }`, want: "a name is expected here"},
	{query: `query A name`, want: "an opening brace is expected here"},
	{query: `{ device(name "x") { id } }`, want: "a colon is expected here"},
	{query: `query($n: [Int) { __typename }`, want: "the query does not go on as GraphQL does here"},
	{query: `fragment F Image { id }`, want: "a fragment needs the word on and a type here"},
	{query: `{ server { } }`, want: "at least one entry is expected here"},
	{query: `{ device(name: 'x') { id } }`, want: malformed},
	{query: `secret { id }`, want: "the query does not go on as GraphQL does here: put strings in quotes"},

	// The validation, by rule.
	{query: `{ image(device: "x", takenAt: "x") { md } }`, want: "Image has no field of this name: did you mean id or md5?"},
	{query: `{ server { ... on String { length } } }`, want: "a fragment cannot be on String, which has no fields"},
	{query: `{ ...F } fragment F on String { length }`, want: "a fragment cannot be on String, which has no fields"},
	{query: `{ device(nam: "x", name: "x") { id } }`, want: "Query.device has no argument of this name: did you mean name?"},
	{query: `{ server @include(if: true, secret: 1) { name } }`, want: "the directive @include has no argument of this name"},
	{query: `{ server @secrets { name } }`, want: "there is no directive of this name"},
	{query: `query @include(if: true) { __typename }`, want: "the directive @include may not stand here"},
	{query: `{ ...F }`, want: "the query has no fragment of this name"},
	{query: `{ ...F } fragment F on Imag { id }`, want: "the contract has no type of this name: did you mean Image?"},
	{query: `query A { __typename } { __typename }`, want: "an operation without a name must be the only one of its query"},
	{query: `{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }`, want: "the introspection is nested too deep"},
	{query: `{ server { ...F } } fragment F on ServerInfo { ...F }`, want: "a fragment spreads itself"},
	{query: `query A { device(name: $n) { id } }`, want: "the operation does not declare this variable"},
	{query: `{ __typename } fragment F on Image { id }`, want: "this fragment is never used"},
	{query: `query($n: Int) { __typename }`, want: "this variable is never used"},
	{query: `{ server { a: name a: version } }`, want: "two different fields would have the same name in the answer: give one of them an alias"},
	{query: `{ server { ... on Image { id } } }`, want: "this fragment is on a type that there can never be here"},
	{query: `{ device { id } }`, want: "the field device needs the argument name of type String!"},
	{query: `{ server @include { name } }`, want: "the directive @include needs the argument if of type Boolean!"},
	{query: `{ server { name { id } } }`, want: "the field name takes no fields in braces, because String has none"},
	{query: `{ server }`, want: "the field server of type ServerInfo! needs fields in braces"},
	{query: `subscription { imageAdded { id } annotationAdded { id } }`, want: "a subscription must ask for one field, and not for introspection"},
	{query: `{ device(name: "x", name: "y") { id } }`, want: "an argument is given twice"},
	{query: `{ server @include(if: true) @include(if: true) { name } }`, want: "a directive that may stand once stands here twice"},
	{query: `{ server { ...F } } fragment F on ServerInfo { name } fragment F on ServerInfo { name }`, want: "two fragments have the same name"},
	{query: `{ images(keys: [{device: "x", device: "y", takenAt: "x"}]) { id } }`, want: "a field of an input is given twice"},
	{query: `query A { __typename } query A { __typename }`, want: "two operations have the same name"},
	{query: `query($n: Int, $n: Int) { devices(first: $n) { totalCount } }`, want: "a variable is declared twice"},
	{query: `{ devices(first: "x") { totalCount } }`, want: "the value must be a whole number of 32 bits, for Int"},
	{query: `{ device(name: 773100773) { id } }`, want: "the value must be a string in quotes, for String"},
	{query: `{ server @include(if: "secret") { name } }`, want: "the value is not of type Boolean"},
	{query: `{ node(id: 1.5) { id } }`, want: "the value is not of type ID"},
	{query: `{ imageSeries(series: [], orderBy: "x") { totalCount } }`, want: "the value must be one of the enum ImageOrder, without quotes"},
	{query: `{ imageSeries(series: [], orderBy: SECRET) { totalCount } }`, want: "the enum ImageOrder has no value of this name"},
	{query: `{ images(keys: ["secret"]) { id } }`, want: "the value is not of type ImageKey!"},
	{query: `{ images(keys: [{device: "x"}]) { id } }`, want: "the input lacks ImageKey.takenAt of type DateTime!"},
	{query: `{ images(keys: [{device: "x", takenAt: "x", secret: 1}]) { id } }`, want: "ImageKey has no field of this name"},
	{query: `query($k: Image) { images(keys: $k) { id } }`, want: "a variable cannot be of type Image, which is no input"},
	{query: `query($n: Int) { device(name: $n) { id } }`, want: "a variable of type Int stands where String! is expected"},
}

// otherContract has what Tagma's contract has not: an input with @oneOf, and no
// mutations.
const otherContract = `
	directive @oneOf on INPUT_OBJECT
	type Query { bee(by: BeeInput!): String }
	input BeeInput @oneOf { name: String, number: Int }`

var otherWrongOperations = []wrongOperation{
	{query: `mutation { addBee }`, want: "the contract has no operations of this kind"},
	{query: `{ bee(by: {name: "x", number: 1}) }`, want: "BeeInput takes exactly one of its fields"},
}

// The phrases match the English texts of the library, which a new version of the
// library may change. So each phrase is pinned by an operation that the library
// itself refuses.
func TestWord_EachPhraseIsForATextThatTheLibraryHas(t *testing.T) {
	used := map[*regexp.Regexp]bool{}
	names := contractNames()
	expect := func(names vocabulary, c wrongOperation, errs gqlerror.List) {
		t.Helper()
		var got []string
		found := false
		for _, err := range errs {
			if form := phraseOf(err); form != nil {
				used[form] = true
			}
			text := names.word(err)
			got, found = append(got, text), found || text == c.want
			if strings.Contains(strings.ToLower(text), "secret") || strings.Contains(text, "773100773") {
				t.Errorf("%.200s: the words %q repeat the request", c.query, text)
			}
		}
		if !found {
			t.Errorf("%.200s: got %q for %v, want %q", c.query, got, errs, c.want)
		}
	}
	for _, c := range wrongOperations {
		expect(names, c, refuse(t, c))
	}
	other := gqlparser.MustLoadSchema(&ast.Source{Input: otherContract})
	for _, c := range otherWrongOperations {
		_, errs := gqlparser.LoadQueryWithRules(other, c.query, rules.NewDefaultRules())
		expect(newVocabulary(other), c, errs)
	}
	for _, value := range []any{nil, (*model.ServerInfo)(nil)} {
		c := wrongOperation{query: `{ server { name } }`, want: "must not be null"}
		expect(names, c, resolveServer(t, c.query, value))
	}

	tables := map[string][]phrase{"parsing": parsing}
	for rule, phrases := range validation {
		tables[rule] = phrases
	}
	for table, phrases := range tables {
		for _, p := range phrases {
			if !used[p.form] {
				t.Errorf("%s: no operation leads to the phrase %q for %s", table, p.text, p.form)
			}
		}
	}
}

// phraseOf returns the form of the phrase that word takes for an error, or nil.
func phraseOf(err *gqlerror.Error) *regexp.Regexp {
	phrases := parsing
	if err.Rule != "" {
		phrases = validation[err.Rule]
	}
	for _, p := range phrases {
		if p.form.MatchString(err.Message) {
			return p.form
		}
	}
	return nil
}

// refuse returns the errors of an operation before it runs.
func refuse(t *testing.T, c wrongOperation) gqlerror.List {
	t.Helper()
	library := executor.New(generated.NewExecutableSchema(generated.Config{}))
	library.SetParserTokenLimit(2 * deepest)
	_, errs := library.CreateOperationContext(graphql.StartOperationTrace(t.Context()),
		&graphql.RawParams{Query: c.query, OperationName: c.operation})
	return errs
}

// resolveServer returns the errors of a query whose field server has a value.
func resolveServer(t *testing.T, query string, value any) gqlerror.List {
	t.Helper()
	library := executor.New(generated.NewExecutableSchema(generated.Config{Resolvers: &Resolver{}}))
	library.AroundFields(func(context.Context, graphql.Resolver) (any, error) { return value, nil })
	ctx := graphql.StartOperationTrace(t.Context())
	operation, errs := library.CreateOperationContext(ctx, &graphql.RawParams{Query: query})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	respond, ctx := library.DispatchOperation(ctx, operation)
	return respond(ctx).Errors
}
