package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"

	"tagma/internal/base/instant"
	"tagma/internal/base/jsonscan"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/gql/transport"
)

// Long lists of input are read straight into the values of the domain. On the
// ordinary way each becomes maps of interfaces, is checked by reflection, and
// copied: that takes three quarters of the time of a request that brings ten
// thousand fingerprints. A list that is not plainly right goes that way, so that
// its errors are the ordinary ones.

// readers read a list of a type of input. They say no to whatever the schema does
// not allow, and may say no to more.
var readers = map[string]func(text string) (list any, ok bool){
	"ImageFingerprint": readList(readFingerprint),
	"AnnotationInput":  readList(readAddition),
}

// Names under which an operation keeps them.
const (
	lateVariables = "tagma: variables as they came" // map[string]any
	lateLists     = "tagma: lists that are read"    // map[string]any, by variable
)

// lateIn takes the lists out of the variables and puts what they hold back in,
// for the guard to see how long they are. It goes before the guard.
type lateIn struct{ schema *ast.Schema }

// lateOut takes them away from gqlgen, to which they would be strange: resolvers
// ask for them (given). It goes after the guard.
type lateOut struct{}

var (
	_ graphql.OperationParameterMutator = lateIn{}
	_ graphql.OperationContextMutator   = lateIn{}
	_ graphql.OperationContextMutator   = lateOut{}
)

// ExtensionName names it to gqlgen.
func (lateIn) ExtensionName() string { return "LateIn" }

// Validate has nothing against any schema.
func (lateIn) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters hides the lists from gqlgen's validation.
func (lateIn) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	var hidden map[string]any
	for name, value := range params.Variables {
		if _, ok := value.(transport.Late); !ok {
			continue
		}
		if hidden == nil {
			hidden = map[string]any{}
			for name, value := range params.Variables {
				hidden[name] = value
			}
		}
		params.Variables[name] = []any{}
	}
	if hidden != nil {
		graphql.GetOperationContext(ctx).Stats.SetExtension(lateVariables, hidden)
	}
	return nil
}

// MutateOperationContext reads the lists.
func (l lateIn) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	hidden, ok := operation.Stats.GetExtension(lateVariables).(map[string]any)
	if !ok {
		return nil
	}
	lists := map[string]any{}
	for _, variable := range operation.Operation.VariableDefinitions {
		late, ok := hidden[variable.Variable].(transport.Late)
		if !ok || variable.Type.Elem == nil {
			continue
		}
		if read := readers[variable.Type.Elem.NamedType]; read != nil {
			if list, ok := read(late.Text); ok {
				lists[variable.Variable], operation.Variables[variable.Variable] = list, list
			}
		}
	}
	for name, value := range hidden {
		if _, late := value.(transport.Late); late && lists[name] == nil {
			return l.ordinary(operation, hidden)
		}
	}
	operation.Stats.SetExtension(lateLists, lists)
	return nil
}

// ordinary has all variables validated as gqlgen does.
func (l lateIn) ordinary(operation *graphql.OperationContext, hidden map[string]any) *gqlerror.Error {
	for name, value := range hidden {
		text, ok := value.(transport.Late)
		if !ok {
			continue
		}
		decoded, err := text.Decode()
		if err != nil {
			return gqlerror.Wrap(err)
		}
		hidden[name] = decoded
	}
	var err error
	operation.Variables, err = validator.VariableValues(l.schema, operation.Operation, hidden)
	if refused, ok := err.(*gqlerror.Error); ok { //nolint:errorlint // as the executor does
		errcode.Set(refused, errcode.ValidationFailed)
		return refused
	}
	return nil
}

// ExtensionName names it to gqlgen.
func (lateOut) ExtensionName() string { return "LateOut" }

// Validate has nothing against any schema.
func (lateOut) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext leaves empty lists in their places.
func (lateOut) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	lists, _ := operation.Stats.GetExtension(lateLists).(map[string]any)
	for name := range lists {
		operation.Variables[name] = []any{}
	}
	return nil
}

// given is the list that an argument of the present field holds: one that was
// read, or the one that gqlgen has decoded.
func given[T any](ctx context.Context, argument string, decoded []*T) []T {
	lists, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(lateLists).(map[string]any)
	if !ok {
		return values(decoded)
	}
	field := graphql.GetFieldContext(ctx).Field.Field
	of := field.Arguments.ForName(argument)
	if of == nil || of.Value == nil || of.Value.Kind != ast.Variable {
		return values(decoded)
	}
	if list, ok := lists[of.Value.Raw].([]T); ok {
		return list
	}
	return values(decoded)
}

// readList is a reader of a list of what item reads.
func readList[T any](item func(*jsonscan.Scanner) (T, bool)) func(string) (any, bool) {
	return func(text string) (any, bool) {
		s := jsonscan.New(text)
		list := []T{}
		ok := s.List(func() bool {
			one, ok := item(s)
			list = append(list, one)
			return ok
		})
		return list, ok && s.End()
	}
}

// The members of the inputs, first those that must be there. Their numbers below
// are their places here.
var (
	fingerprintMembers = []string{"device", "takenAt", "md5"}
	keyMembers         = []string{"device", "takenAt"}
	additionMembers    = []string{"image", "md5", "algorithm", "objects"}
	algorithmMembers   = []string{"name", "version"}
	objectMembers      = []string{"name", "contour", "fillColour", "strokeColour", "value"}
)

// readTexts reads an object whose members are texts, all of which must be there.
func readTexts(s *jsonscan.Scanner, members []string, into ...*string) bool {
	return s.Object(members, len(members), func(n int) (ok bool) {
		*into[n], ok = s.Text()
		return ok
	})
}

func readFingerprint(s *jsonscan.Scanner) (f images.Fingerprint, ok bool) {
	var taken string
	if !readTexts(s, fingerprintMembers, &f.Device, &taken, &f.MD5) {
		return f, false
	}
	var err error
	f.TakenAt, err = instant.Parse(taken)
	return f, err == nil
}

func readKey(s *jsonscan.Scanner) (key images.Key, ok bool) {
	var taken string
	if !readTexts(s, keyMembers, &key.Device, &taken) {
		return key, false
	}
	var err error
	key.TakenAt, err = instant.Parse(taken)
	return key, err == nil
}

func readAddition(s *jsonscan.Scanner) (a annotations.Addition, ok bool) {
	var room [32]annotations.NewObject // more than most have
	ok = s.Object(additionMembers, 4, func(n int) (ok bool) {
		switch n {
		case 0:
			a.Image, ok = readKey(s)
		case 1:
			a.MD5, ok = s.Text()
		case 2:
			ok = readTexts(s, algorithmMembers, &a.Algorithm.Name, &a.Algorithm.Version)
		case 3:
			objects := room[:0]
			ok = s.List(func() bool {
				objects = append(objects, annotations.NewObject{})
				return readObject(s, &objects[len(objects)-1])
			})
			a.Objects = slices.Clone(objects)
		}
		return ok
	})
	return a, ok
}

func readObject(s *jsonscan.Scanner, o *annotations.NewObject) bool {
	return s.Object(objectMembers, 2, func(n int) (ok bool) {
		switch {
		case n == 0:
			o.Name, ok = s.Text()
			return ok
		case n == 1:
			return o.Contour.Read(s) && !o.Contour.IsNull()
		case s.Null():
			return true
		case n == 4:
			var value int
			value, ok = s.Int32()
			o.Value = &value
			return ok
		}
		colour, ok := s.Text()
		if n == 2 {
			o.FillColour = &colour
		} else {
			o.StrokeColour = &colour
		}
		return ok
	})
}
