package guard

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"

	"tagma/internal/base/fault"
	"tagma/internal/base/jsonscan"
)

// GraphQL's validation compares fields of the same name in pairs, once more for each
// inline fragment around the fields, and runs before the guard knows the
// operation. Without these bounds, the validation of 2,000 tokens would take a
// minute.
const (
	// MostRepeats is the largest number of occurrences of a name outside of
	// arguments. The longest introspection query of common tools repeats a name 30
	// times.
	MostRepeats = 100
	// MostComparisons bounds the pairs of equal names, times the levels of braces.
	MostComparisons = 500_000
)

// Text validates the text of a query before GraphQL parses and validates the query.
// Text refuses too many tokens, numbers of more than 64 bits, and halves of surrogate
// pairs.
type Text struct {
	Tokens int // limit of the tokens of a query

	// Passed, if set, reports whether a text has passed before. Text does not
	// validate such a text again.
	Passed func(context.Context, string) bool
}

var _ interface {
	graphql.HandlerExtension
	graphql.OperationParameterMutator
} = Text{}

// ExtensionName returns the name of the extension for gqlgen.
func (Text) ExtensionName() string { return "Text" }

// Validate returns an error for a limit that allows no query.
func (t Text) Validate(graphql.ExecutableSchema) error {
	if t.Tokens <= 0 {
		return fmt.Errorf("the limit of tokens is %d: it must be positive", t.Tokens)
	}
	return nil
}

// MutateOperationParameters returns nil for a valid text, or an error with the
// problem. A text that is not GraphQL passes: the parser returns the better error.
func (t Text) MutateOperationParameters(ctx context.Context, params *graphql.RawParams) *gqlerror.Error {
	if t.Passed != nil && t.Passed(ctx, params.Query) {
		return nil
	}
	hasHalf := jsonscan.LoneSurrogate([]byte(params.Query)) >= 0 // perhaps only in a comment
	tokens, parentheses, braces, levels := 0, 0, 0, 0
	names := map[string]int{}
	for text := lexer.New(&ast.Source{Input: params.Query}); ; {
		token, err := text.ReadToken()
		if err != nil || token.Kind == lexer.EOF {
			break
		}
		tokens++
		switch token.Kind {
		case lexer.ParenL:
			parentheses++
		case lexer.ParenR:
			parentheses--
		case lexer.BraceL:
			braces++
			levels = max(levels, braces)
		case lexer.BraceR:
			braces--
		case lexer.Name:
			if parentheses == 0 {
				names[token.Value]++
			}
		case lexer.Int, lexer.Float:
			if !fits(token) {
				return wrongText(fault.BadInput, token.Pos, "the number fits into no 64 bits: write a smaller number, or a string")
			}
		case lexer.String:
			// The lexer replaces half of a surrogate pair by U+FFFD.
			if hasHalf && strings.ContainsRune(token.Value, utf8.RuneError) && jsonscan.LoneSurrogate(source(params.Query, token.Pos)) >= 0 {
				return wrongText(fault.BadInput, token.Pos, `the string has half of a surrogate pair: write a character as it is, or as two escapes such as \ud83d\ude00`)
			}
		}
	}
	if tokens > t.Tokens {
		return wrongText(fault.TooLarge, ast.Position{}, "the query has %d tokens, and the limit is %d: send values as variables, or several queries", tokens, t.Tokens)
	}
	pairs := 0
	for _, n := range names {
		pairs += n * (n - 1) / 2
		if n > MostRepeats {
			return wrongText(fault.TooLarge, ast.Position{}, "the query repeats a name %d times, and the limit is %d: send several queries", n, MostRepeats)
		}
	}
	if n := pairs * levels; n > MostComparisons {
		return wrongText(fault.TooLarge, ast.Position{}, "the query repeats its names in %d pairs within %d levels, which makes %d comparisons, and the limit is %d: nest less, or send several queries", pairs, levels, n, MostComparisons)
	}
	return nil
}

// source returns the text of a token. The positions of the lexer count characters.
func source(query string, at ast.Position) []byte {
	var first, last int
	n := 0
	for offset := range query {
		if n == at.Start {
			first = offset
		}
		if n == at.End {
			last = offset
		}
		n++
	}
	if last == 0 { // the token ends with the query
		last = len(query)
	}
	return []byte(query[first:last])
}

// fits reports whether a number fits into 64 bits. gqlgen panics at a larger number
// as the value of a scalar of Tagma's own.
func fits(number lexer.Token) bool {
	var err error
	if number.Kind == lexer.Int {
		_, err = strconv.ParseInt(number.Value, 10, 64)
	} else {
		_, err = strconv.ParseFloat(number.Value, 64)
	}
	return err == nil
}

func wrongText(code fault.Code, at ast.Position, format string, args ...any) *gqlerror.Error {
	err := fault.New(code, format, args...)
	wrong := &gqlerror.Error{Err: err, Message: err.Message, Extensions: map[string]any{"code": string(code)}}
	if at.Line > 0 {
		wrong.Locations = []gqlerror.Location{{Line: at.Line, Column: at.Column}}
	}
	return wrong
}
