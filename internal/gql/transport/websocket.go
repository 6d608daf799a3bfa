package transport

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/coder/websocket"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// webSocket takes operations of any kind over a socket, by the protocol
// graphql-transport-ws:
// https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. The first message
// has the token, because browsers cannot set headers of a WebSocket: see bearerOf.
type webSocket struct{ options *Options }

const (
	protocol       = "graphql-transport-ws"
	maxOperationID = 100 // bytes
)

// The close codes of a socket: codes of the protocol, and three codes of RFC 6455.
const (
	closeBadRequest   websocket.StatusCode = 4400
	closeUnauthorized websocket.StatusCode = 4401
	closeForbidden    websocket.StatusCode = 4403
	closeProtocol     websocket.StatusCode = 4406
	closeInitTimeout  websocket.StatusCode = 4408
	closeDuplicate    websocket.StatusCode = 4409
	closeTooManyInits websocket.StatusCode = 4429
	closeInternal     websocket.StatusCode = 4500
	closeTryLater                          = websocket.StatusTryAgainLater
	closeGoingAway                         = websocket.StatusGoingAway
	closeNormal                            = websocket.StatusNormalClosure
)

// Supports reports whether r is a GET that asks for a WebSocket.
func (webSocket) Supports(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Do answers r until the socket is closed.
func (t webSocket) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	streams := t.options.Streams
	// A script may have sent its token in the header.
	slot, refused := streams.slots.acquire(caller.From(r.Context()), request.From(r.Context()).Address)
	if refused != nil {
		newExchange(t.options, w, r).refuse(refused)
		return
	}
	defer slot.release()
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:   []string{protocol},
		OriginPatterns: streams.Origins,
	})
	if err != nil { // Accept has answered
		t.options.Log.InfoContext(r.Context(), "a socket was refused", "error", err)
		return
	}
	conn.SetReadLimit(initBytes)
	s := &socket{options: t.options, conn: conn, exec: exec, slot: slot, operations: map[string]context.CancelFunc{}}
	code, reason := s.serve(r.Context())
	_ = conn.Close(code, reason)
}

// socket is one connection.
type socket struct {
	options *Options
	conn    *websocket.Conn
	exec    graphql.GraphExecutor
	slot    *slot

	work sync.WaitGroup // operations under way

	mu         sync.Mutex
	operations map[string]context.CancelFunc // by the id of the client
}

// message is a message of the protocol.
type message struct {
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// serve handles messages until the socket has to be closed, and returns the close code
// and the reason.
func (s *socket) serve(ctx context.Context) (websocket.StatusCode, string) {
	if s.conn.Subprotocol() != protocol {
		return closeProtocol, "ask for the subprotocol " + protocol
	}
	by, code, reason := s.authenticate(ctx)
	if by == nil {
		return code, reason
	}
	s.conn.SetReadLimit(s.options.Limits.JSONBytes)
	ctx, done := s.options.Streams.context(caller.With(ctx, by), by)
	defer s.work.Wait()
	defer done()
	// Reading with a context that ends would break the connection without a close code.
	defer context.AfterFunc(ctx, func() { _ = s.conn.Close(closeStatus(context.Cause(ctx))) })()
	go s.ping(ctx)
	for {
		m, code, reason := s.read()
		if m == nil {
			return code, reason
		}
		switch m.Type {
		case "ping":
			s.send(ctx, message{Type: "pong"})
		case "pong":
		case "subscribe":
			if code, reason := s.subscribe(ctx, m); code != 0 {
				return code, reason
			}
		case "complete":
			s.cancel(m.ID)
		case "connection_init":
			return closeTooManyInits, "Too many initialisation requests"
		default:
			return closeBadRequest, "a message of this type is not taken"
		}
	}
}

// closeStatus returns the close code and the reason for the cause of a context.
func closeStatus(cause error) (websocket.StatusCode, string) {
	known, ok := errors.AsType[*fault.Error](cause)
	switch {
	case ok && known.Code == fault.Unauthenticated:
		return closeForbidden, "Forbidden: " + known.Message
	case ok && known.Code == fault.Internal:
		return closeInternal, known.Message
	case ok:
		return closeTryLater, known.Message
	case errors.Is(cause, errStopping):
		return closeGoingAway, cause.Error()
	}
	return closeNormal, ""
}

// authenticate waits for the first message, and returns the caller. If the socket has to
// be closed, authenticate returns no caller, the close code and the reason.
func (s *socket) authenticate(ctx context.Context) (*caller.Caller, websocket.StatusCode, string) {
	timer := time.AfterFunc(s.options.Streams.InitTimeout, func() {
		_ = s.conn.Close(closeInitTimeout, "Connection initialisation timeout")
	})
	defer timer.Stop()
	m, code, reason := s.read()
	switch {
	case m == nil:
		return nil, code, reason
	case m.Type != "connection_init":
		return nil, closeUnauthorized, "Unauthorized"
	}
	by := caller.From(ctx)
	if bearer := bearerOf(m.Payload); bearer != "" {
		var err error
		if by, err = s.options.Streams.Authenticate(ctx, bearer); err != nil {
			if _, known := errors.AsType[*fault.Error](err); known {
				return nil, closeForbidden, "Forbidden: this token does not hold any more"
			}
			s.options.Log.ErrorContext(ctx, "cannot authenticate", "error", err)
			return nil, closeTryLater, "the token cannot be checked just now"
		}
	}
	if by == nil {
		return nil, closeForbidden, noBearer
	}
	if !s.slot.signIn(by) {
		return nil, closeTryLater, fmt.Sprintf("You have %d sockets and event streams open, the limit for one person: close one",
			s.options.Streams.Limits.Person)
	}
	s.send(ctx, message{Type: "connection_ack"})
	return by, 0, ""
}

// noBearer is the reason for a connection_init without a token. A reason has at most
// 123 bytes.
const noBearer = "Forbidden: connection_init has no token in Authorization, authorization, headers.Authorization or authToken"

// bearerOf returns the token in the payload of connection_init, or "". Clients have
// several names for the token: {"Authorization": "Bearer <token>"} in any case, the
// same within "headers", and {"authToken": "<token>"}.
func bearerOf(payload json.RawMessage) string {
	var fields map[string]any
	if json.Unmarshal(payload, &fields) != nil {
		return ""
	}
	headers, _ := fields["headers"].(map[string]any)
	return cmp.Or(authorization(fields), authorization(headers), tokenOf(fields["authToken"]))
}

// authorization returns the token in a field Authorization, in any case, or "".
func authorization(fields map[string]any) string {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if strings.EqualFold(name, "authorization") {
			if token := tokenOf(fields[name]); token != "" {
				return token
			}
		}
	}
	return ""
}

