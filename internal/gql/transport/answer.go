package transport

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/fault"
)

// errorList returns the errors of an answer with one error.
func (o *Options) errorList(ctx context.Context, code fault.Code, message string) gqlerror.List {
	extensions := map[string]any{"code": code}
	if id := o.RequestID(ctx); id != "" {
		extensions["requestId"] = id
	}
	return gqlerror.List{{Message: message, Extensions: extensions}}
}

// statusOf returns the HTTP status of a response: 200 for an operation that ran, with
// or without errors, and for any response in application/json. Otherwise the status
// follows the code of the first error.
func statusOf(mediaType string, response *graphql.Response) int {
	if ran(response) || mediaType == plainJSON {
		return http.StatusOK
	}
	switch code := response.Errors[0].Extensions["code"]; fault.Code(fmt.Sprint(code)) {
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// ran reports whether the operation of a response ran.
func ran(response *graphql.Response) bool {
	return response.Data != nil || len(response.Errors) == 0
}

// encode returns the body of an answer.
func encode(response *graphql.Response) (body object, err error) {
	errs, err := json.Marshal(response.Errors)
	extensions, extensionsErr := json.Marshal(response.Extensions)
	if err := cmp.Or(err, extensionsErr); err != nil {
		return nil, err
	}
	if len(response.Errors) > 0 {
		body.add("errors", errs)
	}
	if ran(response) {
		data := response.Data
		if data == nil {
			data = []byte("null")
		}
		body.add("data", data)
	}
	if len(response.Extensions) > 0 {
		body.add("extensions", extensions)
	}
	return append(body, []byte("}")), nil
}

// object is a JSON object in pieces, so that a large member is not copied. After the
// last member the caller appends the closing brace.
type object [][]byte

func (o *object) add(name string, value []byte) {
	before := ","
	if len(*o) == 0 {
		before = "{"
	}
	*o = append(*o, []byte(before+`"`+name+`":`), value)
}

// length returns the number of bytes of all pieces.
func (o object) length() int {
	length := 0
	for _, piece := range o {
		length += len(piece)
	}
	return length
}

// join returns all pieces in one slice.
func (o object) join() []byte { return bytes.Join(o, nil) }

// send writes o as the answer. send ignores a failed write: the client is gone.
func (o object) send(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", strconv.Itoa(o.length()))
	w.WriteHeader(status)
	for _, piece := range o {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}
