package graph

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/graph/scalar"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/gql/variables"
)

// coercionExecutor is gqlgen's executor with another coercion of variables. gqlgen gets
// no variables, and coercionExecutor coerces the variables afterwards. So the
// extensions that need coerced variables are mutators of coercionExecutor.
type coercionExecutor struct {
	graphql.GraphExecutor
	coercer  *variables.Coercer
	rawLists rawLists
	mutators []graphql.OperationContextMutator // run in this order after the coercion
}

// CreateOperationContext parses, validates and coerces an operation. The errors are
// those of the first step that fails.
func (e coercionExecutor) CreateOperationContext(ctx context.Context, params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	withoutVariables := *params
	withoutVariables.Variables = nil
	operation, errs := e.GraphExecutor.CreateOperationContext(ctx, &withoutVariables)
	if operation.Operation == nil {
		return operation, errs
	}
	// The document is valid, so the only possible error is the absence of a variable,
	// which the Coercer judges.
	values, err := e.rawLists.decode(operation, params.Variables)
	if err != nil {
		return operation, gqlerror.List{gqlerror.Wrap(err)}
	}
	if operation.Variables, err = e.coercer.Coerce(operation.Operation, values); err != nil {
		return operation, gqlerror.List{asGraphQL(err)}
	}
	operation.Stats.Validation.End = graphql.Now()
	ctx = graphql.WithOperationContext(ctx, operation)
	for _, mutator := range e.mutators {
		if err := mutator.MutateOperationContext(ctx, operation); err != nil {
			return operation, gqlerror.List{err}
		}
	}
	return operation, nil
}

// wrappedTransport is a transport with a coercionExecutor around the server's executor.
type wrappedTransport struct {
	graphql.Transport
	exec coercionExecutor // without a GraphExecutor
}

// Do answers r.
func (t wrappedTransport) Do(w http.ResponseWriter, r *http.Request, exec graphql.GraphExecutor) {
	t.exec.GraphExecutor = exec
	t.Transport.Do(w, r, t.exec)
}

// newCoercer returns the coercion of the scalars of the schema.
func newCoercer(schema *ast.Schema, contract vocabulary) (*variables.Coercer, error) {
	return variables.New(schema, map[string]variables.Scalar{
		"Boolean":  coerce(scalar.UnmarshalBoolean),
		"Int":      coerce(scalar.UnmarshalInt),
		"Long":     coerce(scalar.UnmarshalLong),
		"Float":    coerce(scalar.UnmarshalFloat),
		"String":   coerce(scalar.UnmarshalString),
		"URL":      coerce(scalar.UnmarshalString),
		"Duration": coerce(scalar.UnmarshalDuration),
		"Upload":   coerce(scalar.UnmarshalUpload),
		"DateTime": coerceText("DateTime", `"2020-06-20T21:33:24Z"`, func(v any) (text instant.Text, err error) {
			err = text.UnmarshalGQL(v)
			return text, err
		}),
		"ID": coerceText("ID", "an id as this server gave it", func(v any) (id nodeid.ID, err error) {
			err = id.UnmarshalGQL(v)
			return id, err
		}),
		// Contours are validated together with the rest of an annotation.
		"Contour": func(v any) (any, error) { return v, nil },
		"JSON":    func(v any) (any, error) { return v, nil },
	}, func(name string) bool { return contract[name] })
}

func coerce[T any](unmarshal func(any) (T, error)) variables.Scalar {
	return func(v any) (any, error) { return unmarshal(v) }
}

// coerceText returns the coercion of a scalar that is a string in JSON.
func coerceText[T any](name, example string, unmarshal func(any) (T, error)) variables.Scalar {
	return func(v any) (any, error) {
		if _, ok := v.(string); !ok {
			return nil, fault.New(fault.BadInput, "the value is %s: %s takes a string, such as %s", variables.Kind(v), name, example)
		}
		return unmarshal(v)
	}
}
