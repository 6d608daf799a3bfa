// Package selection owns the fast engine for the root fields that carry the
// product: long lists of rows with their children. The engine compiles the
// selection of an operation once into columns and encoders. It then reads only
// these columns, in one statement per edge, and writes JSON from the driver's
// values, without an object, a goroutine or a context per row or value.
//
// A Registry lists the types and fields of the engine, and is checked against the
// schema at the start. An operation with other fields is left to gqlgen's resolvers, and most errors are too. Both engines give the same answer, to the
// byte, and the resolvers report all errors but three: an answer beyond a limit
// (package cost), a request that has ended, and an unavailable database end the
// field here, because the resolvers would send the same statements again.
//
// Package selection does not own the permissions of an operation (package
// guard), the queries (the packages of the domain), or any name of the schema
// (package graph).
package selection

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/cost"
	"tagma/internal/storage/database"
)

// Result is the outcome of a root field of the registry.
type Result string

// The results. A field that is Left goes to its resolver. A field that Failed
// does too, unless the request cannot go on: see InterceptField.
const (
	Compiled Result = "compiled" // the engine answered the field
	Left     Result = "left"     // the operation selects a field outside the registry
	Failed   Result = "failed"   // reading or encoding the rows failed
)

// Report is called once per root field of the registry. Field is
// Type.field. The error is nil unless the result is Failed.
type Report func(ctx context.Context, field string, result Result, err error)

// maxPlans bounds the number of compiled plans. The least recently used plan
// goes first.
const maxPlans = 400

// Engine answers root fields. It is safe for concurrent use.
type Engine struct {
	db         *database.DB
	schema     *ast.Schema
	types      map[string]*Type
	roots      map[string]Root
	report     Report
	plans      *lru.Cache[planKey, *plan]
	bufferPool sync.Pool // of *[]byte
}

// New returns an Engine for a registry. The error lists each part of the
// registry that the schema contradicts.
func New(schema *ast.Schema, db *database.DB, registry Registry, report Report) (*Engine, error) {
	plans, err := lru.New[planKey, *plan](maxPlans)
	if err != nil {
		return nil, err
	}
	e := &Engine{
		db: db, schema: schema, plans: plans, roots: registry.Roots, report: report,
		types:      map[string]*Type{},
		bufferPool: sync.Pool{New: func() any { return new([]byte) }},
	}
	for n := range registry.Types {
		e.types[registry.Types[n].Name] = &registry.Types[n]
	}
	return e, e.check()
}

// InterceptField answers a field if the registry has a root for the field, and
// otherwise calls next. It is an interceptor for gqlgen's AroundFields.
func (e *Engine) InterceptField(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx)
	if field.Object != "Query" {
		return next(ctx)
	}
	name := field.Object + "." + field.Field.Name
	root, ok := e.roots[name]
	if !ok {
		return next(ctx)
	}
	operation := graphql.GetOperationContext(ctx)
	p := e.plan(operation, field.Field, root)
	x := execution{Engine: e, ctx: cost.Streamed(ctx), variables: operation.Variables, meter: cost.From(ctx)}
	if p == nil || x.hasEdgesWithEqualArguments(p.rows) {
		e.report(ctx, name, Left, nil)
		return next(ctx)
	}
	query, err := root.Query(RootArgs{Context: ctx, Arguments: field.Args, columns: p.rows.columns})
	if err == nil {
		var answer graphql.Marshaler
		if answer, err = x.run(p, query); err == nil {
			e.report(ctx, name, Compiled, nil)
			return answer, nil
		}
		x.release()
	}
	e.report(ctx, name, Failed, err)
	if x.meter.Err() != nil || ctx.Err() != nil || database.IsUnavailable(err) {
		return nil, err
	}
	return next(ctx) // meets the same error and reports it, or succeeds
}
