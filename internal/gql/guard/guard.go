// Package guard owns the one look at a whole operation before any of it runs:
// may this caller ask for each of these fields, and is the operation within
// the limits?
//
// Who may ask for a field stands in the schema (see Audience); how large an
// answer may be stands in Limits. Both are judged in one walk that enters each
// fragment once, however often it is spread, so the work is linear in what was
// sent.
//
// It does not own who is asking, which is package caller's, nor what depends on
// the object asked for: a field for SELF is decided by its resolver. Validation
// has passed when the guard looks; what would make even that costly is refused
// before it by Text. How many bytes a query has is package transport's.
package guard

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
)

// Guard judges operations on one schema. It does not change once made, and may
// be used from many goroutines.
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

// New reads who may ask for what from the schema. The keys of sizes are
// "Type.field". It refuses limits that are not positive, sizes of fields that
// are not there, and a schema that leaves a door open: see Audiences. All
// that is wrong is in the one error.
func New(schema *ast.Schema, limits Limits, sizes map[string]Size) (*Guard, error) {
	audiences, err := Audiences(schema)
	if err := errors.Join(limits.check(), checkSizes(schema, sizes), err); err != nil {
		return nil, err
	}
	return &Guard{schema: schema, limits: limits, sizes: sizes, audiences: audiences}, nil
}

// Limits are those in force.
func (g *Guard) Limits() Limits { return g.limits }

// ExtensionName names the guard to gqlgen.
func (g *Guard) ExtensionName() string { return "Guard" }

// Validate refuses to stand before a schema other than the one it has read.
func (g *Guard) Validate(served graphql.ExecutableSchema) error {
	if served.Schema() != g.schema {
		return errors.New("the guard was made for another schema than the one that is served")
	}
	return nil
}

// MutateOperationContext lets an operation pass, or says in one error all that
// is wrong with it.
func (g *Guard) MutateOperationContext(ctx context.Context, op *graphql.OperationContext) *gqlerror.Error {
	return g.walk(caller.From(ctx), op.Doc, op.Operation, op.Variables).verdict(op.Operation)
}
