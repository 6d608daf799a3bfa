package guard

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// Limits are the greatest numbers that an operation may reach. All are positive.
type Limits struct {
	Depth              int // levels of fields, through fragments
	IntrospectionDepth int // levels of fields from __schema or __type down
	Aliases            int // as written in what the operation reaches
	Directives         int // likewise
	RootFields         int // once fragments are expanded
	Fragments          int // defined in the document
	Fields             int // once fragments are expanded
	Cost               int // objects that the answer may hold

	Page        int // items of one page: what first and last may be
	DefaultPage int // items of one page where neither is given, as resolvers have it
}

// DefaultLimits leave room for any screen of the lab and for the introspection
// of every common tool.
func DefaultLimits() Limits {
	return Limits{
		Depth:              12,
		IntrospectionDepth: 20,
		Aliases:            30,
		Directives:         100,
		RootFields:         20,
		Fragments:          20,
		Fields:             5_000,
		Cost:               200_000,
		Page:               1_000,
		DefaultPage:        50,
	}
}

func (l Limits) check() error {
	var faults []error
	for i, v := range reflect.ValueOf(l).Fields() {
		if v.Int() <= 0 {
			faults = append(faults, fmt.Errorf("the limit %s is %d: it must be positive", i.Name, v.Int()))
		}
	}
	if l.DefaultPage > l.Page {
		faults = append(faults, fmt.Errorf("the default page of %d is beyond the largest, %d", l.DefaultPage, l.Page))
	}
	return errors.Join(faults...)
}

// Size says how many objects a list holds that has no argument first or last.
// A field that has one is as large as the page asked for, and a list that no
// Size speaks for is taken to hold 10.
type Size struct {
	Of   string // an argument of the field that is a list; empty for none
	Each int    // objects for each item of it, or in all where Of is empty
}

// assumed is how many items are reckoned for a list of which nothing is known.
const assumed = 10

// checkSizes finds the sizes that would silently never apply.
func checkSizes(schema *ast.Schema, sizes map[string]Size) error {
	var faults []error
	for _, at := range slices.Sorted(maps.Keys(sizes)) {
		typeName, fieldName, _ := strings.Cut(at, ".")
		def := schema.Types[typeName]
		if def == nil || def.Fields.ForName(fieldName) == nil {
			faults = append(faults, fmt.Errorf("a size is given for %s, which the schema does not have", at))
			continue
		}
		field, size := def.Fields.ForName(fieldName), sizes[at]
		if !plural(field) {
			faults = append(faults, fmt.Errorf("a size is given for %s, which is not a list", at))
		}
		if paged(field) {
			faults = append(faults, fmt.Errorf("a size is given for %s, whose size is its page", at))
		}
		if size.Each <= 0 {
			faults = append(faults, fmt.Errorf("the size of %s is %d each: it must be positive", at, size.Each))
		}
		if of := field.Arguments.ForName(size.Of); size.Of != "" && (of == nil || of.Type.Elem == nil) {
			faults = append(faults, fmt.Errorf("the size of %s is that of its argument %s, which is not a list", at, size.Of))
		}
	}
	return errors.Join(faults...)
}

// plural says whether a field answers with many objects: a list, or a
// connection as Relay has it, known by its name.
func plural(field *ast.FieldDefinition) bool {
	return field.Type.Elem != nil || connection(field.Type.Name())
}

func connection(typeName string) bool { return strings.HasSuffix(typeName, "Connection") }

// paged says whether a field is asked for by the page.
func paged(field *ast.FieldDefinition) bool {
	return field.Arguments.ForName("first") != nil || field.Arguments.ForName("last") != nil
}

// add and times stay at the largest number instead of passing it, so that no
// operation is large enough to look small. They take no negative numbers.

func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func times(a, b int64) int64 {
	if a != 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
