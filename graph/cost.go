package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/cost"
)

// bounded ends answers that cost more than the limits, each event of a
// subscription by itself.
type bounded struct {
	limits cost.Limits
	errors presenter
}

// respond puts one error in the place of an answer that has passed a limit. It
// goes around everything else that an answer passes through.
func (b bounded) respond(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	within, meter, end := cost.Start(ctx, b.limits)
	defer end()
	response := next(within)
	if response == nil {
		return nil
	}
	// A subscription writes all its events into one buffer, which stays as long as
	// the longest.
	why := meter.Made(int64(len(response.Data)), int64(cap(response.Data)))
	if why == nil {
		return response
	}
	err := b.errors.present(ctx, why)
	if meter.Applied() {
		err.Extensions["applied"] = true
	}
	return &graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{err}}
}

// root lets gqlgen's buffer be as long as the answer will be, and not grow by
// doubling.
func (bounded) root(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	value := next(ctx)
	meter := cost.From(ctx)
	if value == graphql.Null || value == nil || meter == nil {
		return value
	}
	return graphql.WriterFunc(func(w io.Writer) {
		if buffer, ok := w.(*bytes.Buffer); ok && buffer.Len() < smallest {
			buffer.Grow(int(meter.Written()))
		}
		value.MarshalGQL(w)
	})
}

// smallest is how many bytes of an answer stand before its first value, at most.
const smallest = 512

// field charges what a resolver has returned, before its own fields are asked
// for. What package selection answers does not come by here.
func (bounded) field(ctx context.Context, next graphql.Resolver) (any, error) {
	meter := cost.From(ctx)
	if meter == nil {
		return next(ctx)
	}
	if err := meter.Err(); err != nil {
		return nil, err
	}
	value, err := next(ctx)
	if err != nil {
		return value, err
	}
	of := graphql.GetFieldContext(ctx)
	if of.Object == "Mutation" {
		meter.Apply()
	}
	objects, length := sizeOf(value, len(of.Field.Selections) > 0)
	if objects > 0 {
		err = meter.Resolve(objects)
	}
	if err == nil {
		err = meter.Bytes(length + int64(len(of.Field.Alias)+len(`"":,`)))
	}
	if err == nil && length > longField {
		err = meter.Hold(length)
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// longField is the length from which a text counts for itself, beside the memory
// that each object is taken to hold.
const longField = 256

// sizeOf returns how many objects a field's value is, and about how many bytes
// they or it will be in the answer, without their own fields.
func sizeOf(value any, composite bool) (objects, length int64) {
	const number, braces = 20, int64(len("{},"))
	switch v := value.(type) {
	case nil:
		return 0, int64(len("null"))
	case string:
		return 0, int64(len(v)) + 2
	}
	of := reflect.ValueOf(value)
	for of.Kind() == reflect.Pointer && !composite {
		if of.IsNil() {
			return 0, int64(len("null"))
		}
		of = of.Elem()
	}
	switch kind := of.Kind(); {
	case kind == reflect.Pointer && of.IsNil():
		return 0, int64(len("null"))
	case composite && kind == reflect.Slice:
		return int64(of.Len()), braces * int64(of.Len())
	case composite:
		return 1, braces
	case kind == reflect.String:
		return 0, int64(of.Len()) + 2
	case kind != reflect.Slice:
		return 0, number
	case of.Type().Elem().Kind() == reflect.Uint8: // JSON as it stands
		return 0, int64(of.Len())
	}
	for n := range of.Len() {
		length += number
		if item := of.Index(n); item.Kind() == reflect.String || item.Kind() == reflect.Slice {
			length += int64(item.Len())
		}
	}
	return 0, length
}
