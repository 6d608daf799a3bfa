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

// post takes queries and mutations as application/json. post supports every POST,
// so that the error for another media type says what is wrong.
type post struct{ options *Options }

// Supports reports whether r is a POST.
func (post) Supports(r *http.Request) bool { return r.Method == http.MethodPost }

// Do answers r.
func (t post) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	e := newExchange(t.options, w, r)
	e.serve(exec, e.readJSON)
}

// readJSON returns the parameters in a JSON body.
func (e *exchange) readJSON() (*graphql.RawParams, error) {
	body, err := e.readBody()
	if err != nil {
		return nil, err
	}
	if err := e.reserveDecoded(len(body)); err != nil {
		return nil, err
	}
	// The hash of a request with an Idempotency-Key covers decoded variables.
	if e.options.RawLists && len(e.r.Header.Values(keyHeader)) == 0 && utf8.Valid(body) {
		if params, ok := decodeWithRawLists(string(body)); ok {
			return params, nil
		}
	}
	return decodeParams(bodyName, body)
}

// maxBodyBuffer bounds the buffer that is allocated by Content-Length alone.
const maxBodyBuffer = 8 << 20

// readBody returns a JSON body within the limit of the caller.
func (e *exchange) readBody() ([]byte, error) {
	if !isJSON(e.r.Header) {
		return nil, newRefusal(http.StatusUnsupportedMediaType, fault.BadInput,
			"Content-Type must be application/json in UTF-8 without an encoding, or multipart/form-data for an upload")
	}
	limit := e.bodyLimit()
	if e.r.ContentLength > limit {
		return nil, e.bodyTooLarge(limit)
	}
	length := e.r.ContentLength
	if length < 0 {
		length = limit
	}
	release, err := e.options.reserveBody(length)
	if err != nil {
		return nil, err
	}
	defer func() { e.cleanup = append(e.cleanup, release) }()
	var b bytes.Buffer
	if e.r.ContentLength > 0 {
		b.Grow(int(min(e.r.ContentLength, maxBodyBuffer)) + bytes.MinRead)
	}
	_, err = b.ReadFrom(http.MaxBytesReader(e.w, e.r.Body, limit))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, e.bodyTooLarge(limit)
	}
	if err != nil {
		return nil, readRefusal(err)
	}
	if e.r.ContentLength < 0 { // the length is known now
		release()
		if release, err = e.options.reserveBody(int64(b.Len())); err != nil {
			release = func() {}
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// bodyTooLarge refuses a body of more than limit bytes. An anonymous caller learns
// that a token raises the limit.
func (e *exchange) bodyTooLarge(limit int64) *refusal {
	if limit < e.options.Limits.JSONBytes && caller.From(e.r.Context()) == nil {
		return newRefusal(http.StatusUnauthorized, fault.Unauthenticated,
			"the body is larger than the limit of %d bytes for a request without a token: sign in, and send Authorization: Bearer <token>", limit)
	}
	return bodyTooLarge(limit)
}

// bodyName names the body in errors.
const bodyName = "the body"

// isJSON says whether a body is application/json, in UTF-8 and not compressed.
func isJSON(header http.Header) bool {
	mediaType, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	encoding := header.Get("Content-Encoding")
	return (!ok || strings.EqualFold(charset, "utf-8")) &&
		(encoding == "" || strings.EqualFold(encoding, "identity"))
}
