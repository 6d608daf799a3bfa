package transport

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/fault"
)

// GET takes queries as parameters of the URL: query, operationName, documentId, and as
// JSON variables and extensions. It changes nothing, so that a link from another
// site can do no harm.
type GET struct{ Options Options }

var _ graphql.Transport = GET{}

// Supports says yes to a GET that does not ask for a WebSocket.
func (t GET) Supports(r *http.Request) bool {
	return r.Method == http.MethodGet && !strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Do answers r.
func (t GET) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	t.Options.serve(w, r, exec, func() (*graphql.RawParams, error) { return t.read(r.URL.RawQuery) })
}

func (t GET) read(rawQuery string) (*graphql.RawParams, error) {
	if limit := t.Options.Limits.orDefaults().QueryBytes; len(rawQuery) > limit {
		return nil, refuse(http.StatusRequestURITooLong, fault.TooLarge,
			"the query of the URL has %d bytes: the limit is %d, beyond which send it by POST", len(rawQuery), limit)
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, bad("the query of the URL is not encoded as application/x-www-form-urlencoded")
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
			return nil, bad("the parameter %q must be a JSON object or null", key)
		}
	}
	name(params, values.Get(DocumentID))
	if !values.Has("query") && !isNamed(params) {
		return nil, bad(`the URL has no parameter "query"`)
	}
	return params, nil
}
