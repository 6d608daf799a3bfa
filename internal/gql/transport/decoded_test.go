package transport_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tagma/internal/base/caller"
	"tagma/internal/gql/transport"
)

// posted is the answer to a JSON body of so many bytes.
func posted(server http.Handler, by *caller.Caller, length int) *httptest.ResponseRecorder {
	body := `{"query": "{ hello }", "padding": "`
	body += strings.Repeat("x", length-len(body)-2) + `"}`
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r = r.WithContext(caller.With(r.Context(), by))
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

func TestPOST_WithoutATokenALargeBodyIsRefused(t *testing.T) {
	server := newServer(transport.Options{Limits: transport.Limits{AnonymousBytes: 1000, JSONBytes: 5000}}, describe)
	for _, c := range []struct {
		by      *caller.Caller
		length  int
		refused string
	}{
		{nil, 1000, ""},
		{nil, 1001, "UNAUTHENTICATED"},
		{&caller.Caller{UserID: 1}, 1001, ""},
		{&caller.Caller{UserID: 1}, 5000, ""},
		{&caller.Caller{UserID: 1}, 5001, "TOO_LARGE"},
	} {
		got := posted(server, c.by, c.length)
		for _, code := range []string{"UNAUTHENTICATED", "TOO_LARGE"} {
			if strings.Contains(got.Body.String(), code) != (code == c.refused) {
				t.Errorf("%d bytes of %v: %d %s, want %q", c.length, c.by, got.Code, got.Body, c.refused)
			}
		}
	}
}

func TestPOST_LargeBodiesWaitForRoomAndSmallOnesGoBy(t *testing.T) {
	const length = 100_000
	entered, release := make(chan struct{}), make(chan struct{})
	server := newServer(transport.Options{Decoded: transport.NewMemory(length * 32)}, func(ctx context.Context, variables map[string]any) ([]byte, error) {
		if variables["size"] != nil {
			entered <- struct{}{}
			<-release
		}
		return []byte(`{}`), nil
	})
	send := func(ctx context.Context, variables string, length int) *httptest.ResponseRecorder {
		body := `{"query": "query($size: Int) { hello(size: $size) }", "variables": ` + variables + `, "padding": "`
		body += strings.Repeat("x", length-len(body)-2) + `"}`
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body)).WithContext(ctx)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		return w
	}
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- send(t.Context(), `{"size": 1}`, length) }()
	select {
	case <-entered:
	case got := <-first:
		t.Fatalf("the first large body: %d %s", got.Code, got.Body)
	}
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	if got := send(gone, `{}`, length); got.Code != http.StatusServiceUnavailable || !strings.Contains(got.Body.String(), "too many large bodies are under way") {
		t.Errorf("a second large body: %d %s, want 503 and UNAVAILABLE once its sender is gone", got.Code, got.Body)
	}
	if got := send(t.Context(), `{}`, 1000); got.Code != http.StatusOK {
		t.Errorf("a small body: %d %s, want 200", got.Code, got.Body)
	}
	close(release)
	if got := <-first; got.Code != http.StatusOK {
		t.Errorf("the first large body: %d %s, want 200", got.Code, got.Body)
	}
	if got := send(t.Context(), `{}`, length); got.Code != http.StatusOK {
		t.Errorf("a large body after the first: %d %s, want 200", got.Code, got.Body)
	}
}

func TestPOST_BodiesWithoutRoomAreRefusedBeforeTheyAreRead(t *testing.T) {
	const length = 100_000
	server := newServer(transport.Options{Bodies: transport.NewMemory(3 * length / 2)}, describe)
	by := &caller.Caller{UserID: 1}
	body, more := io.Pipe()
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		r := httptest.NewRequest(http.MethodPost, "/graphql", body)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = length
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r.WithContext(caller.With(r.Context(), by)))
		first <- w
	}()
	if _, err := io.WriteString(more, `{"query": "{ hello }", "padding": "`); err != nil { // returns when the server reads
		t.Fatal(err)
	}
	got := posted(server, by, length)
	if got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") != "1" || !strings.Contains(got.Body.String(), "too many large bodies are under way") {
		t.Errorf("a second large body: got %d %v %s, want 503 with Retry-After", got.Code, got.Header(), got.Body)
	}
	if got := posted(server, by, 1000); got.Code != http.StatusOK {
		t.Errorf("a small body: got %d %s, want 200", got.Code, got.Body)
	}
	chunked := httptest.NewRequest(http.MethodPost, "/graphql", io.MultiReader(strings.NewReader(`{"query": "{ hello }"}`)))
	chunked.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, chunked.WithContext(caller.With(chunked.Context(), by)))
	if w.Code != http.StatusServiceUnavailable { // it may be as large as the limit
		t.Errorf("a body of unknown length: got %d %s, want 503", w.Code, w.Body)
	}
	_, _ = io.WriteString(more, `"}`)
	_ = more.Close()
	if got := <-first; got.Code != http.StatusOK {
		t.Errorf("the first body: got %d %s, want 200", got.Code, got.Body)
	}
	if got := posted(server, by, length); got.Code != http.StatusOK {
		t.Errorf("a large body after the first: got %d %s, want 200", got.Code, got.Body)
	}
}
