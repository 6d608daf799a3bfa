package transport_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/fault"
	"tagma/internal/gql/transport"
)

const (
	response = "application/graphql-response+json"
	plain    = "application/json"
)

func TestRequest_EachMistakeHasItsStatusAndCode(t *testing.T) {
	query := func(q string) string { return "query=" + url.QueryEscape(q) }
	long := "{" + strings.Repeat(" ", 15<<10) + "hello }"
	for _, c := range []struct {
		name    string
		request *http.Request
		status  int
		code    string
		says    string
	}{
		{"a query", post(`{"query":"{ hello }"}`), 200, "", ""},
		{"a charset of UTF-8", post(`{"query":"{ hello }"}`, "Content-Type", `application/json; charset="UTF-8"`), 200, "", ""},
		{"an unknown key", post(`{"query":"{ hello }", "Query":7, "id":1}`), 200, "", ""},
		{"nulls", post(`{"query":"{ hello }","variables":null,"operationName":null,"extensions":null}`), 200, "", ""},
		{"a mutation", post(`{"query":"mutation { __typename }"}`), 200, "", ""},
		{"an offer of HTTP/2", post(`{"query":"{ hello }"}`, "Upgrade", "h2c", "Connection", "Upgrade"), 200, "", ""},

		{"no content type", post(`{"query":"{ hello }"}`, "Content-Type", ""), 415, "BAD_USER_INPUT", "Content-Type"},
		{"text", post(`{"query":"{ hello }"}`, "Content-Type", "text/plain"), 415, "BAD_USER_INPUT", "Content-Type"},
		{"a URL-encoded form", post(`query={hello}`, "Content-Type", "application/x-www-form-urlencoded"), 415, "BAD_USER_INPUT", "Content-Type"},
		{"another charset", post(`{"query":"{ hello }"}`, "Content-Type", "application/json; charset=latin1"), 415, "BAD_USER_INPUT", "UTF-8"},
		{"a compressed body", post(`{"query":"{ hello }"}`, "Content-Encoding", "gzip"), 415, "BAD_USER_INPUT", "encoding"},
		{"no body", post(``), 400, "BAD_USER_INPUT", "empty"},
		{"broken JSON", post(`{"query":"hunter2`), 400, "BAD_USER_INPUT", "byte 17"},
		{"two documents", post(`{"query":"{ hello }"} {}`), 400, "BAD_USER_INPUT", "not valid JSON"},
		{"a body that is not UTF-8", post("{\"query\":\"{ hello } # \xff\"}"), 400, "BAD_USER_INPUT", "UTF-8"},
		{"a batch", post(` [{"query":"{ hello }"}]`), 400, "BAD_USER_INPUT", "batching is not supported"},
		{"null", post(`null`), 400, "BAD_USER_INPUT", "JSON object"},
		{"a string", post(`"hunter2"`), 400, "BAD_USER_INPUT", "JSON object"},
		{"a deep body", post(strings.Repeat(`{"a":`, 20000)), 400, "BAD_USER_INPUT", "not valid JSON"},
		{"no query", post(`{"qeury":"{ hello }"}`), 400, "BAD_USER_INPUT", `"query" must be a string`},
		{"a null query", post(`{"query":null}`), 400, "BAD_USER_INPUT", `"query" must be a string`},
		{"a numeric query", post(`{"query":7}`), 400, "BAD_USER_INPUT", `"query" must be a string`},
		{"a list of variables", post(`{"query":"{ hello }","variables":["hunter2"]}`), 400, "BAD_USER_INPUT", `"variables" must be an object or null`},
		{"variables in a string", post(`{"query":"{ hello }","variables":"{}"}`), 400, "BAD_USER_INPUT", `"variables"`},
		{"an operation name that is none", post(`{"query":"{ hello }","operationName":{}}`), 400, "BAD_USER_INPUT", `"operationName"`},
		{"extensions that are none", post(`{"query":"{ hello }","extensions":0}`), 400, "BAD_USER_INPUT", `"extensions"`},
		{"a large body", post(`{"query":"{ hello }","pad":"` + strings.Repeat("x", 2<<20) + `"}`), 413, "TOO_LARGE", "2097152"},
		{"a long query", post(`{"query":"` + long + `"}`), 413, "TOO_LARGE", "15360"},
		{"a subscription", post(`{"query":"subscription { tick }"}`), 400, "BAD_USER_INPUT", "WebSocket"},
		{"an Accept that leaves nothing", post(`{"query":"{ hello }"}`, "Accept", "text/html"), 406, "BAD_USER_INPUT", "Accept"},

		{"GET: a query", get(query("{ hello }")), 200, "", ""},
		{"GET: everything", get(query("query A($name: String) { hello(name: $name) }") + `&operationName=A&variables={"name":"x"}&extensions={}`), 200, "", ""},
		{"GET: null variables", get(query("{ hello }") + "&variables=null&extensions="), 200, "", ""},
		{"GET: a mutation", get(query("mutation { __typename }")), 405, "BAD_USER_INPUT", "POST"},
		{"GET: a subscription", get(query("subscription { tick }")), 400, "BAD_USER_INPUT", "WebSocket"},
		{"GET: no query", get("operationName=A"), 400, "BAD_USER_INPUT", `"query"`},
		{"GET: broken encoding", get("query=%zz"), 400, "BAD_USER_INPUT", "encoded"},
		{"GET: broken variables", get(query("{ hello }") + "&variables={"), 400, "BAD_USER_INPUT", `"variables"`},
		{"GET: two variables", get(query("{ hello }") + "&variables={}{}"), 400, "BAD_USER_INPUT", `"variables"`},
		{"GET: a list of extensions", get(query("{ hello }") + "&extensions=[]"), 400, "BAD_USER_INPUT", `"extensions"`},
		{"GET: a long URL", get(query(long)), 414, "TOO_LARGE", "15360"},

		{"PUT", httptest.NewRequest(http.MethodPut, "/graphql", nil), 405, "BAD_USER_INPUT", "GET or POST"},
		{"OPTIONS", httptest.NewRequest(http.MethodOptions, "/graphql", nil), 204, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := do(t, newServer(transport.Options{}, hello), c.request)
			if a.status != c.status || a.code() != c.code || !strings.Contains(a.message(), c.says) {
				t.Errorf("%d %s: want %d %s with %q", a.status, a.body, c.status, c.code, c.says)
			}
			if strings.Contains(string(a.body), "hunter2") {
				t.Errorf("the answer repeats the body: %s", a.body)
			}
			if wants := a.status == http.StatusMethodNotAllowed; wants != (a.header.Get("Allow") != "") && c.name != "OPTIONS" {
				t.Errorf("Allow is %q with status %d", a.header.Get("Allow"), a.status)
			}
		})
	}
}

