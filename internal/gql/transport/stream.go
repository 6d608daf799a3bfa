package transport

import (
	"context"
	"errors"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// Streams holds the settings and the open connections of WebSocket and server-sent
// events.
type Streams struct {
	// Authenticate returns the caller of a bearer token.
	Authenticate func(ctx context.Context, bearer string) (*caller.Caller, error)

	// CallerContext returns a context that ends when the caller's token becomes
	// invalid.
	CallerContext func(ctx context.Context, c *caller.Caller) (context.Context, context.CancelFunc)

	// Stopping is a context that ends when the server stops.
	Stopping context.Context

	// Origins lists the host patterns of pages of other sites that may open a socket.
	Origins []string

	Operations  int           // at once, on one socket
	InitTimeout time.Duration // for a socket's first message
	Timeout     time.Duration // of a query or mutation on a socket

	Limits StreamLimits

	slots *slots
}

const (
	// writeTimeout is the time limit for a client to read one answer.
	writeTimeout = 10 * time.Second
	// keepAlive is the interval of heartbeats. Proxies close a connection after a
	// minute without data.
	keepAlive = 25 * time.Second
)

// NewStreams returns s with no connection open.
func NewStreams(s Streams) *Streams {
	s.slots = newSlots(s.Limits)
	return &s
}

var errStopping = errors.New("the server stops: connect again")

// context returns a context without the deadline of the request. The context ends with
// the connection, the server or the caller's token, and the cause tells which.
func (s *Streams) context(ctx context.Context, c *caller.Caller) (context.Context, context.CancelFunc) {
	ctx, end := request.WithoutDeadline(ctx)
	stop := context.AfterFunc(s.Stopping, func() { end(errStopping) })
	ctx, done := s.CallerContext(context.WithValue(ctx, endKey{}, end), c)
	return ctx, func() {
		done()
		stop()
		end(nil)
	}
}

type endKey struct{}

// EndStream ends the subscription of ctx, and sends the reason to the client. On a
// socket EndStream ends all operations and closes the socket.
func EndStream(ctx context.Context, why *fault.Error) {
	if end, ok := ctx.Value(endKey{}).(context.CancelCauseFunc); ok {
		end(why)
	}
}

// endOfStream returns the reason why a context of Streams ended, as an error for
// the client, or nil if the client ended the stream.
func (o *Options) endOfStream(ctx context.Context) *graphql.Response {
	cause := context.Cause(ctx)
	if known, ok := errors.AsType[*fault.Error](cause); ok {
		return &graphql.Response{Errors: o.errorList(ctx, known.Code, known.Message)}
	}
	if errors.Is(cause, errStopping) || o.Streams.Stopping.Err() != nil { // the source of a subscription may end first
		return &graphql.Response{Errors: o.errorList(ctx, fault.Unavailable, errStopping.Error())}
	}
	return nil
}
