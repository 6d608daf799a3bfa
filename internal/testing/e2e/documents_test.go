package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// byHash asks for a document as Apollo's clients do.
func byHash(document string) string {
	return fmt.Sprintf(`{"persistedQuery": {"version": 1, "sha256Hash": "%x"}}`, sha256.Sum256([]byte(document)))
}

func TestDocuments_AClientTeachesTheServerOnceAndNamesAfterwards(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	const document = `query Me { viewer { username } }`
	byGET := func() *answer {
		return admin.ask(http.MethodGet, "/graphql?extensions="+url.QueryEscape(byHash(document)), nil)
	}
	send := func(body string) *answer {
		return admin.ask(http.MethodPost, "/graphql", strings.NewReader(body), "Content-Type", "application/json")
	}
	if got := byGET(); got.code() != "PERSISTED_QUERY_NOT_FOUND" || got.Errors[0].Message != "PersistedQueryNotFound" {
		t.Errorf("unknown hash: got %s, want PERSISTED_QUERY_NOT_FOUND", got.Body)
	}
	if got := send(`{"query": "{ server { name } }", "extensions": ` + byHash(document) + `}`); got.code() != "BAD_USER_INPUT" {
		t.Errorf("another text under the hash: %s", got.Body)
	}
	if got := byGET(); got.code() != "PERSISTED_QUERY_NOT_FOUND" {
		t.Errorf("and then: %s", got.Body)
	}
	if got := send(`{"query": "` + document + `", "extensions": ` + byHash(document) + `}`); len(got.Errors) > 0 {
		t.Errorf("query with its hash: got %s, want no errors", got.Body)
	}
	for _, got := range []*answer{byGET(), send(`{"extensions": ` + byHash(document) + `}`), send(`{"query": null, "extensions": ` + byHash(document) + `}`)} {
		if string(got.Data) != `{"viewer":{"username":"admin"}}` || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("query by hash: got %s with Cache-Control %q, want the viewer with no-store", got.Body, got.Header.Get("Cache-Control"))
		}
	}
	// A mutation may be taught, and is no more for GET than before.
	const mutation = `mutation { createLabelSet(input: {name: "eyes", labels: [{key: "l", name: "l"}]}) { labelSet { id } } }`
	quoted, err := json.Marshal(mutation)
	if err != nil {
		t.Fatal(err)
	}
	if got := send(`{"query": ` + string(quoted) + `, "extensions": ` + byHash(mutation) + `}`); len(got.Errors) > 0 {
		t.Errorf("mutation with its hash: got %s, want no errors", got.Body)
	}
	if got := admin.ask(http.MethodGet, "/graphql?extensions="+url.QueryEscape(byHash(mutation)), nil); got.Status != http.StatusMethodNotAllowed {
		t.Errorf("a mutation by GET: %d %s", got.Status, got.Body)
	}
	for _, malformed := range []string{`5`, `{}`, `{"version": 2, "sha256Hash": "00"}`, `{"version": 1, "sha256Hash": 5}`} {
		if got := send(`{"extensions": {"persistedQuery": ` + malformed + `}}`); got.code() != "BAD_USER_INPUT" {
			t.Errorf("persistedQuery %s: got %s, want BAD_USER_INPUT", malformed, got.Body)
		}
	}
}

func TestDocuments_OnlyThoseOnTheListAreAnsweredIfTheOperatorSaysSo(t *testing.T) {
	t.Parallel()
	const document, login = `{ server { name } }`, `mutation($u: String!, $p: String!) { login(username: $u, password: $p) { token } }`
	list, err := json.Marshal(map[string]string{"a1": document, "login": login})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "trusted.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, only := range []string{"false", "true"} {
		s := start(t, "", "--trusted-documents", file, "--trusted-documents-only="+only)
		admin := s.admin() // by the text of one
		send := func(body string) *answer {
			return admin.ask(http.MethodPost, "/graphql", strings.NewReader(body), "Content-Type", "application/json")
		}
		for _, got := range []*answer{
			send(`{"documentId": "a1"}`),
			send(`{"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "a1"}}}`),
			admin.ask(http.MethodGet, "/graphql?documentId=a1", nil),
		} {
			if string(got.Data) != `{"server":{"name":"Tagma"}}` {
				t.Errorf("only %s: %s", only, got.Body)
			}
		}
		unknown, other := send(`{"documentId": "b2"}`), send(`{"query": "{ __schema { queryType { name } } }"}`)
		if only == "true" && (unknown.code() != "DOCUMENT_NOT_TRUSTED" || other.code() != "DOCUMENT_NOT_TRUSTED") ||
			only == "false" && (unknown.code() != "NOT_FOUND" || len(other.Errors) > 0) {
			t.Errorf("only %s: %s, %s", only, unknown.Body, other.Body)
		}
	}
}

func TestDocuments_AListIsCheckedWhenTheServerStarts(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "trusted.json")
	if err := os.WriteFile(file, []byte(`{"one": "{ server { nme } }", "two": "{ server {", "three": "{ server { name } }", "four": "fragment F on Image { id }"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	said := refused(t, "--trusted-documents", file)
	for _, want := range []string{`"one"`, "nme", `"two"`, `"four"`} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %s: %s", want, said)
		}
	}
	if strings.Contains(said, `"three"`) {
		t.Errorf("it finds fault with what is right: %s", said)
	}
	if said := refused(t, "--trusted-documents-only"); !strings.Contains(said, "--trusted-documents ") {
		t.Error(said)
	}
}
