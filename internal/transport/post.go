package transport

import (
	"bytes"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/fault"
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
	t.Options.serve(w, r, exec, func() (*graphql.RawParams, error) { return t.read(w, r) })
}

// atOnce is how much memory a body is given because it says how long it is.
const atOnce = 8 << 20

func (t POST) read(w http.ResponseWriter, r *http.Request) (*graphql.RawParams, error) {
	if !isJSON(r.Header) {
		return nil, refuse(http.StatusUnsupportedMediaType, fault.BadInput,
			"Content-Type must be application/json in UTF-8 without an encoding, or multipart/form-data for an upload")
	}
	limit := t.Options.Limits.orDefaults().JSONBytes
	if r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	var b bytes.Buffer
	if r.ContentLength > 0 {
		b.Grow(int(min(r.ContentLength, atOnce)) + bytes.MinRead)
	}
	if _, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return nil, cutShort(err)
	}
	body := b.Bytes()
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
