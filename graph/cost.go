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

// costLimiter ends answers that cost more than the limits. Each event of a
// subscription is an answer of its own.
type costLimiter struct {
	limits cost.Limits
	errors errorPresenter
}

// respond replaces an answer beyond a limit by an error. It is the outermost
// interceptor of responses.
func (b costLimiter) respond(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	within, meter, end := cost.Start(ctx, b.limits)
	defer end()
	response := next(within)
	if response == nil {
		return nil
	}
	// All events of a subscription share one buffer, which never shrinks.
	failure := meter.Made(int64(len(response.Data)), int64(cap(response.Data)))
	if failure == nil {
		return response
	}
	err := b.errors.present(ctx, failure)
	if meter.Applied() {
		err.Extensions["applied"] = true
	}
	return &graphql.Response{Data: json.RawMessage("null"), Errors: gqlerror.List{err}}
}

// root grows gqlgen's buffer to the length of the answer at once. Otherwise the
// buffer grows by doubling, and takes up to three times the memory.
func (costLimiter) root(ctx context.Context, next graphql.RootResolver) graphql.Marshaler {
	value := next(ctx)
	meter := cost.From(ctx)
	if value == graphql.Null || value == nil || meter == nil {
		return value
	}
	return graphql.WriterFunc(func(w io.Writer) {
		if buffer, ok := w.(*bytes.Buffer); ok && buffer.Len() < maxPrefixBytes {
			buffer.Grow(int(meter.Written()))
		}
		value.MarshalGQL(w)
	})
}

// maxPrefixBytes is the most bytes that an answer has before its first value.
const maxPrefixBytes = 512

// field charges the value of a resolver before the fields of the value are resolved.
// Package selection charges without field.
func (costLimiter) field(ctx context.Context, next graphql.Resolver) (any, error) {
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
	field := graphql.GetFieldContext(ctx)
	if field.Object == "Mutation" {
		meter.Apply()
	}
	objects, length := sizeOf(value, len(field.Field.Selections) > 0)
	if objects > 0 {
		err = meter.Resolve(objects)
	}
	if err == nil {
		err = meter.Bytes(length + int64(len(field.Field.Alias)+len(`"":,`)))
	}
	if err == nil && length > longField {
		err = meter.Hold(length)
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// longField is the length in bytes from which the memory of a text is charged.
// Shorter texts are part of the memory per object.
const longField = 256

// sizeOf returns the number of objects in a field's value, and about the number of
// bytes of the value in the answer, without the fields of the objects.
func sizeOf(value any, composite bool) (objects, length int64) {
	const number, braces = 20, int64(len("{},"))
	switch v := value.(type) {
	case nil:
		return 0, int64(len("null"))
	case string:
		return 0, int64(len(v)) + 2
	}
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer && !composite {
		if v.IsNil() {
			return 0, int64(len("null"))
		}
		v = v.Elem()
	}
	switch kind := v.Kind(); {
	case kind == reflect.Pointer && v.IsNil():
		return 0, int64(len("null"))
	case composite && kind == reflect.Slice:
		return int64(v.Len()), braces * int64(v.Len())
	case composite:
		return 1, braces
	case kind == reflect.String:
		return 0, int64(v.Len()) + 2
	case kind != reflect.Slice:
		return 0, number
	case v.Type().Elem().Kind() == reflect.Uint8: // JSON
		return 0, int64(v.Len())
	}
	for n := range v.Len() {
		length += number
		if item := v.Index(n); item.Kind() == reflect.String || item.Kind() == reflect.Slice {
			length += int64(item.Len())
		}
	}
	return 0, length
}
