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

// errorList is one error as it stands in an answer.
func (o *Options) errorList(ctx context.Context, code fault.Code, message string) gqlerror.List {
	extensions := map[string]any{"code": code}
	if id := o.RequestID(ctx); id != "" {
		extensions["requestId"] = id
	}
	return gqlerror.List{{Message: message, Extensions: extensions}}
}

// statusOf is 200 for an operation that ran, whatever became of it, and in
// application/json for any well-formed request. Otherwise the status follows
// the code of the first error.
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

// ran says whether response is that of an operation that was carried out.
func ran(response *graphql.Response) bool {
	return response.Data != nil || len(response.Errors) == 0
}

// encode is the body of an answer.
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

// object is a JSON object in pieces, so that a large member need not be copied.
// Whoever has added all members adds the brace that ends it.
type object [][]byte

func (o *object) add(name string, value []byte) {
	before := ","
	if len(*o) == 0 {
		before = "{"
	}
	*o = append(*o, []byte(before+`"`+name+`":`), value)
}

// length is how many bytes the whole has.
func (o object) length() int {
	length := 0
	for _, piece := range o {
		length += len(piece)
	}
	return length
}

// join is the whole in one piece.
func (o object) join() []byte { return bytes.Join(o, nil) }

// send writes o. A failed write means that the client has gone, and there is
// nobody to tell.
func (o object) send(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Length", strconv.Itoa(o.length()))
	w.WriteHeader(status)
	for _, piece := range o {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}
