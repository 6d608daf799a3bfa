package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/server/config"
	"tagma/internal/server/store"
)

// A full disk is what SQLite says when its file may not grow: to a server it is
// the same.
func TestServer_WithAFullDiskReadsGoOnAndWritesSayWhatIsFull(t *testing.T) {
	c := config.Default()
	c.Data, c.Connections = t.TempDir(), 1 // the bound below is of a connection
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logs, nil))
	st, err := store.Open(t.Context(), c, log, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	d := newDomain(c, st, log)
	password, err := d.people.EnsureAdmin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	routes, err := handler(t.Context(), c, st, d, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	token := ""
	ask := func(method, path, body string) (int, string) {
		t.Helper()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, r)
		answer, _ := io.ReadAll(w.Body)
		return w.Code, string(answer)
	}
	_, answer := ask(http.MethodPost, "/graphql", `{"query": "mutation($p: String!) { login(username: \"admin\", password: $p) { token } }", "variables": {"p": "`+password+`"}}`)
	if token = between(answer, `"token":"`, `"`); token == "" {
		t.Fatal(answer)
	}
	write := func() string {
		_, answer := ask(http.MethodPost, "/graphql", `{"query": "mutation { createAccessToken(input: {name: \"a script\", role: READER}) { token } }"}`)
		return answer
	}
	is := func(path string, status int, want string) {
		t.Helper()
		if got, body := ask(http.MethodGet, path, ""); got != status || !strings.Contains(body, want) {
			t.Errorf("%s is answered %d %q, want %d and %q", path, got, body, status, want)
		}
	}
	if answer := write(); strings.Contains(answer, "errors") {
		t.Fatal(answer)
	}
	is("/readyz", 200, "ready\n")
	is("/readyz/write", 200, "ready\n")
	is("/metrics", 200, "tagma_writable 1\n")

	var pages int
	if err := st.DB.SQL.QueryRowContext(t.Context(), "PRAGMA max_page_count = 1").Scan(&pages); err != nil { // no less than there are
		t.Fatal(err)
	}
	if _, err := st.DB.SQL.ExecContext(t.Context(), "CREATE TABLE filler (content blob)"); err == nil { // what pages are free is used up first
		for err == nil {
			_, err = st.DB.SQL.ExecContext(t.Context(), "INSERT INTO filler VALUES (zeroblob(?))", 3000)
		}
	}
	for range 60 { // a page has room for some rows
		if answer = write(); strings.Contains(answer, "errors") {
			break
		}
	}
	if !strings.Contains(answer, "UNAVAILABLE") || !strings.Contains(answer, "disk full") || strings.Contains(answer, c.Data) {
		t.Errorf("a write is answered %s", answer)
	}
	is("/readyz", 200, "ready\nread-only: disk full\n")
	is("/readyz/write", 503, "read-only: disk full\n")
	is("/metrics", 200, "tagma_writable 0\n")
	if _, answer := ask(http.MethodPost, "/graphql", `{"query": "{ viewer { username } devices { nodes { name } } }"}`); strings.Contains(answer, "errors") {
		t.Errorf("a read is answered %s", answer)
	}
	for _, part := range []string{"level=ERROR", "disk full", c.Data, "room"} {
		if !strings.Contains(logs.String(), part) {
			t.Errorf("the log does not say %q", part)
		}
	}

	if _, err := st.DB.SQL.ExecContext(t.Context(), "PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	if answer := write(); strings.Contains(answer, "errors") {
		t.Errorf("with room again a write is answered %s", answer)
	}
	if err := st.ProbeWrite(t.Context()); err != nil {
		t.Errorf("with room again the probe says %v", err)
	}
}

// between returns what stands in a text between two others.
func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	found, _, _ := strings.Cut(rest, after)
	return found
}