func TestParams_HalfOfASurrogatePairIsRefused(t *testing.T) {
	escaped := func(half string) []*http.Request {
		variables := `{"name":"a` + half + `"}`
		body := `{"query":"query ($name: String) { hello(name: $name) }","variables":` + variables + `}`
		long := `{"query":"query ($name: String) { hello(name: $name) }","variables":{"other":["` + strings.Repeat("x", 20_000) + half + `"]}}`
		return []*http.Request{
			post(body), post(body, "Idempotency-Key", "a"), post(long),
			get("query=%7Bhello%7D&variables=" + url.QueryEscape(variables)),
			upload(strings.NewReader(form(operations(body), fileMap(`{}`)))),
		}
	}
	for _, rawLists := range []bool{false, true} {
		server := newServer(transport.Options{RawLists: rawLists}, hello)
		for n, r := range escaped(`\ud83d`) {
			if a := do(t, server, r); a.status != 400 || !strings.Contains(string(a.body), "half of a surrogate pair at byte") {
				if rawLists && n == 2 { // the executor of package graph decodes the list
					continue
				}
				t.Errorf("request %d: got %d %s, want 400 and the byte", n, a.status, a.body)
			}
		}
	}
	for n, r := range escaped(`\ud83d\ude00`) {
		if a := do(t, newServer(transport.Options{}, hello), r); a.status != 200 {
			t.Errorf("request %d with a whole pair: got %d %s, want 200", n, a.status, a.body)
		}
	}
}

