package guard

import (
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
)

// walk is the validation of one operation.
type walk struct {
	*Guard
	caller    *caller.Caller
	variables map[string]any
	fragments map[*ast.FragmentDefinition]totals // of the fragments entered so far
	path      []string                           // response keys down to the current selection

	visited    int // selections; each selection of the query counts once
	aliases    int
	directives int
	ended      bool // the walk ended early, so the totals are lower bounds
	whole      totals
	refused    notes // fields that the caller may not query
	beyond     notes // pages and limits
}

// totals holds the sums of a selection set after the expansion of its fragments.
//
// The number of objects of a fragment on a connection depends on the page of the
// field around the spread. The walk still adds up a fragment only once:
// objects counts the objects independent of the page, and perItem the objects of
// each item of the page.
type totals struct {
	width         int64 // fields of the set itself
	fields        int64 // with the fields of the nested sets
	depth         int64 // levels of fields
	introspection int64 // levels from __schema or __type down
	objects       int64 // for each object with this selection set
	perItem       int64 // further objects for each item of the page
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

// selections returns the totals of a selection set. selections ends early if the
// operation is refused anyway and further problems would tell the caller nothing
// new.
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

// fragment returns the totals of a named fragment, computed at the first spread.
func (w *walk) fragment(f *ast.FragmentDefinition) totals {
	if known, ok := w.fragments[f]; ok {
		return known
	}
	w.fragments[f] = totals{} // ends a cycle, if validation should ever miss a cycle
	w.directives += len(f.Directives)
	sum := w.selections(f.SelectionSet)
	w.fragments[f] = sum
	return sum
}

func (w *walk) field(f *ast.Field) totals {
	w.path = append(w.path, f.Alias) // gqlparser sets Alias to the name without an alias
	defer func() { w.path = w.path[:len(w.path)-1] }()

	if f.Alias != f.Name {
		w.aliases++
	}
	w.directives += len(f.Directives)
	if ok, to := w.mayAsk(w.caller, f); !ok {
		w.refuse(f, to)
	}

	size := w.size(f) // also validates the page of a field without objects
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

	// A list has size objects. A connection is one object, and its edges and nodes
	// have as many objects as the page has items. Elsewhere perItem is 0, unless an
	// interface hides a connection.
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

// size returns the largest number of items in the value of a field.
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

// page returns the size of the page by the arguments first and last. page notes an
// invalid size, and returns the largest page instead.
func (w *walk) page(f *ast.Field) int64 {
	first, last := w.argument(f, "first"), w.argument(f, "last")
	if first != nil && last != nil {
		w.misuse(f, "first", "%s has both first and last: give one of them", coordinate(f))
		return int64(w.limits.Page)
	}
	name, value := "first", first
	if last != nil {
		name, value = "last", last
	}
	if value == nil {
		return int64(w.limits.DefaultPage)
	}
	n, err := graphql.UnmarshalInt64(value)
	if err != nil || n < 0 || n > int64(w.limits.Page) {
		w.misuse(f, name, "%s has a %s that is not from 0 to %d, the length of the longest page: ask page by page with after or before",
			coordinate(f), name, w.limits.Page)
		return int64(w.limits.Page)
	}
	return n
}

// argument returns the value that the resolver will get, or nil for a null or absent
// value. For a literal list argument returns the parsed items, because only their
// number matters here.
func (w *walk) argument(f *ast.Field, name string) any {
	def := f.Definition.Arguments.ForName(name)
	if def == nil {
		return nil
	}
	literal := def.DefaultValue
	if arg := f.Arguments.ForName(name); arg != nil && arg.Value.Kind != ast.Variable {
		literal = arg.Value
	} else if arg != nil {
		if v, ok := w.variables[arg.Value.Raw]; ok {
			return v // an absent variable leaves the default in force
		}
	}
	if literal != nil && literal.Kind == ast.ListValue {
		return literal.Children
	}
	v, _ := literal.Value(w.variables) // validation has refused malformed values
	return v
}

// compare notes the totals that exceed the limits.
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
