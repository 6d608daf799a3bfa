// Package transport owns how a GraphQL request comes in over plain HTTP and
// how its answer goes out: which media types, methods and status codes, how
// large a request may be, and where the files of an upload wait until the
// request is over. It follows the GraphQL-over-HTTP specification
// (https://graphql.github.io/graphql-over-http) and, for files, the GraphQL
// multipart request specification
// (https://github.com/jaydenseric/graphql-multipart-request-spec).
//
// It stands in for the transports that come with gqlgen, which read bodies of
// any size, keep files in memory, and repeat a broken body in their error.
//
// It does not own what a document may ask, which the executor's limits say;
// nor who is asking; nor the transports that answer more than once, which have
// to be added before POST where they too take a POST.
package transport

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
	"tagma/internal/gql/idempotency"
)

// Limits bounds what a request may bring. A zero means the default. A request
// beyond one of them is answered with TOO_LARGE: status 413, or 414 where the
// URL is too long.
type Limits struct {
	QueryBytes int   // the GraphQL document; of a GET, the whole query of the URL as sent. 15 KiB
	JSONBytes  int64 // the body of a POST, and the part "operations" of an upload. 1 MiB

	// AnonymousBytes bounds the body of a POST of an anonymous caller. JSONBytes.
	AnonymousBytes int64

	MapBytes   int64 // the part "map" of an upload. 64 KiB
	Files      int   // the files of an upload. 100
	FileBytes  int64 // one file. 32 MiB
	TotalBytes int64 // the body of an upload. 512 MiB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		QueryBytes: cmp.Or(l.QueryBytes, 15<<10),
		JSONBytes:  cmp.Or(l.JSONBytes, 1<<20),

		AnonymousBytes: cmp.Or(l.AnonymousBytes, l.JSONBytes, 1<<20),

		MapBytes:   cmp.Or(l.MapBytes, 64<<10),
		Files:      cmp.Or(l.Files, 100),
		FileBytes:  cmp.Or(l.FileBytes, 32<<20),
		TotalBytes: cmp.Or(l.TotalBytes, 512<<20),
	}
}

// Options is what the transports share. The zero value is ready for use.
type Options struct {
	Limits Limits

	// TempDir is the folder where uploaded files wait for which there is no
	// Memory. It must exist. Empty means the system's.
	TempDir string

	// Memory is where those wait whose request says how long it is.
	Memory *Memory

	// Answers is the memory that answers hold until they are read. Nil has no
	// bound.
	Answers *cost.Pool

	// Decoded is room for JSON bodies in the form in which they are decoded. Nil
	// is without bounds.
	Decoded *Memory

	// RequestID names the request in the errors of this package. Nil, or an
	// empty name, leaves it out.
	RequestID func(context.Context) string

	// Streams is for answers that come more than once. Nil means that there are
	// none.
	Streams *Streams

	// RawLists leaves long lists among the variables of a POST undecoded, as values
	// of type RawList. An extension of the executor must then take the values out.
	RawLists bool

	// Idempotency sees to it that a mutation under an Idempotency-Key takes
	// effect once. Nil means that the header is not looked at.
	Idempotency *idempotency.Keeper

	// Failed, if set, hears the error of a request that failed through no fault
	// of the caller.
	Failed func(context.Context, error)

	// Log hears why a request failed through no fault of the caller. Nil means
	// slog.Default.
	Log *slog.Logger
}

// New returns the transports of a server, in the order in which gqlgen has to try
// them. Without Options.Streams there is no WebSocket transport.
func New(options Options) []graphql.Transport {
	o := options.withDefaults()
	transports := []graphql.Transport{get{o}, upload{o}, post{o}, otherMethods{o}}
	if o.Streams == nil {
		return transports
	}
	return append([]graphql.Transport{webSocket{o}}, transports...)
}

// ErrorWriter returns a function that answers a request with one GraphQL error and
// no data, in the media type that the request accepts. Handlers before the
// transports use the function to refuse requests.
func ErrorWriter(options Options) func(w http.ResponseWriter, r *http.Request, status int, code fault.Code, message string) {
	o := options.withDefaults()
	return func(w http.ResponseWriter, r *http.Request, status int, code fault.Code, message string) {
		newExchange(o, w, r).refuse(newRefusal(status, code, "%s", message))
	}
}

// withDefaults returns the options with a value for each limit, hook and log.
func (o Options) withDefaults() *Options {
	o.Limits = o.Limits.withDefaults()
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.RequestID == nil {
		o.RequestID = func(context.Context) string { return "" }
	}
	if o.Failed == nil {
		o.Failed = func(context.Context, error) {}
	}
	return &o
}
