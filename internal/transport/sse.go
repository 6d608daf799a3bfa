package transport

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/caller"
	"tagma/internal/request"
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
	send := func(text string) error {
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return connection.Flush()
	}
	if send(":\n\n") != nil { // tells the client that it is connected
		return
	}
	next, running := exec.DispatchOperation(ctx, operation)
	answers := make(chan string)
	go func() { // so that signs of life go out meanwhile
		defer close(answers)
		for {
			response := next(running)
			if response == nil {
				return
			}
			told := event(response) // before next, which puts its answer in the place of this
			select {
			case answers <- told:
			case <-ctx.Done():
				return
			}
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
				_ = send("event: complete\ndata:\n\n")
				return
			}
			err = send(told)
		case <-alive.C:
			err = send(":\n\n")
		}
		if err != nil { // the client has gone, or does not read
			done()
			for range answers { // until the operation has ended
			}
			return
		}
	}
}

// event is one answer. JSON has no line breaks.
func event(response *graphql.Response) string {
	data, err := json.Marshal(response)
	if err != nil {
		data = []byte(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`)
	}
	return fmt.Sprintf("event: next\ndata: %s\n\n", data)
}
