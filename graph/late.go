package graph

import (
	"context"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/go-json-experiment/json"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"

	"tagma/internal/annotations"
	"tagma/internal/contour"
	"tagma/internal/images"
	"tagma/internal/instant"
	"tagma/internal/transport"
)

// Long lists of input are read straight into the values of the domain. On the
// ordinary way each becomes maps of interfaces, is checked by reflection, and
// copied: that takes three quarters of the time of a request that brings ten
// thousand fingerprints. A list that is not plainly right goes that way, so that
// its errors are the ordinary ones.

// readers read a list of a type of input. They fail at whatever the schema does
// not allow, and may fail at more.
var readers = map[string]func(text []byte) (any, error){
	"ImageFingerprint": readList(fingerprintInput.value),
	"AnnotationInput":  readList(annotationInput.value),
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
		text, ok := hidden[variable.Variable].(transport.Late)
		if !ok {
			continue
		}
		var read func([]byte) (any, error)
		if variable.Type.Elem != nil {
			read = readers[variable.Type.Elem.NamedType]
		}
		if read == nil {
			return l.ordinary(operation, hidden)
		}
		list, err := read(text)
		if err != nil {
			return l.ordinary(operation, hidden)
		}
		lists[variable.Variable], operation.Variables[variable.Variable] = list, list
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

// readList is a reader of a list whose items are made of what JSON holds.
func readList[J, T any](value func(J) (T, bool)) func([]byte) (any, error) {
	return func(text []byte) (any, error) {
		var items []J
		if err := json.Unmarshal(text, &items, json.RejectUnknownMembers(true)); err != nil {
			return nil, err
		}
		list := make([]T, len(items))
		for n, item := range items {
			var ok bool
			if list[n], ok = value(item); !ok {
				return nil, errNotPlain
			}
		}
		return list, nil
	}
}

var errNotPlain = gqlerror.Errorf("a value is missing, or of another kind")

// The inputs as JSON has them. What is nil was left out, or null.
type (
	fingerprintInput struct {
		Device  *string `json:"device"`
		TakenAt *string `json:"takenAt"`
		MD5     *string `json:"md5"`
	}
	keyInput struct {
		Device  *string `json:"device"`
		TakenAt *string `json:"takenAt"`
	}
	annotationInput struct {
		Image     keyInput       `json:"image"`
		MD5       *string        `json:"md5"`
		Algorithm algorithmInput `json:"algorithm"`
		Objects   *[]objectInput `json:"objects"`
	}
	algorithmInput struct {
		Name    *string `json:"name"`
		Version *string `json:"version"`
	}
	objectInput struct {
		Name         *string           `json:"name"`
		Contour      contour.Unchecked `json:"contour"`
		FillColour   *string           `json:"fillColour"`
		StrokeColour *string           `json:"strokeColour"`
		Value        *int32            `json:"value"`
	}
)

func (k keyInput) value() (key images.Key, ok bool) {
	if k.Device == nil || k.TakenAt == nil {
		return key, false
	}
	taken, err := instant.Parse(*k.TakenAt)
	return images.Key{Device: *k.Device, TakenAt: taken}, err == nil
}

func (f fingerprintInput) value() (images.Fingerprint, bool) {
	key, ok := keyInput{f.Device, f.TakenAt}.value()
	if !ok || f.MD5 == nil {
		return images.Fingerprint{}, false
	}
	return images.Fingerprint{Device: key.Device, TakenAt: key.TakenAt, MD5: *f.MD5}, true
}

func (a annotationInput) value() (annotations.Addition, bool) {
	key, ok := a.Image.value()
	if !ok || a.MD5 == nil || a.Algorithm.Name == nil || a.Algorithm.Version == nil || a.Objects == nil {
		return annotations.Addition{}, false
	}
	objects := make([]annotations.NewObject, len(*a.Objects))
	for n, o := range *a.Objects {
		if o.Name == nil || o.Contour.IsNull() {
			return annotations.Addition{}, false
		}
		objects[n] = annotations.NewObject{Name: *o.Name, Contour: o.Contour, FillColour: o.FillColour, StrokeColour: o.StrokeColour}
		if o.Value != nil {
			value := int(*o.Value)
			objects[n].Value = &value
		}
	}
	return annotations.Addition{
		Image: key, MD5: *a.MD5, Objects: slices.Clip(objects),
		Algorithm: annotations.Algorithm{Name: *a.Algorithm.Name, Version: *a.Algorithm.Version},
	}, true
}