// tokenOf returns the token in a value, "Bearer <token>" or "<token>". For any other
// value tokenOf returns "".
func tokenOf(value any) string {
	text, _ := value.(string)
	words := strings.Fields(text)
	switch {
	case len(words) == 1 && !strings.EqualFold(words[0], "Bearer"):
		return words[0]
	case len(words) == 2 && strings.EqualFold(words[0], "Bearer"):
		return words[1]
	}
	return ""
}

// read returns the next message, or nil, the close code and the reason.
func (s *socket) read() (*message, websocket.StatusCode, string) {
	kind, data, err := s.conn.Read(context.Background())
	if err != nil { // closed already
		return nil, closeNormal, ""
	}
	var m message
	if kind != websocket.MessageText || json.Unmarshal(data, &m) != nil {
		return nil, closeBadRequest, "a message must be a JSON object of the protocol"
	}
	return &m, 0, ""
}

// tooManyBodies is the reason for closing a socket without room for its message.
const tooManyBodies = "The server has too many large requests: try again later"

// subscribe starts an operation. If the socket has to be closed, subscribe returns the
// close code and the reason.
func (s *socket) subscribe(ctx context.Context, m *message) (websocket.StatusCode, string) {
	if m.ID == "" || len(m.ID) > maxOperationID {
		return closeBadRequest, "subscribe needs an id of at most 100 bytes"
	}
	releaseBody, err := s.options.reserveBody(int64(len(m.Payload)))
	if err != nil {
		return closeTryLater, tooManyBodies
	}
	releaseDecoded, err := s.options.reserveDecoded(ctx, len(m.Payload))
	if err != nil {
		releaseBody()
		return closeTryLater, tooManyBodies
	}
	release := func() {
		releaseDecoded()
		releaseBody()
	}
	params, err := decodeParams("the payload", m.Payload)
	if err != nil {
		release()
		return closeBadRequest, "the payload must hold query, and may hold operationName, variables and extensions"
	}
	opCtx, cancel := context.WithCancel(request.With(ctx, request.New(request.From(ctx).Address)))
	s.mu.Lock()
	isDuplicate, isFull := s.operations[m.ID] != nil, len(s.operations) >= s.options.Streams.Operations
	if !isDuplicate && !isFull {
		s.operations[m.ID] = cancel
	}
	s.mu.Unlock()
	switch {
	case isDuplicate:
		cancel()
		release()
		return closeDuplicate, "Subscriber for " + m.ID + " already exists"
	case isFull:
		cancel()
		release()
		s.sendErrors(ctx, m.ID, s.options.errorList(opCtx, fault.TooLarge,
			fmt.Sprintf("a socket carries %d operations at once: complete one, or open another socket", s.options.Streams.Operations)))
	default:
		s.work.Go(func() {
			defer release()
			defer cancel()
			defer s.remove(m.ID)
			s.run(opCtx, m.ID, params)
		})
	}
	return 0, ""
}

