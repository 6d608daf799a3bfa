package transport

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/gql/idempotency"
	"tagma/internal/storage/health"
)

// keyHeader is the header of the IETF's draft "The Idempotency-Key HTTP Header Field"
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header).
const keyHeader = "Idempotency-Key"

// replayedHeader marks a stored answer.
const replayedHeader = "Idempotency-Replayed"

// Directives of the schema: a mutation that may run again without harm, and a field
// with a value that is shown once.
const (
	repeatableDirective = "repeatable"
	secretDirective     = "secret"
)

// beginRun returns a new run of a mutation with a key, or the stored answer. Both are
// nil for a request without a key, and for an anonymous caller, who cannot own a
// key.
func (e *exchange) beginRun(operation *graphql.OperationContext, variables map[string]any) (*idempotency.Run, []byte, error) {
	by := caller.From(e.r.Context())
	if e.options.Idempotency == nil || by == nil || len(e.r.Header.Values(keyHeader)) == 0 || operation.Operation.Operation != ast.Mutation {
		return nil, nil, nil
	}
	key, ok := readKey(e.r.Header)
	if !ok {
		return nil, nil, badRequest("%s must be one key of 1 to %d visible characters, best a UUID: make one for each request that you mean, and send it again with that request alone",
			keyHeader, idempotency.MaxKey)
	}
	content, err := hashOf(operation, variables)
	if err != nil {
		return nil, nil, err
	}
	sender := fmt.Sprintf("user %d", by.UserID)
	if by.Device != "" {
		sender = fmt.Sprintf("token %d", by.TokenID)
	}
	return e.options.Idempotency.Begin(e.r.Context(), idempotency.Request{
		Sender: sender, Key: key, Content: content, Repeatable: allRootFieldsHave(operation, repeatableDirective),
	})
}

// readKey returns the key in the header: a string in quotes, as in RFC 9651, or the
// bare key, which most clients send.
func readKey(header http.Header) (key string, ok bool) {
	values := header.Values(keyHeader)
	if len(values) != 1 {
		return "", false
	}
	key = strings.TrimSpace(values[0])
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		inner, quoted = strings.CutSuffix(inner, `"`)
		if !quoted {
			return "", false
		}
		key = inner
	}
	visible := !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	return key, visible && len(key) >= 1 && len(key) <= idempotency.MaxKey
}

// hashOf returns the SHA-256 of a request: the document, the name of the operation, and
// the variables with the bytes of every file.
func hashOf(operation *graphql.OperationContext, variables map[string]any) (hash [sha256.Size]byte, err error) {
	hashed, err := hashFiles(variables)
	if err != nil {
		return hash, err
	}
	whole, err := json.Marshal([]any{operation.RawQuery, operation.OperationName, hashed}) // sorts the keys of objects
	return sha256.Sum256(whole), err
}

// hashFiles returns a value of the variables with each file replaced by its name, size
// and hash. Afterwards the files are at offset 0.
func hashFiles(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		hashes := make(map[string]any, len(v))
		for name, member := range v {
			hashed, err := hashFiles(member)
			if err != nil {
				return nil, err
			}
			hashes[name] = hashed
		}
		return hashes, nil
	case []any:
		hashes := make([]any, len(v))
		for n, element := range v {
			hashed, err := hashFiles(element)
			if err != nil {
				return nil, err
			}
			hashes[n] = hashed
		}
		return hashes, nil
	case graphql.Upload:
		hash := sha256.New()
		_, err := io.Copy(hash, v.File)
		if err == nil {
			_, err = v.File.Seek(0, io.SeekStart)
		}
		if err != nil {
			return nil, storeRefusal(err)
		}
		return []any{"a file", v.Filename, v.Size, hash.Sum(nil)}, nil
	}
	return value, nil
}

// allRootFieldsHave reports whether all root fields of the operation have a directive.
func allRootFieldsHave(operation *graphql.OperationContext, directive string) bool {
	var within func(ast.SelectionSet) bool
	within = func(set ast.SelectionSet) bool {
		return !slices.ContainsFunc(set, func(selection ast.Selection) bool {
			switch s := selection.(type) {
			case *ast.Field:
				return s.Definition.Directives.ForName(directive) == nil
			case *ast.InlineFragment:
				return !within(s.SelectionSet)
			case *ast.FragmentSpread:
				return !within(s.Definition.SelectionSet)
			}
			return true
		})
	}
	return within(operation.Operation.SelectionSet)
}

// anyFieldHas reports whether any field of the document has a directive.
func anyFieldHas(operation *graphql.OperationContext, directive string) bool {
	var within func(ast.SelectionSet) bool
	within = func(set ast.SelectionSet) bool {
		return slices.ContainsFunc(set, func(selection ast.Selection) bool {
			switch s := selection.(type) {
			case *ast.Field:
				return s.Definition.Directives.ForName(directive) != nil || within(s.SelectionSet)
			case *ast.InlineFragment:
				return within(s.SelectionSet)
			}
			return false // a spread: the loop over doc.Fragments covers the fragment
		})
	}
	return within(operation.Operation.SelectionSet) ||
		slices.ContainsFunc(operation.Doc.Fragments, func(f *ast.FragmentDefinition) bool { return within(f.SelectionSet) })
}

// runOnce runs a mutation with a key, and stores the answer before the client gets the
// answer. If storing fails, the client still gets the answer: the record of the effect
// is enough to prevent a second effect.
func (e *exchange) runOnce(run *idempotency.Run, operation *graphql.OperationContext, dispatch func(context.Context) *graphql.Response) *graphql.Response {
	ctx, cancel := run.Context(e.r.Context())
	defer cancel()
	var answer *idempotency.Answer
	defer func() {
		if err := run.End(ctx, answer); err != nil {
			e.options.Log.ErrorContext(ctx, "the answer under an Idempotency-Key could not be recorded", "error", err)
		}
	}()
	response := dispatch(ctx)
	if response == nil {
		return nil
	}
	// An answer that exceeded a limit after an effect will exceed the limit again.
	applied := len(response.Errors) > 0 && response.Errors[0].Extensions["applied"] == true &&
		response.Errors[0].Extensions["code"] == string(fault.TooLarge)
	if len(response.Errors) > 0 && !applied && (response.Data == nil || string(response.Data) == "null") {
		return response
	}
	body, err := encode(response)
	if err == nil {
		answer = &idempotency.Answer{Large: body.length() > idempotency.MaxAnswer, Failed: len(response.Errors) > 0 && !applied, Secret: !applied && anyFieldHas(operation, secretDirective)}
		if !answer.Large {
			answer.Body = body.join()
		}
	}
	return response
}

// keyStatus returns the HTTP status of a fault of the keeper.
func keyStatus(err *fault.Error) int {
	switch err.Code {
	case fault.KeyReused:
		return http.StatusUnprocessableEntity
	case fault.AnswerNotKept, fault.Unavailable: // Unavailable: another run is under way
		return http.StatusConflict
	}
	return http.StatusBadRequest
}

// keyRefusal returns the refusal for a fault of the keeper. Any other error comes from
// the database.
func keyRefusal(err error) error {
	if _, ok := errors.AsType[*refusal](err); ok {
		return err
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		r := newRefusal(keyStatus(known), known.Code, "%s", known.Message)
		r.retryAfter = known.RetryAfter
		return r
	}
	r := newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "the %s cannot be looked up just now: try again", keyHeader)
	if refusal := health.Fault(err); refusal != nil {
		r.message = refusal.Message
	}
	r.cause = err
	return r
}
