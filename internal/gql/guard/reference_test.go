package guard_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"pgregory.net/rapid"

	"tagma/internal/gql/guard"
)

// drawn writes random operations on the library. Fragments spread only later
// ones, so that there is no circle.
type drawn struct {
	*rapid.T
	on []string // the type each fragment is on
}

var drawable = map[string][]struct{ field, of string }{
	"Query":          {{"shelf", "Book"}, {"books", "BookConnection"}, {"node(id: 1)", "Node"}, {"nodes(ids: [1, 2, 3])", "Node"}, {"people", "Person"}, {"name", ""}},
	"Node":           {{"id", ""}},
	"Book":           {{"title", ""}, {"authors", "Person"}, {"notes", "Note"}, {`notes(about: ["a", "b"])`, "Note"}, {"next", "Book"}, {"like", "BookConnection"}},
	"Person":         {{"email", ""}, {"loans", "Book"}},
	"Note":           {{"text", ""}, {"book", "Book"}},
	"BookConnection": {{"edges", "BookEdge"}, {"nodes", "Book"}, {"pageInfo", "PageInfo"}, {"totalCount", ""}},
	"BookEdge":       {{"cursor", ""}, {"node", "Book"}},
	"PageInfo":       {{"endCursor", ""}},
}

var pages = []string{"", "(first: 0)", "(first: 3)", "(last: 4)", "(first: null)", "(first: $n)", "(first: $none)"}

func (d drawn) pick(n int) int { return rapid.IntRange(0, n-1).Draw(d.T, "pick") }

// set writes a selection set on a type, which may spread fragments from the
// one given on.
func (d drawn) set(on string, depth, from int) string {
	var b strings.Builder
	b.WriteString("{__typename")
	for range d.pick(4) {
		var spreadable []int
		for i := from; i < len(d.on); i++ {
			if d.on[i] == on || on == "Node" && d.on[i] != "BookConnection" {
				spreadable = append(spreadable, i)
			}
		}
		switch kind := d.pick(6); {
		case kind == 0 && len(spreadable) > 0:
			fmt.Fprintf(&b, " ...f%d", spreadable[d.pick(len(spreadable))])
		case kind == 1 && on == "Node":
			b.WriteString(" ... on Book" + d.set("Book", depth-1, from))
		case kind == 1:
			b.WriteString(" ..." + d.set(on, depth-1, from))
		default:
			f := drawable[on][d.pick(len(drawable[on]))]
			b.WriteString(" " + f.field)
			if f.field == "shelf" {
				b.WriteString(pages[d.pick(3)])
			} else if f.of == "BookConnection" {
				b.WriteString(pages[d.pick(len(pages))])
			}
			if f.of != "" && depth > 0 {
				b.WriteString(d.set(f.of, depth-1, from))
			} else if f.of != "" {
				b.WriteString("{__typename}")
			}
		}
	}
	return b.String() + "}"
}

func (d drawn) document() string {
	types := []string{"Book", "BookConnection", "Person", "Book", "BookConnection"}
	for range d.pick(5) {
		d.on = append(d.on, types[d.pick(len(types))])
	}
	doc := "query($n: Int, $none: Int)" + d.set("Query", 4, 0)
	for i, on := range d.on {
		doc += fmt.Sprintf(" fragment f%d on %s%s", i, on, d.set(on, 3, i+1))
	}
	return doc
}

// enumerate counts from the top down, with no memory: a fragment is counted anew
// wherever it is spread, with the page of the connection it is spread on.
func enumerate(set ast.SelectionSet, n, page int) (objects, fields int) {
	for _, s := range set {
		var o, f int
		switch s := s.(type) {
		case *ast.InlineFragment:
			o, f = enumerate(s.SelectionSet, n, page)
		case *ast.FragmentSpread:
			o, f = enumerate(s.Definition.SelectionSet, n, page)
		case *ast.Field:
			_, f = enumerate(s.SelectionSet, n, 1)
			f++
			at, asked, inner := s.ObjectDefinition.Name+"."+s.Name, 0, 50
			for _, a := range s.Arguments {
				asked = map[string]int{"0": 0, "3": 3, "4": 4, "$n": n, "$none": 50, "null": 50}[a.Value.String()]
				inner = asked
			}
			var size int
			switch {
			case at == "Query.shelf" && len(s.Arguments) > 0:
				size = asked
			case at == "Book.notes" && len(s.Arguments) > 0:
				size = 2 * 3
			case at == "BookConnection.edges" || at == "BookConnection.nodes":
				size = page
			default:
				size = max(1, map[string]int{
					"Query.shelf": 30, "Query.nodes": 3, "Query.people": 10, "Book.authors": 2, "Book.notes": 10 * 3, "Person.loans": 10,
				}[at])
			}
			if len(s.SelectionSet) > 0 {
				one, _ := enumerate(s.SelectionSet, n, inner)
				o = size * (1 + one)
			}
		}
		objects, fields = objects+o, fields+f
	}
	return objects, fields
}

func TestCost_OfTenThousandRandomOperationsIsWhatCountingThemAnewFinds(t *testing.T) {
	schema := load(t, library)
	g, err := guard.New(schema, guard.DefaultLimits(), sizes)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 100 { // times the 100 that rapid checks
			query, n := drawn{T: t}.document(), rapid.IntRange(0, 9).Draw(t, "n")
			doc := resolve(t, schema, query)
			wantObjects, wantFields := enumerate(doc.Operations[0].SelectionSet, n, 1)
			objects, fields, _ := g.Look(callers["admin"], doc, map[string]any{"n": int64(n)})
			if objects != int64(wantObjects) || fields != int64(wantFields) {
				t.Fatalf("%s with n = %d: %d objects and %d fields, and counted anew %d and %d", query, n, objects, fields, wantObjects, wantFields)
			}
		}
	})
}
