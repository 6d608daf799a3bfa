package transport

import (
	"bytes"
	"errors"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

// POST takes queries and mutations as application/json. It supports every POST,
// so that it can say what is wrong with the other media types: add it after all
// transports that take some of them.
type POST struct{ Options Options }

var _ graphql.Transport = POST{}

// Supports says yes to any POST.
func (t POST) Supports(r *http.Request) bool { return r.Method == http.MethodPost }

// Do answers r.
func (t POST) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	leave := func() {}
	defer func() { leave() }()
	t.Options.serve(w, r, exec, func() (params *graphql.RawParams, err error) {
		body, err := t.read(w, r)
		if err != nil {
			return nil, err
		}
		room, err := t.Options.decode(r.Context(), len(body))
		if err != nil {
			return nil, err
		}
		leave = room
		return t.params(r, body)
	})
}

// atOnce is how much memory a body is given because it says how long it is.
const atOnce = 8 << 20

func (t POST) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !isJSON(r.Header) {
		return nil, refuse(http.StatusUnsupportedMediaType, fault.BadInput,
			"Content-Type must be application/json in UTF-8 without an encoding, or multipart/form-data for an upload")
	}
	limit := t.Options.bodyLimit(r)
	if r.ContentLength > limit {
		return nil, t.tooLarge(r, limit)
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, atOnce)) + bytes.MinRead)
	}
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, t.tooLarge(r, limit)
	}
	if err != nil {
		return nil, cutShort(err)
	}
	return b.Bytes(), nil
}

// tooLarge refuses a body of more than limit bytes, of which r may bring more
// with a token.
func (t POST) tooLarge(r *http.Request, limit int64) *refusal {
	if limit < t.Options.Limits.orDefaults().JSONBytes && caller.From(r.Context()) == nil {
		return refuse(http.StatusUnauthorized, fault.Unauthenticated,
			"the body is larger than the limit of %d bytes for a request without a token: sign in, and send Authorization: Bearer <token>", limit)
	}
	return bodyTooLarge(limit)
}

// params reads the parameters from a body.
func (t POST) params(r *http.Request, body []byte) (*graphql.RawParams, error) {
	// What is sent under a key is told from other requests by its variables.
	if len(r.Header.Values(keyHeader)) == 0 && t.Options.LateVariables && utf8.Valid(body) {
		if params, ok := decodeLate(string(body)); ok {
			return params, nil
		}
	}
	return decodeParams(theBody, body)
}

// theBody is what errors call it.
const theBody = "the body"

// isJSON says whether a body is application/json, in UTF-8 and not compressed.
func isJSON(header http.Header) bool {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, given := params["charset"]
	encoding := header.Get("Content-Encoding")
	return (!given || strings.EqualFold(charset, "utf-8")) &&
		(encoding == "" || strings.EqualFold(encoding, "identity"))
}
