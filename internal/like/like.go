// Package like owns the patterns with which the API selects by name: those of
// SQL's LIKE, meaning the same on both databases. % stands for any run of
// characters, _ for any one, and \ takes the next character as it is.
package like

import (
	"strings"

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
	if strings.ContainsRune(text, 0) || strings.ToValidUTF8(text, "") != text {
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
		return p.like(column)
	default:
		return sql.And(sql.GTE(column, p.prefix), sql.LT(column, successor(p.prefix)), p.like(column))
	}
}

// MatchFold is the condition that the column matches, whatever the case of its
// ASCII letters. No index serves it: it is for short tables.
func (p Pattern) MatchFold(column string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.WriteString("lower(").Ident(column).WriteString(") LIKE ").Arg(strings.ToLower(p.text)).WriteString(` ESCAPE '\'`)
	})
}

func (p Pattern) like(column string) *sql.Predicate {
	return sql.P(func(b *sql.Builder) {
		b.Ident(column).WriteString(" LIKE ").Arg(p.text).WriteString(` ESCAPE '\'`)
	})
}

// successor is the least string that is greater than all that begin with
// prefix, in the order of code points.
func successor(prefix string) string {
	runes := []rune(prefix)
	last := &runes[len(runes)-1]
	*last++
	if *last == 0xD800 { // not a character, nor are those up to 0xDFFF
		*last = 0xE000
	}
	return string(runes)
}
