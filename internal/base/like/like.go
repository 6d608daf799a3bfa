// Package like owns the patterns by which the API selects names: the patterns
// of SQL's LIKE, with the same meaning on both databases. % matches any run of
// characters, _ matches any one character, and \ makes the next character
// literal. Package like does not own the queries.
package like

import (
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"tagma/internal/base/fault"
)

// maxLength is the largest length of a pattern, in bytes.
const maxLength = 200

// Pattern is a checked pattern.
type Pattern struct {
	text   string
	prefix string // every match begins with prefix
	exact  bool   // whether only prefix itself matches
	all    bool   // whether every text matches
}

// Parse returns the pattern of a text. The error is a *fault.Error.
func Parse(text string) (Pattern, error) {
	if len(text) > maxLength {
		return Pattern{}, fault.New(fault.BadInput, "the pattern %.40q… has %d bytes: at most %d are taken", text, len(text), maxLength)
	}
	if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
		return Pattern{}, fault.New(fault.BadInput, "the pattern %.40q is not text", text)
	}
	p := Pattern{text: text}
	var prefix strings.Builder
	wild, escaped := false, false
	for _, r := range text {
		switch {
		case escaped || r != '%' && r != '_' && r != '\\':
			if !wild {
				prefix.WriteRune(r)
			}
			escaped = false
		case r == '\\':
			escaped = true
		default:
			wild = true
		}
	}
	if escaped {
		return Pattern{}, fault.New(fault.BadInput, `the pattern %.40q ends with a lone \: write \\ for a backslash`, text)
	}
	p.prefix = prefix.String()
	p.exact = !wild
	p.all = text != "" && strings.Trim(text, "%") == ""
	return p, nil
}

// Matches reports whether a text matches the pattern.
func (p Pattern) Matches(text string) bool {
	pattern := []rune(p.text)
	rest := []rune(text)
	// A % first matches the empty run. When the rest of the pattern does not
	// match, the run of the last % grows by one character.
	pos, retryPos, retryText := 0, -1, 0
	for n := 0; n < len(rest); {
		switch {
		case pos < len(pattern) && pattern[pos] == '%':
			retryPos, retryText = pos+1, n
			pos++
		case pos < len(pattern) && pattern[pos] == '\\' && pattern[pos+1] == rest[n]:
			pos, n = pos+2, n+1
		case pos < len(pattern) && pattern[pos] != '\\' && (pattern[pos] == '_' || pattern[pos] == rest[n]):
			pos, n = pos+1, n+1
		case retryPos >= 0:
			retryText++
			pos, n = retryPos, retryText
		default:
			return false
		}
	}
	return strings.Trim(string(pattern[pos:]), "%") == ""
}

// All reports whether every text matches the pattern.
func (p Pattern) All() bool { return p.all }

// Match returns the condition that the column matches the pattern. If the
// pattern begins with literal characters, the condition contains a range of the
// column too, which an index serves.
func (p Pattern) Match(column string) *sql.Predicate {
	switch {
	case p.all:
		return sql.NotNull(column)
	case p.exact:
		return sql.EQ(column, p.prefix)
	case p.prefix == "":
		return p.likePredicate(column)
	}
	conditions := []*sql.Predicate{compareBytes(column, ">=", p.prefix), p.likePredicate(column)}
	if next, ok := successor(p.prefix); ok {
		conditions = append(conditions, compareBytes(column, "<", next))
	}
	return sql.And(conditions...)
}

// MatchFold returns the condition that the column matches the pattern,
// regardless of the case of ASCII letters. No index serves the condition, so
// use MatchFold for short tables only.
func (p Pattern) MatchFold(column string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.WriteString("lower(").Ident(column)
		writeByteCollation(b)
		b.WriteString(") LIKE ").Arg(lowerASCII(p.text)).WriteString(` ESCAPE '\'`)
	})
}

func (p Pattern) likePredicate(column string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Ident(column).WriteString(" LIKE ").Arg(p.text).WriteString(` ESCAPE '\'`)
	})
}

// compareBytes compares a column with a text by bytes. In UTF-8 the order of
// bytes is the order of code points.
func compareBytes(column, operator, text string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Ident(column)
		writeByteCollation(b)
		b.WriteString(" " + operator + " ").Arg(text)
	})
}

// writeByteCollation makes PostgreSQL compare bytes instead of using the rules
// of a language. SQLite always compares bytes.
func writeByteCollation(b *sql.Builder) {
	if b.Dialect() == dialect.Postgres {
		b.WriteString(` COLLATE "C"`)
	}
}

// lowerASCII returns text with ASCII letters in lower case, as the databases'
// lower does.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// successor returns the least string greater than every string that begins with
// prefix, in the order of code points. It returns false if no such string
// exists.
func successor(prefix string) (string, bool) {
	runes := []rune(prefix)
	for n := len(runes) - 1; n >= 0; n-- {
		if runes[n] == utf8.MaxRune {
			continue // no code point is greater: increment the one before
		}
		runes[n]++
		if runes[n] == 0xD800 { // U+D800 to U+DFFF are surrogates, not characters
			runes[n] = 0xE000
		}
		return string(runes[:n+1]), true
	}
	return "", false
}
