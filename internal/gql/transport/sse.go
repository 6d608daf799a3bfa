package transport

import (
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/caller"
	"tagma/internal/base/request"
)

const eventStream = "text/event-stream"

// acceptsEvents reports whether a client can read server-sent events.
func acceptsEvents(header http.Header) bool {
	for item := range strings.SplitSeq(strings.Join(header.Values("Accept"), ","), ",") {
		mediaType, params, err := mime.ParseMediaType(item)
		if err == nil && mediaType == eventStream && params["q"] != "0" {
			return true
		}
	}
	return false
}

// stream answers with server-sent events, in the "distinct connections mode" of
// https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md: an event
// "next" for each answer, and at the end an event "complete". If stream returns an
// error, nothing is written yet.
func (e *exchange) stream(exec graphql.GraphExecutor, operation *graphql.OperationContext) error {
	by := caller.From(e.r.Context())
	slot, refused := e.options.Streams.slots.acquire(by, request.From(e.r.Context()).Address)
	if refused != nil {
		return refused
	}
	defer slot.release()
	ctx, cancel := e.options.Streams.context(e.r.Context(), by)
	defer cancel()
	events := newEventWriter(e.w)
	if events.heartbeat() != nil { // tells the client that the stream is open
		return nil
	}
	next, opCtx := exec.DispatchOperation(ctx, operation)
	answers, sent := make(chan object), make(chan struct{})
	go func() { // so that heartbeats are sent meanwhile
		defer close(answers)
		for {
			response := next(opCtx)
			if response == nil {
				return
			}
			select {
			case answers <- event(response):
			case <-ctx.Done():
				return
			}
			<-sent // before next, which reuses the memory of this answer
		}
	}()
	ticker := time.NewTicker(keepAlive)
	defer ticker.Stop()
	for {
		var err error
		select {
		case answer, ok := <-answers:
			if !ok {
				if end := e.options.endOfStream(ctx); end != nil {
					_ = events.send(event(end))
				}
				_ = events.send(object{[]byte("event: complete\ndata:\n\n")})
				return nil
			}
			err = events.send(answer)
			if err != nil {
				cancel()
			}
			sent <- struct{}{}
		case <-ticker.C:
			err = events.heartbeat()
		}
		if err != nil { // the client is gone, or does not read
			cancel()
			for range answers { // until the operation has ended
				sent <- struct{}{}
			}
			return nil
		}
	}
}

// eventWriter writes server-sent events to a connection.
type eventWriter struct {
	w          http.ResponseWriter
	connection *http.ResponseController
}

// newEventWriter sets the header of an event stream, and lifts the read deadline
// of the connection.
func newEventWriter(w http.ResponseWriter) eventWriter {
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Time{})
	header := w.Header()
	header.Set("Content-Type", eventStream+"; charset=utf-8")
	header.Set("X-Accel-Buffering", "no") // or nginx buffers events
	return eventWriter{w, connection}
}

// heartbeat sends a comment, which clients ignore.
func (e eventWriter) heartbeat() error { return e.send(object{[]byte(":\n\n")}) }

// send writes text within writeTimeout.
func (e eventWriter) send(text object) error {
	_ = e.connection.SetWriteDeadline(time.Now().Add(writeTimeout))
	for _, piece := range text {
		if _, err := e.w.Write(piece); err != nil {
			return err
		}
	}
	return e.connection.Flush()
}

// event returns an answer as a server-sent event. A line break between JSON values
// would end the event, so event replaces line breaks in the answer by spaces.
func event(response *graphql.Response) object {
	for n, c := range response.Data {
		if c == '\n' || c == '\r' {
			response.Data[n] = ' '
		}
	}
	data, err := encode(response)
	if err != nil {
		data = object{[]byte(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`)}
	}
	return append(append(object{[]byte("event: next\ndata: ")}, data...), []byte("\n\n"))
}