func TestAnswer_StatusFollowsTheMediaTypeForARequestThatNeverRan(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"a syntax error", `{"query":"{"}`},
		{"an unknown field", `{"query":"{ nothing }"}`},
		{"a variable that cannot be coerced", `{"query":"query ($id: ID!) { __typename }","variables":{"id":null}}`},
		{"an operation that is not there", `{"query":"query A { hello }","operationName":"B"}`},
	} {
		for mediaType, status := range map[string]int{response: 400, plain: 200} {
			a := do(t, newServer(transport.Options{}, hello), post(c.body, "Accept", mediaType))
			if a.status != status || len(a.Errors) == 0 || strings.Contains(string(a.body), `"data"`) {
				t.Errorf("%s as %s: %d %s", c.name, mediaType, a.status, a.body)
			}
		}
	}
}

func TestAnswer_AnOperationThatRanIs200WhateverBecameOfIt(t *testing.T) {
	fails := func(context.Context, map[string]any) ([]byte, error) { return nil, errors.New("no") }
	for _, mediaType := range []string{response, plain} {
		a := do(t, newServer(transport.Options{}, fails), post(`{"query":"{ hello }"}`, "Accept", mediaType))
		if a.status != 200 || string(a.body) != `{"errors":[{"message":"no"}],"data":null}` {
			t.Errorf("%s: got %d %s, want 200 and data null beside the error", mediaType, a.status, a.body)
		}
	}
}

func TestAnswer_AnOperationTurnedAwayHasTheStatusOfItsCode(t *testing.T) {
	for code, status := range map[fault.Code]int{
		fault.Unauthenticated: 401,
		fault.Forbidden:       403,
		fault.RateLimited:     429,
		fault.Unavailable:     503,
		fault.Internal:        500,
		fault.TooLarge:        400,
		"":                    400,
	} {
		server := newServer(transport.Options{}, hello)
		server.AroundOperations(func(context.Context, graphql.OperationHandler) graphql.ResponseHandler {
			return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{{Message: "no", Extensions: map[string]any{"code": code}}}})
		})
		if a := do(t, server, post(`{"query":"{ hello }"}`, "Accept", response)); a.status != status {
			t.Errorf("%s: %d, want %d", code, a.status, status)
		}
		if a := do(t, server, post(`{"query":"{ hello }"}`, "Accept", plain)); a.status != 200 {
			t.Errorf("%s: %d, want 200 in %s", code, a.status, plain)
		}
	}
}

func TestAnswer_HowLongToWaitStandsInTheHeadToo(t *testing.T) {
	server := newServer(transport.Options{}, hello)
	server.AroundResponses(func(context.Context, graphql.ResponseHandler) *graphql.Response {
		return &graphql.Response{Errors: gqlerror.List{{Message: "no"}, {Message: "wait", Extensions: map[string]any{"retryAfter": 7}}}}
	})
	if a := do(t, server, post(`{"query":"{ hello }"}`)); a.header.Get("Retry-After") != "7" {
		t.Errorf("got Retry-After %q, want 7", a.header.Get("Retry-After"))
	}
	if a := do(t, newServer(transport.Options{}, hello), post(`{"query":"{ hello }"}`)); a.header.Get("Retry-After") != "" {
		t.Errorf("got Retry-After %q, want none", a.header.Get("Retry-After"))
	}
}

