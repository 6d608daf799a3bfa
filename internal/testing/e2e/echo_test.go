package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/lexer"
)

// secrets are values that no answer may repeat: a password in the wrong place
// of a request is a word, a string or a number to the server.
const (
	secretWord   = "canaryInTheWrongPlace"
	secretNumber = "773100773"
)

// repeats reports whether an answer or a log holds one of the secrets.
func repeats(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(secretWord)) || strings.Contains(text, secretNumber)
}

// discreet fails the test unless a request is refused before it runs, and the
// answer repeats none of the secrets.
func discreet(t *testing.T, request string, got *answer) {
	t.Helper()
	if len(got.Errors) == 0 {
		t.Errorf("%s\nis answered %s", request, got.Body)
	}
	if repeats(string(got.Body)) {
		t.Errorf("%s\nis repeated: %s", request, got.Body)
	}
}

func TestErrors_NoPlaceOfAQueryIsRepeatedWhereItIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--log-level", "debug")
	admin := s.admin()
	for place, query := range map[string]string{
		"a bare word as a value":         `mutation { login(username: "x", password: SECRET) { token } }`,
		"two bare words":                 `mutation { login(username: "x", password: SECRET SECRET) { token } }`,
		"a word and a sign":              `mutation { login(username: "x", password: SECRET!) { token } }`,
		"a number as a string":           `mutation { login(username: "x", password: 773100773) { token } }`,
		"a float as a string":            `mutation { login(username: "x", password: 773100773.5) { token } }`,
		"a number beyond 64 bits":        `mutation { login(username: "x", password: 77310077377310077377) { token } }`,
		"a list as a string":             `mutation { login(username: "x", password: ["SECRET"]) { token } }`,
		"an input as a string":           `mutation { login(username: "x", password: {SECRET: "SECRET"}) { token } }`,
		"a string that does not end":     `mutation { login(username: "x", password: "SECRET) { token } }`,
		"a block that does not end":      `mutation { login(username: "x", password: """SECRET) { token } }`,
		"an escape":                      `mutation { login(username: "x", password: "\SECRET") { token } }`,
		"a string after a string":        `mutation { login(username: "x", password: "a" "SECRET") { token } }`,
		"a block after a string":         `mutation { login(username: "x", password: "a" """SECRET""") { token } }`,
		"a string in place of a name":    `mutation { login("SECRET": "x") { token } }`,
		"a comment":                      "mutation { login(username: \"x\", password: 1 # SECRET\n) { token } } # SECRET",
		"an argument":                    `mutation { login(username: "x", password: "y", SECRET: 1) { token } }`,
		"a field":                        `{ SECRET }`,
		"a field of a type":              `{ server { SECRET } }`,
		"fields of a scalar":             `{ server { version { SECRET } } }`,
		"an alias":                       `{ SECRET: nothing }`,
		"two fields of one alias":        `{ SECRET: __typename SECRET: server { name } }`,
		"an operation":                   `query SECRET { nothing }`,
		"two operations of a name":       `query SECRET { __typename } query SECRET { __typename }`,
		"an operation's kind":            `SECRET { __typename }`,
		"what follows the query":         `{ __typename } SECRET`,
		"a string after the query":       `{ __typename } "SECRET"`,
		"a variable":                     `query($SECRET: Int) { __typename }`,
		"a variable that is not there":   `{ node(id: $SECRET) { id } }`,
		"a variable twice":               `query($SECRET: ID!, $SECRET: ID!) { node(id: $SECRET) { id } }`,
		"a variable of another type":     `query($SECRET: Int) { node(id: $SECRET) { id } }`,
		"a variable's type":              `query($a: SECRET) { __typename }`,
		"a variable's default":           `query($a: Int = "SECRET") { devices(first: $a) { totalCount } }`,
		"a variable's default enum":      `query($a: Role = SECRET) { __typename }`,
		"a directive":                    `{ __typename @SECRET }`,
		"a directive's argument":         `{ __typename @skip(if: "SECRET") }`,
		"a directive's bare argument":    `{ __typename @skip(if: SECRET) }`,
		"an unknown one of a directive":  `{ __typename @skip(if: true, SECRET: 1) }`,
		"a fragment":                     `fragment SECRET on Query { __typename } { __typename }`,
		"a fragment that is not there":   `{ ...SECRET }`,
		"a fragment in itself":           `{ ...SECRET } fragment SECRET on Query { ...SECRET }`,
		"a fragment on no type":          `{ ... on SECRET { __typename } }`,
		"a fragment on a scalar":         `{ ...SECRET } fragment SECRET on Int { __typename }`,
		"a fragment where it cannot be":  `{ server { ...SECRET } } fragment SECRET on Device { name }`,
		"an enum's value":                `{ imageSeries(series: [], orderBy: SECRET) { totalCount } }`,
		"a string for an enum":           `{ imageSeries(series: [], orderBy: "SECRET") { totalCount } }`,
		"a string that seems to suggest": `{ imageSeries(series: [], orderBy: "x". Did you mean "SECRET"?) { totalCount } }`,
		"a field of an input":            `mutation { createUsers(input: [{username: "a", password: "correct horse", SECRET: 1}]) { users { id } } }`,
		"beside a field of an input":     `mutation { createUsers(input: [{username: "a", password: "SECRET", nope: 1}]) { users { id } } }`,
		"a string for an input":          `mutation { createUsers(input: ["SECRET"]) { users { id } } }`,
		"a word for an input":            `mutation { createUsers(input: SECRET) { users { id } } }`,
		"a time":                         `{ image(device: "0a5bb6f4", takenAt: "SECRET") { id } }`,
		"a number for a time":            `{ image(device: "0a5bb6f4", takenAt: 773100773) { id } }`,
		"an id":                          `{ node(id: "SECRET") { id } }`,
		"a number for an id":             `{ node(id: 773100773) { id } }`,
		"a length of time":               `{ activity(series: [{device: "a", start: "2020-06-20T18:00:00Z", end: "2020-06-21T18:00:00Z"}], every: "SECRET") { takenAt } }`,
		"a number for a length":          `{ activity(series: [{device: "a", start: "2020-06-20T18:00:00Z", end: "2020-06-21T18:00:00Z"}], every: 773100773) { takenAt } }`,
		"the length of a page":           `{ devices(first: 773100773) { totalCount } }`,
		"a file":                         `mutation { uploadImages(files: ["SECRET"]) { results { verdict } } }`,
		"a name a thousand times":        `{ ` + strings.Repeat("SECRET ", 1500) + `}`,
	} {
		query = strings.ReplaceAll(query, "SECRET", secretWord)
		discreet(t, place+": "+query, admin.do(query, nil))
	}
	s.stop()
	if repeats(s.logs.String()) {
		t.Errorf("the log repeats a value:\n%s", s.logs)
	}
}

