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

// Limits holds the largest numbers that an operation may reach. All are positive.
type Limits struct {
	Depth              int // levels of fields, through fragments
	IntrospectionDepth int // levels of fields from __schema or __type down
	Aliases            int // written in the operation and its fragments
	Directives         int // written in the operation and its fragments
	RootFields         int // after the expansion of fragments
	Fragments          int // defined in the document
	Fields             int // after the expansion of fragments
	Cost               int // objects that the answer may hold

	Page        int // items of one page, the largest first or last
	DefaultPage int // items of one page without first and last; resolvers use the same number
}

// DefaultLimits returns limits for any screen of the lab and for the introspection
// query of every common tool.
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

// Size is the number of objects in a list without an argument first or last. A
// field with such an argument is as large as the requested page. A list without a
// Size counts as 10 objects.
type Size struct {
	Of   string // an argument of the field with a list as its value; empty for none
	Each int    // objects for each item of Of, or in total if Of is empty
}

// assumed is the number of items of a list without a Size.
const assumed = 10

// checkSizes returns an error for sizes without effect.
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

// plural reports whether a field returns many objects: a list, or a Relay
// connection, recognised by the name of its type.
func plural(field *ast.FieldDefinition) bool {
	return field.Type.Elem != nil || connection(field.Type.Name())
}

func connection(typeName string) bool { return strings.HasSuffix(typeName, "Connection") }

// paged reports whether a field has arguments for a page.
func paged(field *ast.FieldDefinition) bool {
	return field.Arguments.ForName("first") != nil || field.Arguments.ForName("last") != nil
}

// add and times return the largest number instead of overflowing, so that no
// operation is large enough to look small. add and times take no negative numbers.

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
