package guard

import (
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
)

// walk is one look at one operation.
type walk struct {
	*Guard
	caller    *caller.Caller
	variables map[string]any
	fragments map[*ast.FragmentDefinition]totals // of those entered so far
	path      []string                           // response keys down to the selection at hand

	visited    int // selections; each that was sent counts once
	aliases    int
	directives int
	ended      bool // early: what was added up is the least that is there
	whole      totals
	refused    notes // fields that this caller may not ask for
	beyond     notes // pages and limits
}

// totals is what a selection set adds up to once its fragments are expanded.
//
// How many objects a fragment on a connection brings depends on the page of the
// field that spreads it. To be worked out only once all the same, objects is
// kept in two parts: those that are there once, and those that are there for
// each item of the page.
type totals struct {
	width         int64 // fields of the set itself
	fields        int64 // with those of the sets within
	depth         int64 // levels of them
	introspection int64 // levels from __schema or __type down
	objects       int64 // for each object that the set is selected on
	perItem       int64 // and besides, for each item of its page
}

func (t *totals) add(o totals) {
	t.width = add(t.width, o.width)
	t.fields = add(t.fields, o.fields)
	t.depth = max(t.depth, o.depth)
	t.introspection = max(t.introspection, o.introspection)
	t.objects = add(t.objects, o.objects)
	t.perItem = add(t.perItem, o.perItem)
}

func (g *Guard) walk(c *caller.Caller, doc *ast.QueryDocument, op *ast.OperationDefinition, variables map[string]any) *walk {
	w := &walk{Guard: g, caller: c, variables: variables, fragments: map[*ast.FragmentDefinition]totals{}}
	if n := len(doc.Fragments); n > g.limits.Fragments {
		w.exceeds(int64(n), "fragments", g.limits.Fragments, "put what is used once where it is used")
		return w
	}
	w.directives = len(op.Directives)
	for _, v := range op.VariableDefinitions {
		w.directives += len(v.Directives)
	}
	w.whole = w.selections(op.SelectionSet)
	w.compare()
	return w
}

// selections adds up a selection set. It goes no further once the operation is
// bound to be refused and more of the same would tell the caller nothing new.
func (w *walk) selections(set ast.SelectionSet) totals {
	var sum totals
	for _, selection := range set {
		if w.aliases > w.limits.Aliases || w.directives > w.limits.Directives || w.refused.full() || w.beyond.full() {
			w.ended = true
			break
		}
		w.visited++
		switch s := selection.(type) {
		case *ast.Field:
			sum.add(w.field(s))
		case *ast.InlineFragment:
			w.directives += len(s.Directives)
			sum.add(w.selections(s.SelectionSet))
		case *ast.FragmentSpread:
			w.directives += len(s.Directives)
			sum.add(w.fragment(s.Definition))
		}
	}
	return sum
}

// fragment adds up a named fragment, the first time it is met.
func (w *walk) fragment(f *ast.FragmentDefinition) totals {
	if known, ok := w.fragments[f]; ok {
		return known
	}
	w.fragments[f] = totals{} // ends a circle, were validation ever to let one pass
	w.directives += len(f.Directives)
	sum := w.selections(f.SelectionSet)
	w.fragments[f] = sum
	return sum
}

