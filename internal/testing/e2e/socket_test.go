package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// socket is a client's WebSocket.
type socket struct {
	*websocket.Conn
	t testing.TB
}

// frame is a message of graphql-transport-ws.
type frame struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// dial opens a socket.
func (s *server) dial(t testing.TB, options *websocket.DialOptions) (*socket, *http.Response, error) {
	t.Helper()
	if options == nil {
		options = &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, response, err := websocket.Dial(ctx, strings.Replace(s.URL, "http", "ws", 1)+"/graphql", options)
	if err != nil {
		return nil, response, err
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{conn, t}, response, nil
}

// socket is one that is signed in.
func (c *client) socket(t testing.TB) *socket {
	t.Helper()
	s, _, err := c.s.dial(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.send("", "connection_init", map[string]any{"Authorization": "Bearer " + c.Token})
	if got := s.next(); got.Type != "connection_ack" {
		t.Fatalf("answer to connection_init: got %+v, want connection_ack", got)
	}
	return s
}

func (s *socket) send(id, kind string, payload any) {
	s.t.Helper()
	m := map[string]any{"type": kind}
	if id != "" {
		m["id"] = id
	}
	if payload != nil {
		m["payload"] = payload
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := wsjson.Write(ctx, s.Conn, m); err != nil {
		s.t.Fatal(err)
	}
}

// subscribe begins a subscription, and waits until it is in force: operations
// of a socket are taken in order, and a query after it is answered.
func (s *socket) subscribe(id, query string) {
	s.t.Helper()
	s.send(id, "subscribe", map[string]any{"query": query})
}

// next is the next message.
func (s *socket) next() frame {
	s.t.Helper()
	m, err := s.read()
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *socket) read() (frame, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var m frame
	err := wsjson.Read(ctx, s.Conn, &m)
	return m, err
}

// data reads the data of the next message, which answers that operation.
func (s *socket) data(id string, to any) {
	s.t.Helper()
	m := s.next()
	var got struct {
		Data   json.RawMessage
		Errors []failure
	}
	if m.Type != "next" || m.ID != id || json.Unmarshal(m.Payload, &got) != nil || len(got.Errors) > 0 || json.Unmarshal(got.Data, to) != nil {
		s.t.Fatalf("message: got %s %s: %s, want next %s with data", m.Type, m.ID, m.Payload, id)
	}
}

// closed reads to the end, and tells how the socket was closed.
func (s *socket) closed() (websocket.StatusCode, string) {
	s.t.Helper()
	for {
		_, err := s.read()
		if closing, ok := errors.AsType[websocket.CloseError](err); ok {
			return closing.Code, closing.Reason
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// stream is server-sent events.
type stream struct {
	t     testing.TB
	lines *bufio.Scanner
}

// stream sends an operation and reads its answers by events.
func (c *client) stream(t testing.TB, query string) *stream {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.s.URL+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+c.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		t.Fatalf("event stream: got %d %s, want 200 text/event-stream", response.StatusCode, kind)
	}
	return &stream{t, bufio.NewScanner(response.Body)}
}

// next is the next event.
func (s *stream) next() (event, data string) {
	s.t.Helper()
	for s.lines.Scan() {
		line := s.lines.Text()
		if name, ok := strings.CutPrefix(line, "event: "); ok {
			event = name
		} else if text, ok := strings.CutPrefix(line, "data:"); ok {
			data = strings.TrimSpace(text)
		} else if line == "" && event != "" {
			return event, data
		}
	}
	s.t.Fatalf("the stream ended: %v", s.lines.Err())
	return "", ""
}
