// Package transport owns GraphQL over HTTP, WebSocket and server-sent events: the
// media types, methods and status codes, the size of a request, and the storage of
// uploaded files during a request. The package follows the GraphQL-over-HTTP
// specification (https://graphql.github.io/graphql-over-http) and, for files, the
// GraphQL multipart request specification
// (https://github.com/jaydenseric/graphql-multipart-request-spec).
//
// Package transport replaces the transports of gqlgen, which read bodies of any
// size, hold files in memory, and repeat a malformed body in the error.
//
// Package transport does not own the validation of an operation (package guard), nor
// authentication (package httpd). An exchange is one HTTP request and its answer.
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

// Limits bounds the size of a request. A zero means the default. The answer to a
// larger request is TOO_LARGE with status 413, or 414 for a URL.
type Limits struct {
	QueryBytes int   // the GraphQL document; for a GET, the whole encoded query of the URL. 15 KiB
	JSONBytes  int64 // the body of a POST, and the part "operations" of an upload. 2 MiB

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
		JSONBytes:  cmp.Or(l.JSONBytes, 2<<20),

		AnonymousBytes: cmp.Or(l.AnonymousBytes, l.JSONBytes, 2<<20),

		MapBytes:   cmp.Or(l.MapBytes, 64<<10),
		Files:      cmp.Or(l.Files, 100),
		FileBytes:  cmp.Or(l.FileBytes, 32<<20),
		TotalBytes: cmp.Or(l.TotalBytes, 512<<20),
	}
}

// Options holds the settings of all transports. The zero value is valid.
type Options struct {
	Limits Limits

	// TempDir is the folder of uploaded files without room in Memory. The folder must
	// exist. Empty means the folder of the system.
	TempDir string

	// Memory holds the files of uploads with a Content-Length. Nil holds none.
	Memory *Memory

	// Answers bounds the memory of answers until clients have read the answers. Nil
	// means no bound.
	Answers *cost.Pool

	// Bodies bounds the memory of JSON bodies before decoding. Nil means no bound.
	Bodies *Memory

	// Decoded bounds the memory of decoded JSON bodies. Nil means no bound.
	Decoded *Memory

	// RequestID returns the id of the request, for the extension requestId of errors.
	// Nil, or an empty id, leaves out the extension.
	RequestID func(context.Context) string

	// Streams holds the settings of WebSocket and server-sent events. Nil disables
	// both.
	Streams *Streams

	// RawLists leaves long lists among the variables of a POST undecoded, as values
	// of type RawList. An extension of the executor must then take the values out.
	RawLists bool

	// Idempotency stores the answers to mutations with an Idempotency-Key. Nil ignores
	// the header.
	Idempotency *idempotency.Keeper

	// Failed, if set, is called with the error of a request after a failure of the
	// server.
	Failed func(context.Context, error)

	// Log records failures of the server. Nil means slog.Default.
	Log *slog.Logger
}

// New returns the transports of a server, in the order for gqlgen: webSocket and
// upload support some of the requests of get and post, and come first. Without Options.Streams there is no WebSocket transport.
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
