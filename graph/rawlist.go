package graph

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/instant"
	"tagma/internal/base/jsonscan"
	"tagma/internal/base/rawjson"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/gql/transport"
	"tagma/internal/gql/variables"
)

// This file decodes long lists of input straight into values of the domain. gqlgen
// decodes a list into maps of interfaces, checks the maps by reflection and copies
// the maps. That takes three quarters of the time of a request with ten thousand
// fingerprints. If a decoder here refuses a list, package variables coerces the list
// and reports the problems.

// listDecoders decode a list, by the type of an item. A decoder returns false for
// every text against the schema, and may return false for other texts.
var listDecoders = map[string]func(text string) (list any, ok bool){
	"ImageFingerprint": decodeList(decodeFingerprint),
	"AnnotationInput":  decodeList(decodeAddition),
}

// decodedLists is the key of an extension of an operation: map[string]any, the lists of
// the domain by variable.
const decodedLists = "tagma: decoded lists"

// rawLists decodes the raw lists among the variables of operations.
type rawLists struct {
	report func(typ string, decoded bool) // is called once per raw list
}

// decode returns the variables with each raw list replaced by a list of the domain. If
// a type has no decoder, or the decoder refuses the list, decode returns the list as
// JSON. The guard reads the lengths of the lists.
func (l rawLists) decode(operation *graphql.OperationContext, values map[string]any) (map[string]any, error) {
	var decoded, lists map[string]any
	for name, value := range values {
		raw, ok := value.(transport.RawList)
		if !ok {
			continue
		}
		if decoded == nil {
			decoded, lists = maps.Clone(values), map[string]any{}
		}
		typ := itemType(operation.Operation, name)
		if decode := listDecoders[typ]; decode != nil {
			if list, ok := decode(raw.Text); ok {
				decoded[name], lists[name] = variables.Coerced{Value: list}, list
			}
		}
		l.report(typ, lists[name] != nil)
		if lists[name] != nil {
			continue
		}
		var err error
		if decoded[name], err = raw.Decode(); err != nil {
			return nil, err
		}
	}
	if decoded == nil {
		return values, nil
	}
	operation.Stats.SetExtension(decodedLists, lists)
	return decoded, nil
}

// itemType returns the type of the items of a variable with a list, or "".
func itemType(operation *ast.OperationDefinition, variable string) string {
	definition := operation.VariableDefinitions.ForName(variable)
	if definition == nil || definition.Type.Elem == nil {
		return ""
	}
	return definition.Type.Elem.NamedType
}

// emptyRawListVariables replaces decoded lists by empty lists, because gqlgen cannot read
// values of the domain. Resolvers get the lists from rawListArgument. Use
// emptyRawListVariables after the guard.
type emptyRawListVariables struct{}

var _ graphql.OperationContextMutator = emptyRawListVariables{}

// MutateOperationContext replaces decoded lists by empty lists.
func (emptyRawListVariables) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	lists, _ := operation.Stats.GetExtension(decodedLists).(map[string]any)
	for name := range lists {
		operation.Variables[name] = []any{}
	}
	return nil
}

// rawListArgument returns the list of an argument of the present field: the list
// of rawLists if there is one, and otherwise the list that gqlgen decoded.
func rawListArgument[T any](ctx context.Context, argument string, decoded []*T) []T {
	lists, ok := graphql.GetOperationContext(ctx).Stats.GetExtension(decodedLists).(map[string]any)
	if !ok {
		return values(decoded)
	}
	field := graphql.GetFieldContext(ctx).Field.Field
	definition := field.Arguments.ForName(argument)
	if definition == nil || definition.Value == nil || definition.Value.Kind != ast.Variable {
		return values(decoded)
	}
	if list, ok := lists[definition.Value.Raw].([]T); ok {
		return list
	}
	return values(decoded)
}

// decodeList returns a decoder of a list whose items decodeItem decodes.
func decodeList[T any](decodeItem func(*jsonscan.Scanner) (T, bool)) func(string) (any, bool) {
	return func(text string) (any, bool) {
		s := jsonscan.New(text)
		list := []T{}
		ok := s.List(func() bool {
			item, ok := decodeItem(s)
			list = append(list, item)
			return ok
		})
		return list, ok && s.End()
	}
}

// The fields of the input types, required fields first. The decoders below name a
// field by its index.
var (
	fingerprintFields = []string{"device", "takenAt", "md5"}
	keyFields         = []string{"device", "takenAt"}
	additionFields    = []string{"image", "md5", "algorithm", "objects"}
	algorithmFields   = []string{"name", "version"}
	objectFields      = []string{"name", "contour", "fillColour", "strokeColour", "value", "score", "attributes"}
)

// readJSON reads the scalar JSON as gqlgen does, and reports whether text is valid.
func readJSON(to *rawjson.Value, text string) bool {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	return json.Valid([]byte(text)) && decoder.Decode(&value) == nil && to.UnmarshalGQL(value) == nil
}

// decodeTexts decodes an object whose fields are all required texts.
func decodeTexts(s *jsonscan.Scanner, fields []string, dest ...*string) bool {
	return s.Object(fields, len(fields), func(n int) (ok bool) {
		*dest[n], ok = s.Text()
		return ok
	})
}

func decodeFingerprint(s *jsonscan.Scanner) (f images.Fingerprint, ok bool) {
	var takenAt string
	if !decodeTexts(s, fingerprintFields, &f.Device, &takenAt, &f.MD5) {
		return f, false
	}
	var err error
	f.TakenAt, err = instant.Parse(takenAt)
	return f, err == nil
}

func decodeKey(s *jsonscan.Scanner) (key images.Key, ok bool) {
	var takenAt string
	if !decodeTexts(s, keyFields, &key.Device, &takenAt) {
		return key, false
	}
	var err error
	key.TakenAt, err = instant.Parse(takenAt)
	return key, err == nil
}

func decodeAddition(s *jsonscan.Scanner) (a annotations.Addition, ok bool) {
	var buffer [32]annotations.NewObject // on the stack: most annotations have fewer objects
	ok = s.Object(additionFields, 4, func(n int) (ok bool) {
		switch n {
		case 0:
			a.Image, ok = decodeKey(s)
		case 1:
			a.MD5, ok = s.Text()
		case 2:
			ok = decodeTexts(s, algorithmFields, &a.Algorithm.Name, &a.Algorithm.Version)
		case 3:
			objects := buffer[:0]
			ok = s.List(func() bool {
				objects = append(objects, annotations.NewObject{})
				return decodeObject(s, &objects[len(objects)-1])
			})
			a.Objects = slices.Clone(objects)
		}
		return ok
	})
	return a, ok
}

func decodeObject(s *jsonscan.Scanner, o *annotations.NewObject) bool {
	return s.Object(objectFields, 2, func(n int) (ok bool) {
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
		case n == 5:
			var score float64
			score, ok = s.Number()
			o.Score = &score
			return ok
		case n == 6:
			var text string
			text, ok = s.Skip()
			return ok && readJSON(&o.Attributes, text)
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