func (w *walk) field(f *ast.Field) totals {
	w.path = append(w.path, f.Alias) // the name, where there is no alias
	defer func() { w.path = w.path[:len(w.path)-1] }()

	if f.Alias != f.Name {
		w.aliases++
	}
	w.directives += len(f.Directives)
	if ok, to := w.mayAsk(w.caller, f); !ok {
		w.refuse(f, to)
	}

	size := w.size(f) // also judges the page of a field that holds no objects
	below := w.selections(f.SelectionSet)
	sum := totals{
		width:         1,
		fields:        add(1, below.fields),
		depth:         1 + below.depth,
		introspection: below.introspection,
	}
	if f.Name == "__schema" || f.Name == "__type" {
		sum.depth, sum.introspection = 1, 1+below.depth
	}
	if len(f.SelectionSet) == 0 {
		return sum // a leaf, not an object
	}

	// A list is that many objects. A connection is one object with a page of
	// others, which its edges and nodes are reckoned by. Elsewhere perItem is
	// nothing, unless an interface hides a connection.
	list, page := int64(1), int64(w.limits.DefaultPage)
	switch {
	case connection(f.Definition.Type.Name()) && f.Definition.Type.Elem == nil:
		page = size
	case f.Definition.Type.Elem != nil:
		list = size
	}
	each := add(1, add(below.objects, times(page, below.perItem)))
	if connection(f.ObjectDefinition.Name) && (f.Name == "edges" || f.Name == "nodes") {
		sum.perItem = each
	} else {
		sum.objects = times(list, each)
	}
	return sum
}

// size is how many items a field that holds many answers with at most.
func (w *walk) size(f *ast.Field) int64 {
	if paged(f.Definition) {
		return w.page(f)
	}
	size, ok := w.sizes[coordinate(f)]
	switch {
	case !ok:
		return assumed
	case size.Of == "":
		return int64(size.Each)
	}
	items := int64(assumed)
	if list := w.argument(f, size.Of); list != nil {
		items = 1 // GraphQL takes one value for a list of one
		if v := reflect.ValueOf(list); v.Kind() == reflect.Slice {
			items = int64(v.Len())
		}
	}
	return times(items, int64(size.Each))
}

// page is the size that first or last asks for. Where what they say cannot be,
// that is noted, and the largest page stands for it.
func (w *walk) page(f *ast.Field) int64 {
	first, last := w.argument(f, "first"), w.argument(f, "last")
	if first != nil && last != nil {
		w.misuse(f, "first", "%s has both first and last: give one of them", coordinate(f))
		return int64(w.limits.Page)
	}
	name, asked := "first", first
	if last != nil {
		name, asked = "last", last
	}
	if asked == nil {
		return int64(w.limits.DefaultPage)
	}
	n, err := graphql.UnmarshalInt64(asked)
	if err != nil || n < 0 || n > int64(w.limits.Page) {
		w.misuse(f, name, "%s has a %s that is not from 0 to %d, the length of the longest page: ask page by page with after or before",
			coordinate(f), name, w.limits.Page)
		return int64(w.limits.Page)
	}
	return n
}

// argument is what the resolver will see, or nil where that is null or nothing.
// Of a literal list it is the items as they were parsed, of which only the
// number matters here.
func (w *walk) argument(f *ast.Field, name string) any {
	def := f.Definition.Arguments.ForName(name)
	if def == nil {
		return nil
	}
	literal := def.DefaultValue
	if given := f.Arguments.ForName(name); given != nil && given.Value.Kind != ast.Variable {
		literal = given.Value
	} else if given != nil {
		if v, ok := w.variables[given.Value.Raw]; ok {
			return v // a variable that was left out leaves the default in force
		}
	}
	if literal != nil && literal.Kind == ast.ListValue {
		return literal.Children
	}
	v, _ := literal.Value(w.variables) // validation has refused what cannot be read
	return v
}

// compare holds what was added up against the limits.
func (w *walk) compare() {
	l, t := w.limits, w.whole
	w.exceeds(int64(w.aliases), "aliases", l.Aliases, "send several operations")
	w.exceeds(int64(w.directives), "directives", l.Directives, "send several operations")
	w.exceeds(t.width, "root fields", l.RootFields, "send several operations")
	w.exceeds(t.depth, "levels of fields", l.Depth, "ask for what lies deeper by its id")
	w.exceeds(t.introspection, "levels of introspection", l.IntrospectionDepth, "ask for __type by name")
	w.exceeds(t.fields, "fields with its fragments expanded", l.Fields, "spread less, or send several operations")
	w.exceeds(t.objects, "objects in its answer", l.Cost, "ask for smaller pages with first, or for fewer lists within lists")
}
