package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// canary is a text that no caller may read.
const canary = "canary in a cage"

func TestPresent_ACallerReadsFaultsAndNothingElse(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		code    fault.Code
		message string // what it holds
		logged  bool   // the canary
	}{
		"a fault":                  {err: fault.New(fault.NotFound, "no image"), code: fault.NotFound, message: "no image"},
		"a wrapped one":            {err: fmt.Errorf("%s: %w", canary, fault.New(fault.Conflict, "twice")), code: fault.Conflict, message: "twice"},
		"one with a cause":         {err: fault.Wrap(errors.New(canary), fault.Unavailable, "later"), code: fault.Unavailable, message: "later", logged: true},
		"an unknown error":         {err: errors.New(canary), code: fault.Internal, message: "request id", logged: true},
		"of the network":           {err: &net.OpError{Op: canary, Err: errors.New("refused")}, code: fault.Unavailable, message: "try again", logged: true},
		"too slow":                 {err: fmt.Errorf("%s: %w", canary, context.DeadlineExceeded), code: fault.Unavailable, message: "too long"},
		"given up":                 {err: fmt.Errorf("%s: %w", canary, context.Canceled), code: fault.Unavailable, message: "given up"},
		"of the query":             {err: gqlerror.Errorf("%s", canary), code: fault.BadInput, message: "not valid GraphQL"},
		"of a resolver, by gqlgen": {err: gqlerror.Wrap(errors.New(canary)), code: fault.Internal, message: "request id", logged: true},
	} {
		var lines bytes.Buffer
		p := errorPresenter{log: slog.New(slog.NewTextHandler(&lines, nil))}
		about := request.New("192.0.2.1")
		ctx := graphql.WithResponseContext(request.With(t.Context(), about), p.present, nil)
		answer := p.present(ctx, c.err)
		if answer.Extensions["code"] != string(c.code) || !strings.Contains(answer.Message, c.message) {
			t.Errorf("%s: got %v %q, want %s with %q", name, answer.Extensions["code"], answer.Message, c.code, c.message)
		}
		if answer.Extensions["requestId"] != about.ID {
			t.Errorf("%s: got extensions %v, want request id %s", name, answer.Extensions, about.ID)
		}
		text, err := json.Marshal(answer)
		if err != nil || bytes.Contains(text, []byte(canary)) {
			t.Errorf("%s: got %s (%v), want an answer without the text of the cause", name, text, err)
		}
		if strings.Contains(lines.String(), canary) != c.logged {
			t.Errorf("%s: the log has %q", name, lines.String())
		}
	}
}

func TestPresent_ProblemsAndTheTimeToWaitAreTold(t *testing.T) {
	p := errorPresenter{log: slog.New(slog.DiscardHandler)}
	var problems fault.Problems
	problems.Add(fault.BadInput, []any{"input", 0}, "wrong")
	answer := p.present(t.Context(), problems.Err())
	if text, _ := json.Marshal(answer.Extensions["problems"]); string(text) != `[{"code":"BAD_USER_INPUT","path":["input","0"],"message":"wrong"}]` {
		t.Errorf("problems: got %s, want the one problem at input.0", text)
	}
	if _, there := answer.Extensions["requestId"]; there {
		t.Error("outside a request there is no id")
	}
	slow := fault.New(fault.RateLimited, "slower")
	slow.RetryAfter = 1500 * time.Millisecond
	if answer := p.present(t.Context(), slow); answer.Extensions["retryAfter"] != 2 {
		t.Errorf("extensions: got %v, want retryAfter 2", answer.Extensions)
	}
}

func TestPresent_ThePathOfTheFieldStays(t *testing.T) {
	p := errorPresenter{log: slog.New(slog.DiscardHandler)}
	path := ast.Path{ast.PathName("image"), ast.PathIndex(2)}
	if answer := p.present(t.Context(), gqlerror.WrapPath(path, fault.New(fault.NotFound, "no"))); answer.Path.String() != path.String() {
		t.Errorf("path: got %s, want %s", answer.Path, path)
	}
}

func TestRecovered_APanicIsForTheLogAlone(t *testing.T) {
	var lines bytes.Buffer
	p := errorPresenter{log: slog.New(slog.NewTextHandler(&lines, nil))}
	err := p.recoverPanic(t.Context(), canary)
	if fault.CodeOf(err) != fault.Internal || strings.Contains(err.Error(), canary) {
		t.Error(err)
	}
	if !strings.Contains(lines.String(), canary) || !strings.Contains(lines.String(), "errors_test.go") {
		t.Errorf("the log has not what happened, and where: %s", &lines)
	}
}
