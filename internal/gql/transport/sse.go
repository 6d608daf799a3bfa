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

// takesEvents says whether a client can read server-sent events.
func takesEvents(header http.Header) bool {
	for item := range strings.SplitSeq(strings.Join(header.Values("Accept"), ","), ",") {
		asked, params, err := mime.ParseMediaType(item)
		if err == nil && asked == eventStream && params["q"] != "0" {
			return true
		}
	}
	return false
}

// events answers by server-sent events, in the "distinct connections mode" of
// https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md: an event
// "next" for each answer, and at the end "complete".
func (o Options) events(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, operation *graphql.OperationContext) {
	slot, refused := o.Streams.slots.enter(caller.From(r.Context()), request.From(r.Context()).Address)
	if refused != nil {
		o.refuse(w, r, refused)
		return
	}
	defer slot.leave()
	ctx, done := o.Streams.lasting(r.Context(), caller.From(r.Context()))
	defer done()
	connection := clear(w)
	header := w.Header()
	header.Set("Content-Type", eventStream+"; charset=utf-8")
	header.Set("X-Accel-Buffering", "no") // or nginx keeps events back
	send := func(text object) error {
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
		for _, piece := range text {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		return connection.Flush()
	}
	sign := object{[]byte(":\n\n")} // of life
	if send(sign) != nil {          // tells the client that it is connected
		return
	}
	next, running := exec.DispatchOperation(ctx, operation)
	answers, sent := make(chan object), make(chan struct{})
	go func() { // so that signs of life go out meanwhile
		defer close(answers)
		for {
			response := next(running)
			if response == nil {
				return
			}
			select {
			case answers <- event(response):
			case <-ctx.Done():
				return
			}
			<-sent // before next, which puts its answer in the place of this
		}
	}()
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case told, more := <-answers:
			if !more {
				if why := o.why(ctx); why != nil {
					_ = send(event(why))
				}
				_ = send(object{[]byte("event: complete\ndata:\n\n")})
				return
			}
			err = send(told)
			if err != nil {
				done()
			}
			sent <- struct{}{}
		case <-alive.C:
			err = send(sign)
		}
		if err != nil { // the client has gone, or does not read
			done()
			for range answers { // until the operation has ended
				sent <- struct{}{}
			}
			return
		}
	}
}

// event is one answer. A line break, which JSON may have between its values,
// would end the event: event makes spaces of those in the answer.
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