func TestAnswer_DataGoesOutAsItIs(t *testing.T) {
	// encoding/json would take out the blanks and escape the bracket.
	data := `{ "hello" : "<` + strings.Repeat("x", 100_000) + `" }`
	server := newServer(transport.Options{}, func(context.Context, map[string]any) ([]byte, error) { return []byte(data), nil })
	server.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		r := next(ctx)
		r.Extensions = map[string]any{"cost": 1}
		return r
	})
	a := do(t, server, post(`{"query":"{ hello }"}`))
	if want := `{"data":` + data + `,"extensions":{"cost":1}}`; string(a.body) != want {
		t.Errorf("got %.100s…, want %.100s…, byte for byte", a.body, want)
	}
	if a.header.Get("Content-Length") == "" {
		t.Error("no Content-Length")
	}
}

func TestAnswer_WhatCannotBeEncodedIsAnInternalError(t *testing.T) {
	server := newServer(transport.Options{Log: quiet()}, hello)
	server.AroundResponses(func(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
		r := next(ctx)
		r.Extensions = map[string]any{"cost": func() {}}
		return r
	})
	if a := do(t, server, post(`{"query":"{ hello }"}`)); a.status != 500 || a.code() != "INTERNAL" {
		t.Errorf("got %d %s, want 500 and INTERNAL", a.status, a.body)
	}
}

func TestAnswer_ACancelledOperationIsUnavailable(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := newServer(transport.Options{}, hello)
	server.AroundOperations(func(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
		defer cancel()
		return next(ctx)
	})
	w := httptest.NewRecorder()
	server.ServeHTTP(w, post(`{"query":"{ hello }"}`).WithContext(ctx))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "UNAVAILABLE") {
		t.Errorf("got %d %s, want 503 and UNAVAILABLE", w.Code, w.Body)
	}
}

func TestVariables_ANumberKeepsEveryDigit(t *testing.T) {
	const id = "9007199254740993"
	body := `{"query":"query ($size: Int) { hello(size: $size) }","variables":{"size":` + id + `}}`
	a := do(t, newServer(transport.Options{}, hello), post(body))
	if string(a.Data) != `{"size":`+id+`}` {
		t.Errorf("got %s, want the size %s", a.body, id)
	}
}

func TestRequest_TheExecutorLearnsTheHeadersAndTheTimeItTookToRead(t *testing.T) {
	var seen *graphql.OperationContext
	server := newServer(transport.Options{}, func(ctx context.Context, _ map[string]any) ([]byte, error) {
		seen = graphql.GetOperationContext(ctx)
		return []byte(`{}`), nil
	})
	do(t, server, post(`{"query":"{ hello }","extensions":{"a":1}}`, "X-Trap", "0a1b2c3d"))
	if seen.Headers.Get("X-Trap") != "0a1b2c3d" || seen.Extensions["a"] != json.Number("1") {
		t.Errorf("got headers %v and extensions %v, want X-Trap 0a1b2c3d and a 1", seen.Headers, seen.Extensions)
	}
	if read := seen.Stats.Read; read.Start.IsZero() || read.End.Before(read.Start) {
		t.Errorf("got %v, want a start that is set and an end after it", read)
	}
}

func TestErrorWriter_SpeaksTheCallersMediaTypeAndNamesTheRequest(t *testing.T) {
	options := transport.Options{RequestID: func(context.Context) string { return "r1" }}
	for accept, mediaType := range map[string]string{"": plain, response: response, "text/html": plain} {
		w := httptest.NewRecorder()
		transport.ErrorWriter(options)(w, post("", "Accept", accept), 401, fault.Unauthenticated, "who?")
		want := `{"errors":[{"message":"who?","extensions":{"code":"UNAUTHENTICATED","requestId":"r1"}}]}`
		if w.Code != 401 || w.Body.String() != want || w.Header().Get("Content-Type") != mediaType+"; charset=utf-8" {
			t.Errorf("Accept %q: got %d %v %s, want 401 %s %s", accept, w.Code, w.Header(), w.Body, mediaType, want)
		}
	}
}

