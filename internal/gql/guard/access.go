package guard

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
)

// Audience is one kind of caller. The schema lists the audiences of a field with
//
//	directive @access(to: [Audience!]!) on OBJECT | FIELD_DEFINITION
//
// A list admits the callers in any of its audiences. The directive on a type
// applies to the fields of the type without a directive. A field without any
// directive is for READER.
type Audience string

// The audiences.
const (
	Anyone Audience = "ANYONE" // also an anonymous caller
	Device Audience = "DEVICE" // the token of a trap
	Reader Audience = "READER" // people, from a reader up
	Writer Audience = "WRITER" // people, from a writer up
	Admin  Audience = "ADMIN"  // people who are admins
	Self   Audience = "SELF"   // the person that the object describes: all callers but traps pass the guard, and the resolver decides
)

// Includes reports whether c belongs to the audience. A nil caller is anonymous.
func (a Audience) Includes(c *caller.Caller) bool {
	switch a {
	case Anyone:
		return true
	case Device:
		return c != nil && c.Device != ""
	case Self:
		return c == nil || c.Has(caller.Reader)
	case Reader, Writer, Admin:
		return c.Has(caller.Role(a))
	default:
		return false
	}
}

// admits reports whether c belongs to any of the audiences. An empty list admits
// nobody.
func admits(audiences []Audience, c *caller.Caller) bool {
	return slices.ContainsFunc(audiences, func(a Audience) bool { return a.Includes(c) })
}

// Audiences returns the audiences of each field of the schema, by "Type.field".
// Audiences leaves out introspection, which is for anyone.
//
// Audiences returns an error for a schema with an oversight: an @access with an empty list or an unknown audience, a mutation
// without @access, or a field of an interface that admits callers whom the same
// field of an implementing type does not admit.
func Audiences(schema *ast.Schema) (map[string][]Audience, error) {
	audiences := map[string][]Audience{}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(schema.Types)) {
		def := schema.Types[name]
		if !def.IsCompositeType() || introspective(name) {
			continue
		}
		ofType, err := access(def.Directives, name)
		faults = append(faults, err)
		for _, field := range def.Fields {
			if introspective(field.Name) {
				continue
			}
			at := name + "." + field.Name
			to, err := access(field.Directives, at)
			if to == nil {
				to = ofType
			}
			if to == nil && def == schema.Mutation {
				err = fmt.Errorf("%s changes something and does not say who may: give it @access(to: […])", at)
			}
			if to == nil {
				to = []Audience{Reader}
			}
			audiences[at] = to
			faults = append(faults, err)
		}
	}
	faults = append(faults, checkInterfaces(schema, audiences))
	return audiences, errors.Join(faults...)
}

// access returns the audiences of the directive @access, or nil without @access.
func access(directives ast.DirectiveList, at string) ([]Audience, error) {
	directive := directives.ForName("access")
	if directive == nil {
		return nil, nil
	}
	var words []string
	if to := directive.Arguments.ForName("to"); to != nil {
		for _, child := range to.Value.Children {
			words = append(words, child.Value.Raw)
		}
		if to.Value.Kind != ast.ListValue { // GraphQL takes one value for a list of one
			words = append(words, to.Value.Raw)
		}
	}
	audiences := []Audience{}
	for _, word := range words {
		if !slices.Contains([]Audience{Anyone, Device, Reader, Writer, Admin, Self}, Audience(word)) {
			return audiences, fmt.Errorf("%s: @access names %q, which is no audience", at, word)
		}
		audiences = append(audiences, Audience(word))
	}
	if len(audiences) == 0 {
		return audiences, fmt.Errorf("%s: @access names nobody", at)
	}
	return audiences, nil
}

// checkInterfaces returns an error if a field of an interface admits callers whom
// the field of an implementing type does not admit. The guard validates before
// anything runs, so the guard cannot know the type of an object in the answer.
func checkInterfaces(schema *ast.Schema, audiences map[string][]Audience) error {
	kinds := map[string]*caller.Caller{
		"an anonymous caller": nil,
		"a trap":              {Device: "any"},
		"a reader":            {Role: caller.Reader},
		"a writer":            {Role: caller.Writer},
		"an admin":            {Role: caller.Admin},
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(schema.Types)) {
		def := schema.Types[name]
		if def.Kind != ast.Interface {
			continue
		}
		for _, field := range def.Fields {
			open := name + "." + field.Name
			for _, behind := range schema.GetPossibleTypes(def) {
				closed := behind.Name + "." + field.Name
				for _, kind := range slices.Sorted(maps.Keys(kinds)) {
					if c := kinds[kind]; admits(audiences[open], c) && !admits(audiences[closed], c) {
						faults = append(faults, fmt.Errorf("%s is open to %s and %s is not: give both the same @access", open, kind, closed))
					}
				}
			}
		}
	}
	return errors.Join(faults...)
}

// introspective reports whether a type or a field belongs to introspection, for
// which GraphQL reserves names with two underscores. Introspection is for anyone,
// because the contract is published.
func introspective(name string) bool { return strings.HasPrefix(name, "__") }

// mayAsk reports whether c may query the field, and returns the audiences of the
// field.
func (g *Guard) mayAsk(c *caller.Caller, field *ast.Field) (bool, []Audience) {
	if introspective(field.Name) || introspective(field.ObjectDefinition.Name) {
		return true, nil
	}
	to := g.audiences[coordinate(field)]
	return admits(to, c), to
}

// coordinate returns the schema coordinate of a field: Type.field.
func coordinate(field *ast.Field) string {
	return field.ObjectDefinition.Name + "." + field.Name
}

// joined returns audiences in words for a message: ADMIN or SELF.
func joined(audiences []Audience) string {
	words := make([]string, len(audiences))
	for i, a := range audiences {
		words[i] = string(a)
	}
	return strings.Join(words, " or ")
}
