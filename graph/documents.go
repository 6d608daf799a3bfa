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

	"tagma/internal/base/fault"
	"tagma/internal/gql/guard"
	documents "tagma/internal/gql/persisted"
	"tagma/internal/gql/transport"
)

// named finds the document that a request names, and has the server learn those
// that prove right. It goes before whatever reads the text, and after the guard
// as well: see learn.
type named struct{ documents *documents.Documents }

var _ graphql.OperationParameterMutator = named{}

// ExtensionName names it to gqlgen.
func (named) ExtensionName() string { return "Named" }

// Validate has nothing against any schema.
func (named) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters puts the text in the place of its name.
func (n named) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	request := documents.Request{Text: params.Query}
	if id, ok := params.Extensions[transport.DocumentID].(string); ok {
		request.ID = id
	}
	if given, ok := params.Extensions["persistedQuery"]; ok && given != nil {
		if request.Hash = persisted(given); request.Hash == "" {
			return asGraphQL(fault.New(fault.BadInput, "extensions.persistedQuery must be {version: 1, sha256Hash: \"…\"}"))
		}
	}
	text, err := n.documents.Resolve(ctx, request)
	if err != nil {
		return asGraphQL(err)
	}
	params.Query = text
	return nil
}

// persisted is the hash of Apollo's extension, or empty where it is malformed.
func persisted(given any) string {
	members, _ := given.(map[string]any)
	hash, _ := members["sha256Hash"].(string)
	if fmt.Sprint(members["version"]) != "1" {
		return ""
	}
	return hash
}

func asGraphQL(err error) *gqlerror.Error {
	return &gqlerror.Error{Err: err, Message: err.Error(), Extensions: map[string]any{"code": fault.CodeOf(err)}}
}

// learn teaches the server a document that came with its hash, once it is
// known to be right.
type learn struct{ documents *documents.Documents }

var _ graphql.OperationContextMutator = learn{}

// ExtensionName names it to gqlgen.
func (learn) ExtensionName() string { return "Learn" }

// Validate has nothing against any schema.
func (learn) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext lets every operation pass.
func (l learn) MutateOperationContext(ctx context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	if hash := persisted(operation.Extensions["persistedQuery"]); hash != "" {
		l.documents.Register(ctx, hash, operation.RawQuery)
	}
	return nil
}

// checkDocuments says all that is wrong with the documents that the operator
// trusts: each must be within the limits, and right by the schema.
func checkDocuments(ctx context.Context, schema *ast.Schema, trusted map[string]string, bytes, tokens int) error {
	var problems []error
	for _, id := range slices.Sorted(maps.Keys(trusted)) {
		problem := func(err error) {
			problems = append(problems, fmt.Errorf("the trusted document %.80q: %w", id, err))
		}
		text := trusted[id]
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
		for _, err := range validator.ValidateWithRules(schema, document, rules.NewDefaultRules()) {
			problem(err)
		}
	}
	return errors.Join(problems...)
}

// parsedBytes bounds the parsed queries that are kept. weigh reckons a parsed
// query by its text: one of short names takes some hundred bytes for each of
// its tokens.
const (
	parsedBytes = 64 << 20
	bytesOfTree = 100 // for each byte of the text
)

func weigh(text string, _ *ast.QueryDocument) int { return bytesOfTree * (len(text) + 10) }

// newCache keeps parsed queries.
func newCache() graphql.Cache[*ast.QueryDocument] { return documents.NewCache(parsedBytes, weigh) }
