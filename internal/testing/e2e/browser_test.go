package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// ask sends a request as it stands: with the caller's token, if there is one,
// and with headers, name and value in turn. An answer need not be JSON.
func (c *client) ask(method, path string, body io.Reader, header ...string) *answer {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	for pair := range slices.Chunk(header, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	got := &answer{Status: response.StatusCode, Header: response.Header, Body: text}
	_ = json.Unmarshal(text, got)
	return got
}

// refused is what the program says that does not start with these settings.
func refused(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), binary, append([]string{"--listen", "127.0.0.1:0", "--data", t.TempDir()}, args...)...)
	said, err := command.CombinedOutput()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended {
		t.Fatalf("tagma %s: got %v, want an exit status other than 0\n%s", args, err, said)
	}
	return string(said)
}

// inURL is a query as the parameters of a GET.
func inURL(query string) string { return "/graphql?query=" + url.QueryEscape(query) }

func TestBrowser_PagesOfTheListsOriginsMayUseTheServerAndNoOthers(t *testing.T) {
	t.Parallel()
	const app, evil = "https://app.example.org", "https://evil.example.org"
	s := start(t, "", "--cors-origins", "http://localhost:5173,"+app)
	admin := s.admin()
	admin.upload("REFUSE", snapshot(trap, 1, 1))
	var image struct {
		Image struct{ File struct{ URL string } }
	}
	admin.must(&image, `{ image(device: "`+trap+`", takenAt: "`+at(1)+`") { file { url } } }`, nil)
	wrong := &client{t: t, s: s, Token: "nobody's"}
	for name, ask := range map[string]func(origin string) *answer{
		"a preflight of a query": func(origin string) *answer {
			return s.anonymous().ask(http.MethodOptions, "/graphql", nil, "Origin", origin, "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "authorization,content-type")
		},
		"a preflight of an upload": func(origin string) *answer {
			return s.anonymous().ask(http.MethodOptions, "/graphql", nil, "Origin", origin, "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "apollo-require-preflight,authorization,idempotency-key")
		},
		"a preflight of a range": func(origin string) *answer {
			return s.anonymous().ask(http.MethodOptions, image.Image.File.URL, nil, "Origin", origin, "Access-Control-Request-Method", "GET",
				"Access-Control-Request-Headers", "range")
		},
		"a query": func(origin string) *answer {
			return admin.ask(http.MethodPost, "/graphql", strings.NewReader(`{"query": "{ viewer { username } }"}`), "Origin", origin, "Content-Type", "application/json")
		},
		"a token that does not hold": func(origin string) *answer {
			return wrong.ask(http.MethodGet, inURL("{ __typename }"), nil, "Origin", origin)
		},
		"a file": func(origin string) *answer {
			return s.anonymous().ask(http.MethodGet, image.Image.File.URL, nil, "Origin", origin)
		},
		"the contract": func(origin string) *answer {
			return s.anonymous().ask(http.MethodGet, "/schema.graphql", nil, "Origin", origin)
		},
	} {
		for origin, want := range map[string]string{app: app, evil: "", "null": ""} {
			got := ask(origin).Header
			if allowed := got.Get("Access-Control-Allow-Origin"); allowed != want || got.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s from %s: %q is allowed", name, origin, allowed)
			}
			if !strings.Contains(strings.Join(got.Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %s: a cache may give it to another origin: Vary is %q", name, origin, got.Values("Vary"))
			}
		}
	}
	for _, closed := range []string{"/metrics", "/readyz"} {
		if got := s.anonymous().ask(http.MethodGet, closed, nil, "Origin", app); got.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s is open to pages", closed)
		}
	}
}

func TestBrowser_AListOfOriginsThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	said := refused(t, "--cors-origins", "*,https://lab.example.org/app")
	for _, want := range []string{"--cors-origins", `"*"`, `"https://lab.example.org/app"`} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %s: %s", want, said)
		}
	}
}

