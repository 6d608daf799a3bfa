package transport

import (
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/fault"
)

// checkSingleAnswer returns a refusal for an operation with several answers, and for a
// mutation by GET. The check comes before the operation runs.
func checkSingleAnswer(method string, operation *graphql.OperationContext) error {
	switch kind := operation.Operation.Operation; {
	case kind == ast.Subscription:
		return badRequest("a subscription is answered more than once: send it by WebSocket or as server-sent events")
	case kind == ast.Mutation && method != http.MethodPost:
		r := newRefusal(http.StatusMethodNotAllowed, fault.BadInput, "a mutation changes something: send it by POST")
		r.allow = http.MethodPost
		return r
	}
	return nil
}
