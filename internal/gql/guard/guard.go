// Package guard owns the validation of a whole operation before anything runs:
// whether the caller may query each field, and whether the operation is within
// the limits.
//
// The schema lists the audiences of a field (see Audience), and Limits bounds the
// size of an answer. One walk validates both. The walk enters each fragment once,
// even if the fragment is spread often, so the work is linear in the length of
// the query.
//
// Package guard does not own the caller (package caller), the number of bytes of a
// query (package transport), nor decisions about single objects: the resolver
// decides about a field for SELF. GraphQL's own validation runs before the guard.
// Text refuses queries that would make GraphQL's validation slow.
package guard

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
)

// Guard validates operations on one schema. A Guard never changes, and is safe for
// concurrent use.
type Guard struct {
	schema    *ast.Schema
	limits    Limits
	sizes     map[string]Size
	audiences map[string][]Audience
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationContextMutator
} = (*Guard)(nil)

// New returns a guard for a schema. The keys of sizes are "Type.field". New returns
// an error for limits that are not positive, for sizes of unknown fields, and for
// a schema refused by Audiences. The error lists all problems.
func New(schema *ast.Schema, limits Limits, sizes map[string]Size) (*Guard, error) {
	audiences, err := Audiences(schema)
	if err := errors.Join(limits.check(), checkSizes(schema, sizes), err); err != nil {
		return nil, err
	}
	return &Guard{schema: schema, limits: limits, sizes: sizes, audiences: audiences}, nil
}

// Limits returns the limits of the guard.
func (g *Guard) Limits() Limits { return g.limits }

// ExtensionName returns the name of the extension for gqlgen.
func (g *Guard) ExtensionName() string { return "Guard" }

// Validate returns an error if the served schema is not the schema of the guard.
func (g *Guard) Validate(served graphql.ExecutableSchema) error {
	if served.Schema() != g.schema {
		return errors.New("the guard was made for another schema than the one that is served")
	}
	return nil
}

// MutateOperationContext returns nil for a valid operation, or one error with all
// problems of the operation.
func (g *Guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	return g.walk(caller.From(ctx), op.Doc, op.Operation, op.Variables).verdict(op.Operation)
}
