package transport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
)

// exchange is one HTTP request and its answer.
type exchange struct {
	options *Options
	w       http.ResponseWriter
	r       *http.Request

	mediaType    string // of the answer
	isAcceptable bool   // the client accepts mediaType
	hasEvents    bool   // the client accepts server-sent events, and the server sends them

	cleanup []func() // run by close, the last function first
}

// newExchange returns the exchange for r. newExchange negotiates the media type of
// the answer, and sets the header fields of all answers at once, so that gqlgen's
// answer to a panic has the fields too.
func newExchange(options *Options, w http.ResponseWriter, r *http.Request) *exchange {
	e := &exchange{options: options, w: w, r: r}
	e.mediaType, e.isAcceptable = negotiate(r.Header)
	e.hasEvents = options.Streams != nil && acceptsEvents(r.Header)
	w.Header().Set("Content-Type", e.mediaType+"; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept")
	return e
}

// serve answers the request. read returns the parameters of the request; each
// transport has the parameters in another place.
func (e *exchange) serve(exec graphql.GraphExecutor, read func() (*graphql.RawParams, error)) {
	defer e.close()
	share := e.options.Answers.Share()
	defer share.Release() // after the answer is written, or the client is gone
	e.r = e.r.WithContext(cost.WithShare(e.r.Context(), share))
	if err := e.answer(exec, read); err != nil {
		e.refuse(err)
	}
}

// close returns the memory and removes the files of the request.
func (e *exchange) close() {
	for n := len(e.cleanup) - 1; n >= 0; n-- {
		e.cleanup[n]()
	}
}

// answer runs the operation of the request and writes the answer. If answer returns
// an error, nothing is written yet.
func (e *exchange) answer(exec graphql.GraphExecutor, read func() (*graphql.RawParams, error)) error {
	if !e.isAcceptable && !e.hasEvents {
		return newRefusal(http.StatusNotAcceptable, fault.BadInput,
			"Accept leaves nothing to answer with: accept %s or %s", responseJSON, plainJSON)
	}
	params, err := e.params(read)
	if err != nil {
		return err
	}
	rawList := firstRawList(params) // before the executor takes the raw lists out
	operation, errs := exec.CreateOperationContext(e.r.Context(), params)
	if len(errs) > 0 {
		return e.writeInvalid(exec, operation, errs, rawList)
	}
	if e.hasEvents && e.mayStream(operation) {
		return e.stream(exec, operation)
	}
	if err := checkSingleAnswer(e.r.Method, operation); err != nil {
		return err
	}
	return e.execute(exec, operation, params.Variables)
}

// params returns the parameters of the request, or an error for a query that is too
// long.
func (e *exchange) params(read func() (*graphql.RawParams, error)) (*graphql.RawParams, error) {
	start := graphql.Now()
	params, err := read()
	if err != nil {
		return nil, err
	}
	if limit := e.options.Limits.QueryBytes; len(params.Query) > limit {
		return nil, tooLarge("the query has %d bytes: the limit is %d", len(params.Query), limit)
	}
	params.Headers = e.r.Header
	params.ReadTime = graphql.TraceTiming{Start: start, End: graphql.Now()}
	return params, nil
}

// writeInvalid writes the errors of an invalid operation. If the JSON of the request
// is malformed, writeInvalid returns the error of the JSON instead: raw lists are
// not parsed before.
func (e *exchange) writeInvalid(exec graphql.GraphExecutor, operation *graphql.OperationContext, errs gqlerror.List, rawList *RawList) error {
	if rawList != nil {
		if err := rawList.validateDocument(); err != nil {
			return err
		}
	}
	response := exec.DispatchError(graphql.WithOperationContext(e.r.Context(), operation), errs)
	e.write(statusOf(e.mediaType, response), response)
	return nil
}

// mayStream reports whether the operation is answered by server-sent events. A
// client that accepts JSON too gets events for subscriptions only.
func (e *exchange) mayStream(operation *graphql.OperationContext) bool {
	if caller.From(e.r.Context()) == nil {
		return false
	}
	if operation.Operation.Operation == ast.Subscription {
		return true
	}
	return !e.isAcceptable && checkSingleAnswer(e.r.Method, operation) == nil
}

// execute runs an operation with one answer, and writes the answer. For a repeated
// Idempotency-Key execute writes the stored answer instead.
func (e *exchange) execute(exec graphql.GraphExecutor, operation *graphql.OperationContext, variables map[string]any) error {
	run, stored, err := e.beginRun(operation, variables)
	if err != nil {
		return keyRefusal(err)
	}
	if stored != nil {
		e.w.Header().Set(replayedHeader, "true")
		object{stored}.send(e.w, http.StatusOK)
		return nil
	}
	dispatch := func(ctx context.Context) *graphql.Response {
		next, ctx := exec.DispatchOperation(ctx, operation)
		return next(ctx)
	}
	var response *graphql.Response
	if run != nil {
		response = e.runOnce(run, operation, dispatch)
	} else {
		response = dispatch(e.r.Context())
	}
	if response == nil {
		return newRefusal(http.StatusServiceUnavailable, fault.Unavailable,
			"the request was cancelled before there was an answer")
	}
	e.write(statusOf(e.mediaType, response), response)
	return nil
}

// refuse writes err as the answer. An err of another type than *refusal is a defect.
func (e *exchange) refuse(err error) {
	refused, ok := errors.AsType[*refusal](err)
	if !ok {
		refused = newRefusal(http.StatusInternalServerError, fault.Internal, "internal error")
		refused.cause = err
	}
	if refused.cause != nil {
		e.options.Log.ErrorContext(e.r.Context(), "a request could not be read", "error", refused.cause)
		e.options.Failed(e.r.Context(), refused.cause)
	}
	if refused.allow != "" {
		e.w.Header().Set("Allow", refused.allow)
	}
	errs := e.options.errorList(e.r.Context(), refused.code, refused.message)
	if refused.retryAfter > 0 {
		errs[0].Extensions["retryAfter"] = int(math.Ceil(refused.retryAfter.Seconds()))
	}
	e.write(refused.status, &graphql.Response{Errors: errs})
}

// write writes response. Large data is neither copied nor encoded again. With errors
// and without data the answer has no member data, because the operation did not
// run.
//
// The header Retry-After repeats the extension retryAfter, for HTTP programs without
// knowledge of GraphQL.
func (e *exchange) write(status int, response *graphql.Response) {
	for _, err := range response.Errors {
		if wait, ok := err.Extensions["retryAfter"]; ok {
			e.w.Header().Set("Retry-After", fmt.Sprint(wait))
		}
	}
	body, err := encode(response)
	if err != nil {
		e.options.Log.ErrorContext(e.r.Context(), "an answer could not be written", "error", err)
		e.refuse(newRefusal(http.StatusInternalServerError, fault.Internal, "internal error"))
		return
	}
	body.send(e.w, status)
}
