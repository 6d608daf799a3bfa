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

// errorPresenter writes errors into answers. An internal error
// goes to the log with the id of the request, and the caller gets INTERNAL.
type errorPresenter struct {
	log      *slog.Logger
	contract vocabulary
	writes   *health.Writes // nil in tests that write nothing
}

// present returns the error of an answer. It returns nil if the answer is beyond a
// limit: costLimiter replaces the whole answer by one error, and errors that follow
// from the limit are neither shown nor logged.
func (p errorPresenter) present(ctx context.Context, err error) *gqlerror.Error {
	meter := cost.From(ctx)
	if meter.Err() != nil {
		return nil
	}
	answer := graphql.DefaultErrorPresenter(ctx, err) // sets the path and the locations
	public := p.publicError(ctx, err, answer)
	answer.Message = public.Message
	answer.Extensions = map[string]any{"code": string(public.Code)}
	if id := request.ID(ctx); id != "" {
		answer.Extensions["requestId"] = id
	}
	if len(public.Problems) > 0 {
		answer.Extensions["problems"] = public.Problems
	}
	if public.RetryAfter > 0 {
		answer.Extensions["retryAfter"] = int(math.Ceil(public.RetryAfter.Seconds()))
	}
	_ = meter.Hold(errorBytes)
	_ = meter.Bytes(errorBytes)
	return answer
}

// errorBytes is about the size of an error, in the answer and in memory.
const errorBytes = 512

// publicError returns the public part of an error, and logs the rest.
func (p errorPresenter) publicError(ctx context.Context, err error, answer *gqlerror.Error) *fault.Error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		if known.Unwrap() != nil {
			p.log.WarnContext(ctx, "request failed", "error", known, "path", answer.Path.String())
		}
		return known
	}
	switch {
	case answer.Err == nil:
		return fault.New(fault.BadInput, "%s", p.contract.word(answer))
	case errors.Is(err, context.DeadlineExceeded),
		// A cancelled statement may fail before the deadline is seen.
		database.IsUnavailable(err) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "the request took too long: ask for less at once, or try again")
	case errors.Is(err, context.Canceled):
		// A revoked token ends its streams with a fault as the cause.
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

// maxErrors bounds the errors of an answer without data. Validation may find an
// error in every token.
const maxErrors = 20

// shorten replaces the errors beyond maxErrors by their number.
func (p errorPresenter) shorten(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	response := next(ctx)
	if response != nil && response.Data == nil && len(response.Errors) > maxErrors {
		more := fault.New(fault.BadInput, "… and %d more errors", len(response.Errors)-maxErrors)
		response.Errors = append(response.Errors[:maxErrors:maxErrors], p.present(ctx, more))
	}
	return response
}

// recoverPanic logs a panic, and returns INTERNAL.
func (p errorPresenter) recoverPanic(ctx context.Context, panicked any) error {
	p.log.ErrorContext(ctx, "panic", "value", panicked, "stack", string(debug.Stack()))
	return fault.New(fault.Internal, "internal error: the server's operator finds the cause by the request id")
}
