package command

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestReady_IsWhatTheServerSays(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/readyz": status}[r.URL.Path])
		_, _ = w.Write([]byte("ready, or not\n"))
	}))
	defer server.Close()
	at := strings.TrimPrefix(server.URL, "http://")
	_, port, _ := strings.Cut(at, ":")
	for _, listen := range []string{at, ":" + port, "0.0.0.0:" + port, "localhost:" + port} {
		if said, err := askReady(t.Context(), listen); said != "ready, or not" || err != nil {
			t.Errorf("askReady %s: got %q, %v, want ready, or not", listen, said, err)
		}
	}
	status = http.StatusServiceUnavailable
	if _, err := askReady(t.Context(), at); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: ready, or not") {
		t.Errorf("askReady of a server that is not ready: got %v, want 503 and the text", err)
	}
	server.Close()
	for _, listen := range []string{at, "nonsense"} {
		if _, err := askReady(t.Context(), listen); err == nil {
			t.Errorf("%s is ready", listen)
		}
	}
}
