package transport

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/fault"
)

// get takes queries as parameters of the URL: query, operationName, documentId, and
// as JSON variables and extensions. A GET changes nothing, so that a link from
// another site can do no harm.
type get struct{ options *Options }

// Supports reports whether r is a GET that does not ask for a WebSocket.
func (get) Supports(r *http.Request) bool {
	return r.Method == http.MethodGet && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Do answers r.
func (t get) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	e := newExchange(t.options, w, r)
	e.serve(exec, e.readURL)
}

// readURL returns the parameters in the query of the URL.
func (e *exchange) readURL() (*graphql.RawParams, error) {
	rawQuery := e.r.URL.RawQuery
	if limit := e.options.Limits.QueryBytes; len(rawQuery) > limit {
		return nil, newRefusal(http.StatusRequestURITooLong, fault.TooLarge,
			"the query of the URL has %d bytes: the limit is %d, beyond which send it by POST", len(rawQuery), limit)
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, badRequest("the query of the URL is not encoded as application/x-www-form-urlencoded")
	}
	params := &graphql.RawParams{Query: values.Get("query"), OperationName: values.Get("operationName")}
	for key, target := range map[string]*map[string]any{
		"variables":  &params.Variables,
		"extensions": &params.Extensions,
	} {
		value := values.Get(key)
		if value == "" {
			continue
		}
		if !json.Valid([]byte(value)) || decodeValue([]byte(value), target) != nil {
			return nil, badRequest("the parameter %q must be a JSON object or null", key)
		}
		if err := loneSurrogate(fmt.Sprintf("the parameter %q", key), []byte(value)); err != nil {
			return nil, err
		}
	}
	setDocumentID(params, values.Get(DocumentID))
	if !values.Has("query") && !namesDocument(params) {
		return nil, badRequest(`the URL has no parameter "query"`)
	}
	return params, nil
}
