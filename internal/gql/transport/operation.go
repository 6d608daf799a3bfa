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
	case defers(operation):
		// gqlgen's first answer would silently lack the deferred fields.
		return badRequest("@defer is answered in several parts, but this request gets one answer: leave it out")
	}
	return nil
}

// defers reports whether the executor would defer a part of the answer.
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