func TestErrors_NoVariableOrBodyIsRepeatedWhereItIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--log-level", "debug")
	admin := s.admin()
	const create = `mutation($i: [CreateUserInput!]!) { createUsers(input: $i) { users { id } } }`
	person := func(more vars) vars {
		whole := vars{"username": "a", "password": secretWord}
		for name, value := range more {
			whole[name] = value
		}
		return vars{"i": []vars{whole}}
	}
	for _, c := range []struct {
		query     string
		variables vars
	}{
		{`mutation($p: String!) { login(username: "x", password: $p) { token } }`, vars{"p": 773100773}},
		{`mutation($p: String!) { login(username: "x", password: $p) { token } }`, vars{"p": []string{secretWord}}},
		{`mutation($p: String!) { login(username: "x", password: $p) { token } }`, vars{"p": vars{secretWord: secretWord}}},
		{`mutation($p: String!) { login(username: "x", password: $p) { token } }`, vars{secretWord: secretWord}},
		{create, vars{"i": secretWord}},
		{create, vars{"i": []string{secretWord}}},
		{create, person(vars{secretWord: 1})},
		{create, person(vars{"nope": 1})},
		{create, person(vars{"role": secretWord})},
		{create, person(vars{"role": 773100773})},
		{create, person(vars{"email": 773100773})},
		{create, person(vars{"username": nil})},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": secretWord}},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": 773100773.5}},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": json.Number(strings.Repeat(secretNumber, 4))}},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": 773100773}},
		{`query($b: Boolean!) { __typename @skip(if: $b) }`, vars{"b": secretWord}},
		{`query($at: DateTime!) { image(device: "a", takenAt: $at) { id } }`, vars{"at": secretWord}},
		{`query($at: DateTime!) { image(device: "a", takenAt: $at) { id } }`, vars{"at": 773100773}},
		{`query($k: [ImageKey!]!) { images(keys: $k) { id } }`, vars{"k": []vars{{"device": "a", "takenAt": secretWord}}}},
		{`query($k: [ImageKey!]!) { images(keys: $k) { id } }`, vars{"k": []vars{{"device": "a", secretWord: 1}}}},
		{`query($id: ID!) { node(id: $id) { id } }`, vars{"id": secretWord}},
		{`query($id: ID!) { node(id: $id) { id } }`, vars{"id": 773100773}},
		{`query($o: ImageOrder) { imageSeries(series: [], orderBy: $o) { totalCount } }`, vars{"o": secretWord}},
		{`mutation($f: [Upload!]!) { uploadImages(files: $f) { results { verdict } } }`, vars{"f": []string{secretWord}}},
		{`mutation($i: [AnnotationInput!]!) { putAnnotations(input: $i) { results { problems { message } } } }`, vars{"i": []vars{{"md5": 773100773, secretWord: secretWord}}}},
		{`mutation($i: [AnnotationInput!]!) { putAnnotations(input: $i) { results { problems { message } } } }`, vars{"i": secretWord}},
	} {
		discreet(t, fmt.Sprint(c.query, c.variables), admin.do(c.query, c.variables))
	}
	for _, body := range []string{
		secretWord, `"SECRET"`, `{"query": SECRET}`, `{"query": "SECRET"`, `{"query": ["SECRET"]}`, `{"SECRET": 1}`, `["SECRET"]`, `{"query": "{ __typename }" SECRET`,
		`{"query": "{ __typename }", "variables": "SECRET"}`, `{"query": "{ __typename }", "variables": {"a": SECRET}}`, `{"query": "{ __typename }", "extensions": "SECRET"}`,
		`{"query": "query A { __typename }", "operationName": "SECRET"}`, `{"query": "{ __typename }", "operationName": {"SECRET": 1}}`, `{"query": "SECRET", "query": 1}`,
		`{"documentId": "SECRET"}`, `{"query": "{ __typename }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "SECRET"}}}`,
		`{"extensions": {"persistedQuery": "SECRET"}}`, `{"query": "mutation($i: [AnnotationInput!]!) { putAnnotations(input: $i) { results { problems { message } } } }", "variables": {"i": [` + strings.Repeat(`{"md5": "SECRET"},`, 3000) + `SECRET]}}`,
	} {
		body = strings.ReplaceAll(body, "SECRET", secretWord)
		discreet(t, fmt.Sprintf("%.200s", body), admin.send(strings.NewReader(body), "application/json"))
	}
	discreet(t, "a media type", admin.send(strings.NewReader("{}"), "text/"+secretWord))
	discreet(t, "a URL", admin.ask(http.MethodGet, "/graphql?variables="+secretWord+"&query="+url.QueryEscape("{ "+secretWord+" }"), nil))
	forms(t, admin)
	sockets(t, admin)
	s.stop()
	if repeats(s.logs.String()) {
		t.Errorf("the log repeats a value:\n%s", s.logs)
	}
}

