package graph

import (
	"context"
	"maps"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/introspection"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/graph/generated"
)

// newSchema returns the contract as the server answers it. gqlparser adds the
// directive @defer to every schema, but the server answers each operation in one
// piece.
func newSchema() *ast.Schema {
	schema := *generated.NewExecutableSchema(generated.Config{}).Schema()
	schema.Directives = maps.Clone(schema.Directives)
	delete(schema.Directives, "defer")
	return &schema
}

// kindsWith lists the kinds of types that have a field of __Type. For all other kinds
// the value is null (https://spec.graphql.org/draft/#sec-The-__Type-Type).
var kindsWith = map[string][]ast.DefinitionKind{
	"fields":        {ast.Object, ast.Interface},
	"interfaces":    {ast.Object, ast.Interface},
	"possibleTypes": {ast.Interface, ast.Union},
	"enumValues":    {ast.Enum},
	"inputFields":   {ast.InputObject},
	"isOneOf":       {ast.InputObject},
}

// nullIntrospection returns null for the fields of __Type that the kind of the type
// does not have. gqlgen returns empty lists and false.
func nullIntrospection(ctx context.Context, next graphql.Resolver) (any, error) {
	field := graphql.GetFieldContext(ctx)
	if field.Object != "__Type" {
		return next(ctx)
	}
	kinds := kindsWith[field.Field.Name]
	if typ, ok := field.Parent.Result.(*introspection.Type); ok && kinds != nil {
		for _, kind := range kinds {
			if typ.Kind() == string(kind) {
				return next(ctx)
			}
		}
		return nil, nil //nolint:nilnil // null: the kind has no such field
	}
	return next(ctx)
}
