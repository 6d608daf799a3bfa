package graph

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"tagma/internal/base/bytecache"
	"tagma/internal/base/fault"
	"tagma/internal/gql/guard"
	"tagma/internal/gql/persisted"
	"tagma/internal/gql/transport"
)

// resolvePersisted replaces the id or the hash of a document by the text. Use
// resolvePersisted before every extension that reads the text.
type resolvePersisted struct{ documents *persisted.Documents }

var _ graphql.OperationParameterMutator = resolvePersisted{}

// ExtensionName returns the name of the extension in gqlgen.
func (resolvePersisted) ExtensionName() string { return "ResolvePersisted" }

// Validate accepts every schema.
func (resolvePersisted) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters sets the text of the operation. It returns an error
// if the server does not know the document.
func (p resolvePersisted) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	request := persisted.Request{Text: params.Query}
	if id, ok := params.Extensions[transport.DocumentID].(string); ok {
		request.ID = id
	}
	if extension, ok := params.Extensions["persistedQuery"]; ok && extension != nil {
		if request.Hash = persistedHash(extension); request.Hash == "" {
			return asGraphQL(fault.New(fault.BadInput, "extensions.persistedQuery must be {version: 1, sha256Hash: \"…\"}"))
		}
	}
	text, err := p.documents.Resolve(ctx, request)
	if err != nil {
		return asGraphQL(err)
	}
	params.Query = text
	return nil
}

// persistedHash returns the hash of Apollo's extension persistedQuery, or "" if the
// extension is malformed.
func persistedHash(extension any) string {
	fields, _ := extension.(map[string]any)
	hash, _ := fields["sha256Hash"].(string)
	if fmt.Sprint(fields["version"]) != "1" {
		return ""
	}
	return hash
}

func asGraphQL(err error) *gqlerror.Error {
	return &gqlerror.Error{Err: err, Message: err.Error(), Extensions: map[string]any{"code": fault.CodeOf(err)}}
}

// registerPersisted stores a document that came with a hash. Use
// registerPersisted after the guard, so that no refused document is stored.
type registerPersisted struct{ documents *persisted.Documents }

var _ graphql.OperationContextMutator = registerPersisted{}

// MutateOperationContext stores the document, and accepts every operation.
func (p registerPersisted) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	if hash := persistedHash(operation.Extensions["persistedQuery"]); hash != "" {
		p.documents.Register(ctx, hash, operation.RawQuery)
	}
	return nil
}

// checkDocuments returns an error with all problems of the trusted documents: each
// must be within the limits, and valid by the schema.
func checkDocuments(ctx context.Context, schema *ast.Schema, validation *rules.Rules, options Options) error {
	bytes, tokens := options.Transport.Limits.QueryBytes, options.QueryTokens
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(options.Trusted)) {
		problem := func(err error) {
			problems = append(problems, fmt.Errorf("the trusted document %.80q: %w", id, err))
		}
		text := options.Trusted[id]
		if len(text) > bytes {
			problem(fmt.Errorf("it has %d bytes, and the limit is %d", len(text), bytes))
			continue
		}
		if err := (guard.Text{Tokens: tokens}).MutateOperationParameters(ctx, &graphql.RawParams{Query: text}); err != nil {
			problem(err)
			continue
		}
		document, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, tokens)
		if err != nil {
			problem(err)
			continue
		}
		if len(document.Operations) == 0 {
			problem(errors.New("it has no operation"))
		}
		for _, err := range validator.ValidateWithRules(schema, document, validation) {
			problem(err)
		}
	}
	return errors.Join(problems...)
}

const (
	maxParsedBytes     = 64 << 20 // of all parsed queries in the cache
	parsedBytesPerByte = 100      // a query of short names takes some hundred bytes per token
)

// parsedSize returns an estimate of the memory of a parsed query.
func parsedSize(text string, _ *ast.QueryDocument) int { return parsedBytesPerByte * (len(text) + 10) }

// queryCache is a cache of parsed queries, as gqlgen wants it.
type queryCache struct {
	cache *bytecache.Cache[string, *ast.QueryDocument]
}

func newQueryCache() graphql.Cache[*ast.QueryDocument] {
	return queryCache{bytecache.New(maxParsedBytes, parsedSize)}
}

// Get implements graphql.Cache.
func (c queryCache) Get(_ context.Context, text string) (*ast.QueryDocument, bool) {
	return c.cache.Get(text)
}

// Add implements graphql.Cache.
func (c queryCache) Add(_ context.Context, text string, document *ast.QueryDocument) {
	c.cache.Add(text, document)
}
