package graph

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/health"
	"tagma/internal/request"
)

// presenter writes errors into answers. What is not meant for the caller goes
// to the log, under the request's id, and to the caller as INTERNAL.
type presenter struct {
	log    *slog.Logger
	writes *health.Writes // nil in tests that write nothing
}

func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
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
	return answer
}

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
		return aboutQuery(answer)
	case errors.Is(err, context.DeadlineExceeded),
		// A database may say first that it was told to stop.
		database.IsUnavailable(err) && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fault.New(fault.Unavailable, "the request took too long: ask for less at once, or try again")
	case errors.Is(err, context.Canceled):
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

// longestMessage bounds what is repeated of a query, in bytes.
const longestMessage = 400

// aboutQuery is an error of the parser, of the validation or of the variables,
// in the form that Tagma's own have. Their path is into the variables, which is
// no path of an answer: it moves to the problem.
func aboutQuery(answer *gqlerror.Error) *fault.Error {
	message := answer.Message
	// The library quotes a whole input object, which may hold a password.
	if before, _, ok := strings.Cut(message, ", found {"); ok {
		message = before + "."
	} else if before, _, ok := strings.Cut(message, ", found ["); ok {
		message = before + "."
	}
	if len(message) > longestMessage { // a name can be as long as a query
		message = strings.ToValidUTF8(message[:longestMessage], "") + "…"
	}
	if message == "operation  not found" {
		message = "the query has several operations: say with operationName which to run"
	}
	if len(answer.Path) < 2 || answer.Path[0] != ast.PathName("variable") {
		return fault.New(fault.BadInput, "%s", message)
	}
	var at []any
	for _, step := range answer.Path[1:] {
		at = append(at, step)
	}
	answer.Path = nil
	if strings.HasPrefix(message, "cannot use value ") { // which is not the one that was sent
		message = "the number does not fit" + message[strings.LastIndex(message, " "):]
	}
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
