package graph

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
	"tagma/internal/storage/database"
	"tagma/internal/storage/health"
)

// presenter writes errors into answers. What is not meant for the caller goes
// to the log, under the request's id, and to the caller as INTERNAL.
type presenter struct {
	log      *slog.Logger
	contract vocabulary
	writes   *health.Writes // nil in tests that write nothing
}

// present returns nil where the whole answer has ended: one error takes its
// place (bounded), and what else fails for that reason is neither told nor logged.
func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	meter := cost.From(ctx)
	if meter.Err() != nil {
		return nil
	}
	answer := graphql.DefaultErrorPresenter(ctx, err) // has the path and the places
	about := p.judge(ctx, err, answer)
	answer.Message = about.Message
	answer.Extensions = map[string]any{"code": string(about.Code)}
	if id := request.ID(ctx); id != "" {
		answer.Extensions["requestId"] = id
	}
	if len(about.Problems) > 0 {
		answer.Extensions["problems"] = about.Problems
	}
	if about.RetryAfter > 0 {
		answer.Extensions["retryAfter"] = int(math.Ceil(about.RetryAfter.Seconds()))
	}
	_ = meter.Hold(errorBytes)
	_ = meter.Bytes(errorBytes)
	return answer
}

// errorBytes is about what an error takes, in the answer and in memory.
const errorBytes = 512

// judge says what a caller may know of an error.
func (p presenter) judge(ctx context.Context, err error, answer *gqlerror.Error) *fault.Error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		if known.Unwrap() != nil {
			p.log.WarnContext(ctx, "request failed", "error", known, "path", answer.Path.String())
		}
		return known
	}
	switch {
	case answer.Err == nil:
		return p.aboutQuery(answer)
	case errors.Is(err, context.DeadlineExceeded),
		// A database may say first that it was told to stop.
		database.IsUnavailable(err) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "the request took too long: ask for less at once, or try again")
	case errors.Is(err, context.Canceled):
		// A token that was revoked ends its streams with that as the cause.
		if cause, ok := errors.AsType[*fault.Error](context.Cause(ctx)); ok {
			return cause
		}
		return fault.New(fault.Unavailable, "the request was given up before there was an answer")
	}
	p.log.ErrorContext(ctx, "request failed", "error", err, "path", answer.Path.String())
	if refusal, ok := errors.AsType[*fault.Error](p.writes.Explain(ctx, err)); ok {
		return refusal
	}
	if database.IsUnavailable(err) {
		return fault.New(fault.Unavailable, "the database does not answer just now: try again")
	}
	return fault.New(fault.Internal, "internal error: the server's operator finds the cause by the request id")
}

// aboutQuery is an error of the parser, of the validation or of the variables,
// in the form that Tagma's own have. Their path is into the variables, which is
// no path of an answer: it moves to the problem.
func (p presenter) aboutQuery(answer *gqlerror.Error) *fault.Error {
	message := p.contract.word(answer)
	if !inVariables(answer) {
		return fault.New(fault.BadInput, "%s", message)
	}
	at, whole := p.contract.path(answer)
	if !whole {
		message = "has an unknown field"
	}
	answer.Path = nil
	var problems fault.Problems
	problems.Add(fault.BadInput, at, "%s", message)
	err, _ := errors.AsType[*fault.Error](problems.Err())
	err.Message = "$" + err.Message
	return err
}

// mostErrors is how many errors an answer lists that has no data. Validation
// finds one in each token.
const mostErrors = 20

// shorten leaves out what nobody would read.
func (p presenter) shorten(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil && response.Data == nil && len(response.Errors) > mostErrors {
		more := fault.New(fault.BadInput, "… and %d more errors", len(response.Errors)-mostErrors)
		response.Errors = append(response.Errors[:mostErrors:mostErrors], p.present(ctx, more))
	}
	return response
}

// recovered makes an error of a panic.
func (p presenter) recovered(ctx context.Context, panicked any) error {
	p.log.ErrorContext(ctx, "panic", "value", panicked, "stack", string(debug.Stack()))
	return fault.New(fault.Internal, "internal error: the server's operator finds the cause by the request id")
}