// What a page of another site can make a browser send without asking the server
// first: the simple requests of the Fetch standard.
func TestBrowser_AnotherSiteCanSendNothingThatDoesAnything(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	const mutation = `mutation { createLabelSet(input: {name: "forged", labels: [{key: "a", name: "a"}]}) { labelSet { id } } }`
	body, err := json.Marshal(map[string]string{"query": mutation})
	if err != nil {
		t.Fatal(err)
	}
	before := s.rows()
	sent := 0
	// Also with the person's token, were a browser ever to add it.
	for _, c := range []*client{s.anonymous(), admin} {
		for name, ask := range map[string]func() *answer{
			"a form": func() *answer {
				return c.ask(http.MethodPost, "/graphql", strings.NewReader(url.Values{"query": {mutation}}.Encode()), "Content-Type", "application/x-www-form-urlencoded")
			},
			"JSON in plain text": func() *answer {
				return c.ask(http.MethodPost, "/graphql", strings.NewReader(string(body)), "Content-Type", "text/plain")
			},
			"JSON in a form of plain text": func() *answer {
				return c.ask(http.MethodPost, "/graphql", strings.NewReader(string(body)+"="), "Content-Type", "text/plain; charset=application/json")
			},
			"JSON without a type": func() *answer { return c.ask(http.MethodPost, "/graphql", strings.NewReader(string(body))) },
			"a link":              func() *answer { return c.ask(http.MethodGet, inURL(mutation), nil) },
			"a picture":           func() *answer { return c.ask(http.MethodGet, inURL(mutation), nil, "Accept", "image/*") },
			"a form to a link": func() *answer {
				return c.ask(http.MethodPost, inURL(mutation), strings.NewReader(""), "Content-Type", "application/x-www-form-urlencoded")
			},
			"a HEAD": func() *answer { return c.ask(http.MethodHead, inURL(mutation), nil) },
		} {
			sent++
			if got := ask(); got.Status < 400 && len(got.Errors) == 0 || got.Data != nil {
				t.Errorf("%s is answered %d %s", name, got.Status, got.Body)
			}
		}
	}
	// An upload, which alone a form of another site can imitate in full.
	upload, contentType := form(t, uploadImages, "REFUSE", snapshot(trap, 1, 1))
	if got := s.anonymous().ask(http.MethodPost, "/graphql", upload, "Content-Type", contentType); got.Status < 400 {
		t.Errorf("an upload is answered %d %s", got.Status, got.Body)
	}
	if after := s.rows(); !slices.Equal(before, after) {
		t.Errorf("%d requests have changed something", sent)
	}
	if got := admin.ask(http.MethodPost, "/graphql", strings.NewReader(string(body)), "Content-Type", "application/json"); got.Status != 200 || len(got.Errors) > 0 {
		t.Errorf("what the person means is answered %d %s", got.Status, got.Body)
	}
}

func TestBrowser_TheRequestsOfUrqlAndApolloAreTaken(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	const accept = "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed"
	urql := admin.ask(http.MethodGet, inURL("query Me { viewer { username } }")+"&operationName=Me&variables=%7B%7D", nil, "Accept", accept)
	apollo := func() *answer {
		body, contentType := form(t, uploadImages, "REFUSE", snapshot(trap, 1, 1))
		return admin.ask(http.MethodPost, "/graphql", body, "Content-Type", contentType, "Apollo-Require-Preflight", "true")
	}()
	for name, got := range map[string]*answer{"urql's query by GET": urql, "Apollo's upload": apollo} {
		if got.Status != 200 || len(got.Errors) > 0 || got.Data == nil {
			t.Errorf("%s is answered %d %s", name, got.Status, got.Body)
		}
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept: %s", name, got.Header.Get("Cache-Control"))
		}
	}
}

func TestBrowser_NoAnswerOfGraphQLIsKept(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--timeout", "1s")
	wrong := &client{t: t, s: s, Token: "nobody's"}
	for name, got := range map[string]*answer{
		"an answer":               s.anonymous().ask(http.MethodGet, inURL("{ server { name } }"), nil),
		"one with errors":         s.anonymous().ask(http.MethodGet, inURL("{ devices { totalCount } }"), nil),
		"a token of nobody":       wrong.ask(http.MethodGet, inURL("{ server { name } }"), nil),
		"an upload without token": s.anonymous().ask(http.MethodPost, "/graphql", nil, "Content-Type", "multipart/form-data; boundary=x"),
		"another type":            s.anonymous().ask(http.MethodPost, "/graphql", nil, "Content-Type", "text/plain"),
		"another method":          s.anonymous().ask(http.MethodPut, "/graphql", nil),
		"no media type":           s.anonymous().ask(http.MethodGet, inURL("{ server { name } }"), nil, "Accept", "text/html"),
		"a long URL":              s.anonymous().ask(http.MethodGet, inURL(strings.Repeat(" ", 20_000)), nil),
	} {
		if got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: Cache-Control is %q", name, got.Header.Get("Cache-Control"))
		}
	}
}