// forms sends uploads with a secret in each place of the form.
func forms(t *testing.T, admin *client) {
	t.Helper()
	const operations = `{"query": "mutation($f: [Upload!]!) { uploadImages(files: $f) { results { verdict } } }", "variables": {"f": [null, null]}}`
	for _, parts := range [][]string{
		{"operations", `{"query": SECRET}`},
		{"SECRET", operations},
		{"operations", operations, "map", `SECRET`},
		{"operations", operations, "map", `{"0": "SECRET"}`},
		{"operations", operations, "map", `{"SECRET": []}`},
		{"operations", operations, "map", `{"0": ["variables.SECRET"]}`},
		{"operations", operations, "map", `{"0": ["SECRET"]}`},
		{"operations", operations, "map", `{"0": ["variables.f.0"], "SECRET": ["variables.f.0"]}`},
		{"operations", operations, "map", `{"0": ["variables.f.0"]}`, "SECRET", "a"},
		{"operations", operations, "map", `{"SECRET": ["variables.f.0"]}`, "SECRET", "a", "SECRET", "a"},
		{"operations", operations, "map", `{"SECRET": ["variables.f.0"], "1": ["variables.f.1"]}`, "SECRET", strings.Repeat("a", 33<<20)},
	} {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for n := 0; n < len(parts); n += 2 {
			if err := w.WriteField(strings.ReplaceAll(parts[n], "SECRET", secretWord), strings.ReplaceAll(parts[n+1], "SECRET", secretWord)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		discreet(t, fmt.Sprintf("%.300s", fmt.Sprint(parts)), admin.send(&body, w.FormDataContentType()))
	}
}

// sockets asks by WebSocket.
func sockets(t *testing.T, admin *client) {
	t.Helper()
	socket := admin.socket(t)
	for n, payload := range []vars{
		{"query": "subscription { " + secretWord + " }"},
		{"query": "mutation($p: String!) { login(username: \"x\", password: $p) { token } }", "variables": vars{"p": 773100773}},
		{"query": "mutation { login(username: \"x\", password: " + secretWord + ") { token } }"},
	} {
		socket.send(fmt.Sprint(n), "subscribe", payload)
		// An operation that ran is answered by "next" and "complete".
		for kind := ""; kind != "error" && kind != "complete"; {
			got := socket.next()
			if kind = got.Type; kind != "complete" && (!bytes.Contains(got.Payload, []byte("BAD_USER_INPUT")) || repeats(string(got.Payload))) {
				t.Errorf("%v is answered %s %s", payload, got.Type, got.Payload)
			}
		}
	}
}

// A query with a secret in each place that can hold one without a fault.
const crowded = `query Q($first: Int = 3, $at: DateTime!) @include(if: true) {
  image(device: "SECRET", takenAt: $at) { ...F @skip(if: false) takenAt }
  devices(first: $first) { nodes { name images(first: 1, after: """SECRET""") { nodes { md5 } } } }
  imageSeries(series: [{device: "SECRET", start: $at, end: $at}], orderBy: DEVICE_TIME) { totalCount }
} # SECRET
fragment F on Image { id annotations { objects { name } } }`

func TestErrors_NoMutilatedQueryIsRepeated(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--log-level", "debug")
	admin := s.admin()
	text := strings.ReplaceAll(crowded, "SECRET", secretWord)
	type span struct{ from, to int }
	var tokens []span
	for l := lexer.New(&ast.Source{Input: text}); ; {
		token, err := l.ReadToken()
		if err != nil {
			t.Fatal(err)
		}
		if token.Kind == lexer.EOF {
			break
		}
		tokens = append(tokens, span{token.Pos.Start, token.Pos.End})
	}
	tried := 0
	for _, at := range tokens {
		for _, other := range []string{"", secretWord, " " + secretNumber + " ", `"` + secretWord + `"`, `"""` + secretWord + `"""`, "{", ")", "@" + secretWord, "$" + secretWord, text[at.from:at.to] + " " + secretWord} {
			query := text[:at.from] + other + text[at.to:]
			got := admin.do(query, vars{"at": "2020-06-20T20:00:00Z"})
			tried++
			if slices.ContainsFunc(got.Errors, func(f failure) bool { return f.Extensions.Code == "INTERNAL" }) {
				t.Errorf("%s\nis answered %s", query, got.Body)
			}
			if string(got.Data) == "" && repeats(string(got.Body)) { // what ran names its aliases
				t.Errorf("%s\nis repeated: %s", query, got.Body)
			}
		}
	}
	if tried < 500 {
		t.Errorf("%d queries were tried", tried)
	}
	s.stop()
	if repeats(s.logs.String()) {
		t.Errorf("the log repeats a value:\n%s", s.logs)
	}
}
