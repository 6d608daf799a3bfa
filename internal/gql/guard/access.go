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

// Audience is one kind of caller that a field may be for. The schema says which
// with
//
//	directive @access(to: [Audience!]!) on OBJECT | FIELD_DEFINITION
//
// A list admits whomever any of its entries admits. On a type it holds for the
// fields that say nothing themselves. A field for which neither speaks is for
// READER.
type Audience string

// The audiences.
const (
	Anyone Audience = "ANYONE" // also an anonymous caller
	Device Audience = "DEVICE" // the token of a trap
	Reader Audience = "READER" // people, from a reader up
	Writer Audience = "WRITER" // people, from a writer up
	Admin  Audience = "ADMIN"  // people who are admins
	Self   Audience = "SELF"   // whom the object is about: all but traps pass the guard, and the resolver decides
)

// Includes says whether c is one of them. A nil caller is an anonymous one.
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

// admits says whether a field for these audiences is for c. Nobody named is
// nobody admitted.
func admits(audiences []Audience, c *caller.Caller) bool {
	return slices.ContainsFunc(audiences, func(a Audience) bool { return a.Includes(c) })
}

// Audiences reads from the schema who may ask for each field, by "Type.field".
// Introspection is left out: it is for anyone.
//
// It refuses what would let somebody in by an oversight: an @access that names
// nobody or an audience that is not one; a mutation that does not say whom it
// is for; and a field of an interface that is open to callers to whom the same
// field of a type behind it is closed.
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

// access is what the @access among directives says, or nil if there is none.
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

// checkInterfaces holds that a field selected on an interface opens nothing
// that is closed on a type behind it. The guard judges before anything runs, so
// it cannot know which of the types an answer will be of.
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

// introspective says whether a type or a field belongs to introspection: two
// underscores are kept for it. The contract is published, so it is for anyone.
func introspective(name string) bool { return strings.HasPrefix(name, "__") }

// mayAsk says whether c may ask for the field, and for whom the field is.
func (g *Guard) mayAsk(c *caller.Caller, field *ast.Field) (bool, []Audience) {
	if introspective(field.Name) || introspective(field.ObjectDefinition.Name) {
		return true, nil
	}
	to := g.audiences[coordinate(field)]
	return admits(to, c), to
}

// coordinate names a field as the schema does: Type.field.
func coordinate(field *ast.Field) string {
	return field.ObjectDefinition.Name + "." + field.Name
}

// joined lists audiences for a message: ADMIN or SELF.
func joined(audiences []Audience) string {
	words := make([]string, len(audiences))
	for i, a := range audiences {
		words[i] = string(a)
	}
	return strings.Join(words, " or ")
}
