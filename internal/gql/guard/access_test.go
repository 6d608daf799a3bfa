package guard_test

import (
	"slices"
	"strings"
	"testing"

	"tagma/internal/base/fault"
	"tagma/internal/gql/guard"
)

func TestAccess_EachCallerMayAskForWhatTheSchemaSaysAndNothingElse(t *testing.T) {
	s := serve(t, byDefault)
	all := "anonymous trap reader writer admin"
	for _, c := range []struct{ query, admitted string }{
		{"{name}", all},
		{"{__typename}", all},
		{"{__schema{types{name}}}", all},
		{`{__type(name: "Person"){fields{name}}}`, all},
		{"mutation{__typename}", all},
		{"mutation{login(name: \"a\")}", all},

		{"{node(id: 1){__typename}}", "reader writer admin"},
		{"{books{totalCount}}", "reader writer admin"},
		{"{shelf{title}}", "reader writer admin"},

		{"mutation{addBook(title: \"a\"){id}}", "writer admin"},
		{"mutation{returnBook(id: 1){id}}", "trap writer admin"},
		{"mutation{returnBook(id: 1){price}}", "writer admin"},
		{"mutation{returnBook(id: 1){authors{id}}}", "writer admin"},
		{"mutation{returnBook(id: 1){notes{text}}}", "writer admin"}, // Note is for READER, having no @access

		{"{people{id}}", "admin"},

		// An interface: its own rule for its own fields, the type's for the type's.
		{"{node(id: 1){id}}", "reader writer admin"},
		{"{node(id: 1){... on Book{title}}}", "reader writer admin"},
		{"{node(id: 1){... on Book{price}}}", "writer admin"},
		{"{node(id: 1){... on Person{email}}}", "admin"},
		{"{node(id: 1){... on Person{loans{id}}}}", "reader writer admin"}, // SELF: the resolver decides
		{"{nodes(ids: [1]){... on Node{... on Person{email}}}}", "admin"},
		{"{shelf{authors{... on Node{id}}}}", "reader writer admin"},

		// A union.
		{`{find(text: "a"){__typename}}`, "reader writer admin"},
		{`{find(text: "a"){... on Book{price} ... on Person{id}}}`, "writer admin"},

		// What hides a field does not open it.
		{"{name: people{id}}", "admin"},
		{"{shelf{title: price}}", "writer admin"},
		{"{shelf{authors{email @skip(if: true)}}}", "admin"},
		{"query($no: Boolean = false){shelf{authors{email @include(if: $no)}}}", "admin"},
		{"{...a} fragment a on Query{shelf{...b}} fragment b on Book{authors{...c}} fragment c on Person{email}", "admin"},
		{"{shelf{...b ...b} node(id: 1){...b}} fragment b on Book{next{price}}", "writer admin"},
		{"{books{edges{node{like{nodes{price}}}}}}", "writer admin"},
	} {
		for who, caller := range callers {
			err := s.ask(t, caller, c.query)
			admitted := slices.Contains(strings.Fields(c.admitted), who)
			switch {
			case admitted && err != nil:
				t.Errorf("%s may not ask for %s: %v", who, c.query, err)
			case !admitted && err == nil:
				t.Errorf("%s may ask for %s", who, c.query)
			case !admitted && caller == nil && fault.CodeOf(err) != fault.Unauthenticated,
				!admitted && caller != nil && fault.CodeOf(err) != fault.Forbidden:
				t.Errorf("%s asking for %s is refused with %s", who, c.query, fault.CodeOf(err))
			}
		}
	}
}

func TestAccess_ARefusalSaysWhoMayAndWhoAsks(t *testing.T) {
	s := serve(t, byDefault)
	for who, want := range map[string]string{
		"anonymous": "Query.people is for ADMIN: sign in, and send the header Authorization: Bearer <token>",
		"trap":      "Person.loans is for ADMIN or SELF, and this token is that of the device 0a3fb119",
		"reader":    "Query.people is for ADMIN, and your role is READER",
	} {
		got := messages(s.ask(t, callers[who], "{people{loans{id}}}"))
		if !strings.Contains(got, want) {
			t.Errorf("%s reads\n%s\nand should read\n%s", who, got, want)
		}
	}
}

func TestAccess_AFragmentIsReportedOnceWhereItIsFirstSpread(t *testing.T) {
	s := serve(t, byDefault)
	err := s.ask(t, callers["reader"], `
		{ one: shelf { ...dear }  two: shelf { ...dear } }
		fragment dear on Book { next { cost: price } }`)
	if got := problems(err); len(got) != 1 || strings.Join(got[0].Path, ".") != "one.next.cost" {
		t.Errorf("reported are %+v", got)
	}
}

func TestAccess_NoMoreThanTwentyRefusalsAreListed(t *testing.T) {
	s := serve(t, byDefault)
	err := s.ask(t, nil, "{shelf{title "+strings.Repeat("price ", 500)+"}}")
	if n := len(problems(err)); n != 20 {
		t.Errorf("%d refusals are listed", n)
	}
}

func TestAudiences_EveryFieldIsThereWithItsOwnItsTypesOrTheDefault(t *testing.T) {
	audiences, err := guard.Audiences(load(t, library))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string][]guard.Audience{
		"Query.name":          {guard.Anyone},
		"Query.node":          {guard.Reader},
		"Node.id":             {guard.Reader},
		"Mutation.addBook":    {guard.Writer},
		"Mutation.returnBook": {guard.Writer, guard.Device},
		"Person.email":        {guard.Admin},
		"Person.loans":        {guard.Admin, guard.Self},
		"PageInfo.endCursor":  {guard.Reader},
	} {
		if got := audiences[at]; !slices.Equal(got, want) {
			t.Errorf("%s is for %v, not %v", at, got, want)
		}
	}
	if n := len(audiences); n != 30 {
		t.Errorf("%d fields are listed", n)
	}
}

func TestAudiences_ASchemaThatLeavesADoorOpenIsRefused(t *testing.T) {
	replace := strings.NewReplacer
	for fault, change := range map[string]*strings.Replacer{
		`Mutation.addBook changes something`:                    replace("type Mutation @access(to: [WRITER])", "type Mutation"),
		`Book.price: @access names nobody`:                      replace("price: Int @access(to: [WRITER])", "price: Int @access(to: [])"),
		`Person: @access names "OWNER", which is no audience`:   replace("[ADMIN, SELF]", "[ADMIN, OWNER]", "ADMIN SELF }", "ADMIN SELF OWNER }"),
		`Node.id is open to a reader and Person.id is not`:      replace("id: ID! @access(to: [READER])", "id: ID! @access(to: [ADMIN])"),
		`Node.id is open to an anonymous caller and Book.id is`: replace("interface Node { id: ID! }", "interface Node { id: ID! @access(to: ANYONE) }"),
	} {
		_, err := guard.Audiences(load(t, change.Replace(library)))
		if err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q is not said, but %v", fault, err)
		}
	}
}
