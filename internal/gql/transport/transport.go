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
	"errors"
	"log/slog"
	"math"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
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

func (l Limits) orDefaults() Limits {
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

	// LateVariables leaves long lists among the variables of a POST undecoded:
	// see Late. Something in the executor must then take them out.
	LateVariables bool

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

// WriteError answers with one GraphQL error and no data, in the media type that
// r asks for. It is for whatever stands before the transports and has to turn a
// request away.
func (o Options) WriteError(w http.ResponseWriter, r *http.Request, status int, code fault.Code, message string) {
	o.refuse(w, r, refuse(status, code, "%s", message))
}

// serve is the course of every request. Read gets the request's parameters out
// of wherever the method keeps them.
func (o Options) serve(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor, read func() (*graphql.RawParams, error)) {
	mediaType, acceptable := negotiate(r.Header)
	// Now rather than later, so that gqlgen's answer to a panic has it too.
	setHead(w.Header(), mediaType)
	events := o.Streams != nil && takesEvents(r.Header)
	if !acceptable && !events {
		o.refuse(w, r, refuse(http.StatusNotAcceptable, fault.BadInput,
			"Accept leaves nothing to answer with: accept %s or %s", responseJSON, plainJSON))
		return
	}

	share := o.Answers.Share()
	defer share.Release() // when the answer has been written, or its client given up
	r = r.WithContext(cost.WithShare(r.Context(), share))

	start := graphql.Now()
	params, err := read()
	if err != nil {
		o.refuse(w, r, err)
		return
	}
	if limit := o.Limits.orDefaults().QueryBytes; len(params.Query) > limit {
		o.refuse(w, r, tooLarge("the query has %d bytes: the limit is %d", len(params.Query), limit))
		return
	}
	params.Headers = r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}

	late := lateOf(params)
	operation, errs := exec.CreateOperationContext(r.Context(), params)
	if len(errs) > 0 {
		if late != nil {
			// What is wrong with a document as such comes before all else.
			if err := late.refusal(); err != nil {
				o.refuse(w, r, err)
				return
			}
		}
		response := exec.DispatchError(graphql.WithOperationContext(r.Context(), operation), errs)
		o.write(w, r, statusOf(mediaType, response), response)
		return
	}
	if events && caller.From(r.Context()) != nil && (!acceptable || operation.Operation.Operation == ast.Subscription) && mayStream(r.Method, operation) {
		o.events(w, r, exec, operation)
		return
	}
	if err := allowed(r.Method, operation); err != nil {
		o.refuse(w, r, err)
		return
	}

	run, before, err := o.once(r, operation, params.Variables)
	if err != nil {
		o.refuse(w, r, asRefusal(err))
		return
	}
	if before != nil {
		w.Header().Set(replayedHeader, "true")
		object{before}.send(w, http.StatusOK)
		return
	}
	dispatch := func(ctx context.Context) *graphql.Response {
		next, ctx := exec.DispatchOperation(ctx, operation)
		return next(ctx)
	}
	var response *graphql.Response
	if run != nil {
		response = o.carryOut(r, run, operation, dispatch)
	} else {
		response = dispatch(r.Context())
	}
	if response == nil {
		o.refuse(w, r, refuse(http.StatusServiceUnavailable, fault.Unavailable,
			"the request was cancelled before there was an answer"))
		return
	}
	o.write(w, r, statusOf(mediaType, response), response)
}

// allowed says no to what cannot be answered once, and to a GET that changes
// something. It runs before the operation does.
func allowed(method string, operation *graphql.OperationContext) error {
	switch kind := operation.Operation.Operation; {
	case kind == ast.Subscription:
		return bad("a subscription is answered more than once: send it by WebSocket or as server-sent events")
	case kind == ast.Mutation && method != http.MethodPost:
		r := refuse(http.StatusMethodNotAllowed, fault.BadInput, "a mutation changes something: send it by POST")
		r.allow = http.MethodPost
		return r
	case defers(operation):
		// gqlgen's first answer would lack the deferred fields without a word.
		return bad("@defer is answered in several parts, but this request gets one answer: leave it out")
	}
	return nil
}

// mayStream says whether an operation may be answered by events.
func mayStream(method string, operation *graphql.OperationContext) bool {
	return operation.Operation.Operation == ast.Subscription || allowed(method, operation) == nil
}

// defers says whether the executor would put off a part of the answer.
func defers(operation *graphql.OperationContext) bool {
	inForce := func(directives ast.DirectiveList) bool {
		directive := directives.ForName("defer")
		return directive != nil && directive.ArgumentMap(operation.Variables)["if"] != false
	}
	var within func(ast.SelectionSet) bool
	within = func(set ast.SelectionSet) bool {
		for _, selection := range set {
			switch s := selection.(type) {
			case *ast.Field:
				if within(s.SelectionSet) {
					return true
				}
			case *ast.InlineFragment:
				if inForce(s.Directives) || within(s.SelectionSet) {
					return true
				}
			case *ast.FragmentSpread:
				if inForce(s.Directives) {
					return true
				}
			}
		}
		return false
	}
	for _, fragment := range operation.Doc.Fragments {
		if within(fragment.SelectionSet) {
			return true
		}
	}
	return within(operation.Operation.SelectionSet)
}

// refuse answers with err, which is a *refusal unless it is a defect.
func (o Options) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		refused = refuse(http.StatusInternalServerError, fault.Internal, "internal error")
		refused.cause = err
	}
	if refused.cause != nil {
		o.log().ErrorContext(r.Context(), "a request could not be read", "error", refused.cause)
		if o.Failed != nil {
			o.Failed(r.Context(), refused.cause)
		}
	}
	if refused.allow != "" {
		w.Header().Set("Allow", refused.allow)
	}
	mediaType, _ := negotiate(r.Header)
	setHead(w.Header(), mediaType)
	errs := o.errorList(r.Context(), refused.code, refused.message)
	if refused.retryAfter > 0 {
		errs[0].Extensions["retryAfter"] = int(math.Ceil(refused.retryAfter.Seconds()))
	}
	o.write(w, r, refused.status, &graphql.Response{Errors: errs})
}

func (o Options) log() *slog.Logger { return cmp.Or(o.Log, slog.Default()) }