func TestRequest_ABodyThatStallsIsWorthAnotherTry(t *testing.T) {
	listening := httptest.NewUnstartedServer(newServer(transport.Options{TempDir: t.TempDir()}, hello))
	listening.Config.ReadHeaderTimeout = time.Minute // a slow machine is not what is tested
	listening.Config.ReadTimeout = 50 * time.Millisecond
	listening.Start()
	defer listening.Close()
	const (
		head  = "--edge\r\nContent-Disposition: form-data; name=\"operations\""
		first = head + "\r\n\r\n" + `{"query":"{ hello }"}`
	)
	for name, c := range map[string]struct{ contentType, arrives string }{
		"before its first byte":           {plain, ""},
		"in the middle of it":             {plain, `{"query":`},
		"before the first part":           {"multipart/form-data; boundary=edge", ""},
		"within a boundary":               {"multipart/form-data; boundary=edge", "--ed"},
		"within the head of the first":    {"multipart/form-data; boundary=edge", head[:30]},
		"after the head of the first":     {"multipart/form-data; boundary=edge", head + "\r\n\r\n"},
		"within the first":                {"multipart/form-data; boundary=edge", first[:len(first)-5]},
		"within the boundary after it":    {"multipart/form-data; boundary=edge", first + "\r\n--ed"},
		"within the head of the next one": {"multipart/form-data; boundary=edge", first + "\r\n--edge\r\nContent-Dis"},
	} {
		stalled, writer := io.Pipe()
		go func() { _, _ = writer.Write([]byte(c.arrives)) }()
		a := send(t, listening, with(httptest.NewRequest(http.MethodPost, "/graphql", stalled),
			"Content-Type", c.contentType, "GraphQL-Require-Preflight", "1"))
		_ = writer.Close()
		if a.status != http.StatusRequestTimeout || a.code() != "UNAVAILABLE" {
			t.Errorf("%s: got %d %s, want 408 and UNAVAILABLE", name, a.status, a.body)
		}
	}
}

func TestAccept_TheBestOfTwoMediaTypesIsChosen(t *testing.T) {
	const urql = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
	for _, c := range []struct {
		accept, want string // an empty want stands for 406
	}{
		{"", plain},
		{"   ", plain},
		{"*/*", plain},
		{"application/*", plain},
		{plain, plain},
		{response, response},
		{"APPLICATION/JSON", plain},
		{"application/json; charset=utf-8", plain},
		{urql, response},
		{"application/json, application/graphql-response+json", plain},
		{"application/json;q=0.9, application/graphql-response+json", response},
		{"application/graphql-response+json;q=0.1, application/json;q=0.2", plain},
		{"application/graphql-response+json, */*", response},
		{"*/*, application/graphql-response+json", response},
		{"text/html, application/xhtml+xml, */*;q=0.8", plain},
		{"application/json;q=0, */*", response},
		{"application/json;q=0, application/*;q=0.5", response},
		{"application/graphql-response+json;q=2, application/json", plain},
		{"application/graphql-response+json;q=NaN, application/json", plain},
		{"application/graphql-response+json; =, application/json", plain},
		{"text/event-stream", ""},
		{"application/graphql+json", ""},
		{"application/json;q=0", ""},
		{"*/*;q=0", ""},
		{"nonsense", ""},
	} {
		a := do(t, newServer(transport.Options{}, hello), post(`{"query":"{ hello }"}`, "Accept", c.accept))
		mediaType, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
		if c.want == "" && a.status == 406 && mediaType == plain || a.status == 200 && mediaType == c.want {
			continue
		}
		t.Errorf("%q: %d %s, want %q", c.accept, a.status, mediaType, c.want)
	}
}
