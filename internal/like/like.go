// Package like owns the patterns with which the API selects by name: those of
// SQL's LIKE, meaning the same on both databases. % stands for any run of
// characters, _ for any one, and \ takes the next character as it is.
package like

import (
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	"tagma/internal/fault"
)

// maxLength bounds a pattern, in bytes.
const maxLength = 200

// Pattern is a pattern that was checked.
type Pattern struct {
	text   string
	prefix string // what every match begins with
	exact  bool   // there is nothing but the prefix
	all    bool   // everything matches
}

// Parse checks a pattern. Its error is a *fault.Error.
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

// Matches says whether a text matches.
func (p Pattern) Matches(text string) bool {
	pattern := []rune(p.text)
	rest := []rune(text)
	// A run of any characters is tried at its shortest; where what follows does
	// not fit, the last such run is made one longer.
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

// All says whether everything matches.
func (p Pattern) All() bool { return p.all }

// Match is the condition that the column matches. Where the pattern begins
// with plain characters it is also a range of the column, which an index
// serves.
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

// MatchFold is the condition that the column matches, whatever the case of its
// ASCII letters. No index serves it: it is for short tables.
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

// compareBytes compares a column with a text by their bytes, which is by their
// code points.
func compareBytes(column, operator, text string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Ident(column)
		writeByteCollation(b)
		b.WriteString(" " + operator + " ").Arg(text)
	})
}

// writeByteCollation makes PostgreSQL mind bytes and nothing of a language, as
// SQLite always does.
func writeByteCollation(b *sql.Builder) {
	if b.Dialect() == dialect.Postgres {
		b.WriteString(` COLLATE "C"`)
	}
}

// lowerASCII makes ASCII letters small, as the databases do.
func lowerASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, text)
}

// successor is the least string that is greater than all that begin with
// prefix, in the order of code points. There may be none.
func successor(prefix string) (string, bool) {
	runes := []rune(prefix)
	for n := len(runes) - 1; n >= 0; n-- {
		if runes[n] == utf8.MaxRune {
			continue // nothing is greater in this place: the one before it must be
		}
		runes[n]++
		if runes[n] == 0xD800 { // not a character, nor are those up to 0xDFFF
			runes[n] = 0xE000
		}
		return string(runes[:n+1]), true
	}
	return "", false
}
