package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// refusedSocket dials a socket, for which there must be no place.
func (s *server) refusedSocket(t *testing.T, header http.Header, status int, code, words string) {
	t.Helper()
	_, response, err := s.dial(t, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: header})
	if err == nil {
		t.Errorf("a socket from %v was opened, want status %d", header, status)
		return
	}
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != status || response.Header.Get("Retry-After") == "" || !strings.Contains(string(body), code) || !strings.Contains(string(body), words) {
		t.Errorf("a socket from %v was refused with %d, Retry-After %q and %s, want %d, %s and %q",
			header, response.StatusCode, response.Header.Get("Retry-After"), body, status, code, words)
	}
}

// from is what a proxy says of a client's address.
func from(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }

func TestSocket_ThoseWhoHaveNotSignedInTakeNoPlacesFromThoseWhoHave(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--trust-proxy", "--max-pending-sockets", "5", "--max-pending-sockets-per-address", "2", "--socket-init-timeout", "10m")
	open := func(address string) *socket {
		t.Helper()
		opened, _, err := s.dial(t, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: from(address)})
		if err != nil {
			t.Fatalf("a socket from %s: %v", address, err)
		}
		return opened
	}
	open("192.0.2.1")
	first := open("192.0.2.1")
	s.refusedSocket(t, from("192.0.2.1"), http.StatusTooManyRequests, "RATE_LIMITED", "2 sockets from your address have not signed in, and the limit is 2")
	open("2001:db8::1")
	open("2001:db8::2:1")
	s.refusedSocket(t, from("2001:db8::ffff:0:0:1"), http.StatusTooManyRequests, "RATE_LIMITED", "the limit is 2")
	fifth := open("2001:db8:0:1::1")
	s.refusedSocket(t, from("192.0.2.9"), http.StatusServiceUnavailable, "UNAVAILABLE", "5 sockets have not signed in, and the limit is 5")

	// Who has an account gets in all the same, by the header or as events.
	admin := s.admin()
	header := from("192.0.2.9")
	header.Set("Authorization", "Bearer "+admin.Token)
	if _, _, err := s.dial(t, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: header}); err != nil {
		t.Errorf("a socket with a token in its header: %v", err)
	}
	admin.stream(t, `subscription { imageAdded { id } }`)

	// A place is free again when its socket signs in, or ends.
	in(first, admin)
	open("192.0.2.1")
	s.refusedSocket(t, from("192.0.2.9"), http.StatusServiceUnavailable, "UNAVAILABLE", "5 sockets")
	fifth.send("", "ping", nil) // which is not connection_init
	if code, _ := fifth.closed(); code != 4401 {
		t.Errorf("a socket that does not sign in was closed with %d, want 4401", code)
	}
	until(t, "a place that was given back is free", patience, func() bool {
		opened, _, err := s.dial(t, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}, HTTPHeader: from("192.0.2.9")})
		return err == nil && opened != nil
	})
}

func TestSocket_WithoutATrustedProxyItsHeaderSaysNothing(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-pending-sockets-per-address", "1", "--socket-init-timeout", "10m")
	if _, _, err := s.dial(t, nil); err != nil {
		t.Fatal(err)
	}
	s.refusedSocket(t, from("192.0.2.1"), http.StatusTooManyRequests, "RATE_LIMITED", "1 sockets from your address")
}

func TestSocket_OnePersonHasSoManySocketsAndStreamsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--max-streams-per-person", "3")
	admin := s.admin()
	ada := s.person(admin, "ada", "READER")
	admin.socket(t)
	last := admin.socket(t)
	admin.stream(t, `subscription { imageAdded { id } }`)

	fourth, _, err := s.dial(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	fourth.send("", "connection_init", vars{"authorization": "bearer " + admin.Token})
	if code, reason := fourth.closed(); code != websocket.StatusTryAgainLater || !strings.Contains(reason, "3 sockets and event streams open, the limit for one person") {
		t.Errorf("a fourth socket was closed with %d %q, want 1013 and the limit", code, reason)
	}
	header := http.Header{"Authorization": {"Bearer " + admin.Token}}
	s.refusedSocket(t, header, http.StatusTooManyRequests, "RATE_LIMITED", "you have 3 sockets and event streams open, and the limit is 3 for one person")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/graphql", strings.NewReader(`{"query": "subscription { imageAdded { id } }"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Bearer " + admin.Token}, "Content-Type": {"application/json"}, "Accept": {"text/event-stream"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(body), "RATE_LIMITED") {
		t.Errorf("a fourth stream: %d %s, want 429 and RATE_LIMITED", response.StatusCode, body)
	}

	ada.socket(t) // another person
	_ = last.Close(websocket.StatusNormalClosure, "")
	until(t, "a place that was given back is free", patience, func() bool {
		again, _, err := s.dial(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		again.send("", "connection_init", vars{"authorization": "bearer " + admin.Token})
		got, err := again.read()
		return err == nil && got.Type == "connection_ack"
	})
}