func (s *socket) cancel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.operations[id]; cancel != nil {
		cancel()
	}
}

func (s *socket) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.operations, id)
}

// run answers an operation until it ends.
func (s *socket) run(ctx context.Context, id string, params *graphql.RawParams) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.options.Log.ErrorContext(ctx, "panic", "value", panicked, "stack", string(debug.Stack()))
			EndStream(ctx, fault.New(fault.Internal, "internal error"))
		}
	}()
	if limit := s.options.Limits.QueryBytes; len(params.Query) > limit {
		s.sendErrors(ctx, id, s.options.errorList(ctx, fault.TooLarge, fmt.Sprintf("the query has %d bytes: the limit is %d", len(params.Query), limit)))
		return
	}
	params.ReadTime = graphql.TraceTiming{Start: graphql.Now(), End: graphql.Now()}
	operation, errs := s.exec.CreateOperationContext(ctx, params)
	if len(errs) > 0 {
		response := s.exec.DispatchError(graphql.WithOperationContext(ctx, operation), errs)
		s.sendErrors(ctx, id, response.Errors)
		return
	}
	if operation.Operation.Operation != ast.Subscription {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.options.Streams.Timeout)
		defer cancel()
	}
	share := s.options.Answers.Share()
	defer share.Release()
	next, opCtx := s.exec.DispatchOperation(cost.WithShare(ctx, share), operation)
	for response := next(opCtx); response != nil; response = next(opCtx) {
		if err := s.sendNext(id, response); err != nil {
			s.options.Log.ErrorContext(ctx, "an answer could not be written", "error", err)
			EndStream(ctx, fault.New(fault.Internal, "internal error"))
			return
		}
	}
	if ctx.Err() == nil || operation.Operation.Operation != ast.Subscription {
		s.send(ctx, message{ID: id, Type: "complete"})
	}
}

// send sends a message. If the client does not read the message within writeTimeout, the
// connection is closed.
func (s *socket) send(ctx context.Context, m message) {
	data, err := json.Marshal(m)
	if err != nil {
		s.options.Log.ErrorContext(ctx, "a message could not be written", "error", err)
		return
	}
	// A context that ends during a message closes the connection, so ctx is not used.
	writeCtx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	_ = s.conn.Write(writeCtx, websocket.MessageText, data)
}

// longMessage is the size above which an answer is sent in pieces, without a copy, in
// bytes.
const longMessage = 64 << 10

// sendNext sends an answer.
func (s *socket) sendNext(id string, response *graphql.Response) error {
	payload, err := encode(response)
	name, nameErr := json.Marshal(id)
	if err := cmp.Or(err, nameErr); err != nil {
		return err
	}
	var whole object
	whole.add("id", name)
	whole.add("type", []byte(`"next"`))
	whole.add("payload", nil)
	whole = append(append(whole, payload...), []byte("}"))
	writeCtx, cancel := context.WithTimeout(context.Background(), writeTimeout) // as in send
	defer cancel()
	if whole.length() <= longMessage {
		_ = s.conn.Write(writeCtx, websocket.MessageText, whole.join())
		return nil
	}
	w, err := s.conn.Writer(writeCtx, websocket.MessageText)
	if err != nil { // the connection is closed
		return nil
	}
	for _, piece := range whole {
		if len(piece) == 0 { // a frame of nothing
			continue
		}
		if _, err := w.Write(piece); err != nil {
			return nil
		}
	}
	_ = w.Close()
	return nil
}

func (s *socket) sendErrors(ctx context.Context, id string, errs gqlerror.List) {
	payload, _ := json.Marshal(errs)
	s.send(ctx, message{ID: id, Type: "error", Payload: payload})
}

// ping sends pings until ctx ends, so that proxies do not close the connection. If the
// client does not answer a ping, ping closes the connection.
func (s *socket) ping(ctx context.Context) {
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		pingCtx, cancel := context.WithTimeout(ctx, writeTimeout)
		err := s.conn.Ping(pingCtx)
		cancel()
		if err != nil {
			_ = s.conn.CloseNow()
			return
		}
	}
}
