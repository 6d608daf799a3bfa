package photo

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTuple is the largest length of a tuple.
const maxTuple = 8

// parseDict reads the form of early traps: the printed form of a Python dict,
// in the tag Make:
//
//	{'lat': 0.0, 'datetime': '2020-06-20 04:50:10', 'no_flash_bv': (46, 100)}
//
// Nothing is evaluated. Keys are strings; values are strings, numbers, True,
// False, None, or flat tuples of these. For any other text parseDict returns
// nil. Only nan, inf and numbers too large for a float64 are dropped one by
// one, because a broken sensor may cause them.
func parseDict(tag []byte) readings {
	text := cutAtNUL(tag)
	if len(text) > maxTag {
		return nil
	}
	p := &literals{rest: text}
	r, err := p.dict()
	if err != nil {
		return nil
	}
	return r
}

var (
	errLiteral   = errors.New("photo: not a literal")
	errNotFinite = errors.New("photo: not a finite number")
)

// literals reads Python literals from the front of rest.
type literals struct{ rest string }

func (p *literals) skipSpace() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// accept skips white space and token, and reports whether token was present.
func (p *literals) accept(token string) (ok bool) {
	p.skipSpace()
	p.rest, ok = strings.CutPrefix(p.rest, token)
	return ok
}

func (p *literals) dict() (readings, error) {
	r := readings{}
	if !p.accept("{") {
		return nil, errLiteral
	}
	for n := 0; !p.accept("}"); n++ {
		if n == maxNames || n > 0 && !p.accept(",") {
			return nil, errLiteral
		}
		if n > 0 && p.accept("}") { // trailing comma
			break
		}
		p.skipSpace()
		name, err := p.text()
		if err != nil || !p.accept(":") {
			return nil, errLiteral
		}
		value, err := p.value()
		switch {
		case err == nil:
			r[name] = value
		case errors.Is(err, errNotFinite):
			delete(r, name) // the last of two equal names counts
		default:
			return nil, err
		}
	}
	if p.skipSpace(); p.rest != "" {
		return nil, errLiteral
	}
	return r, nil
}

// value reads a scalar or a flat tuple.
func (p *literals) value() (any, error) {
	if !p.accept("(") {
		return p.scalar()
	}
	tuple := []any{}
	var notFinite error
	for n := 0; !p.accept(")"); n++ {
		if n == maxTuple || n > 0 && !p.accept(",") {
			return nil, errLiteral
		}
		if n > 0 && p.accept(")") { // (46,)
			break
		}
		value, err := p.scalar()
		switch {
		case err == nil:
			tuple = append(tuple, value)
		case errors.Is(err, errNotFinite):
			notFinite = err
		default:
			return nil, err
		}
	}
	return tuple, notFinite
}

func (p *literals) scalar() (any, error) {
	p.skipSpace()
	if strings.HasPrefix(p.rest, "'") || strings.HasPrefix(p.rest, `"`) {
		return p.text()
	}
	end := strings.IndexFunc(p.rest, func(c rune) bool {
		return !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '+' || c == '-' || c == '.')
	})
	if end < 0 {
		return nil, errLiteral // at least the closing brace of the dict must follow
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	switch word {
	case "True":
		return true, nil
	case "False":
		return false, nil
	case "None":
		return nil, nil
	}
	switch strings.ToLower(strings.TrimLeft(word, "+-")) {
	case "nan", "inf", "infinity":
		return nil, errNotFinite
	}
	return parseNumber(word)
}

// parseNumber returns a decimal number, as an int64 if possible, otherwise as a
// float64.
func parseNumber(s string) (any, error) {
	if strings.Trim(s, "0123456789+-.eE") != "" { // hexadecimal, 1_000, Infinity
		return nil, errLiteral
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := strconv.ParseFloat(s, 64)
	switch {
	case math.IsInf(n, 0):
		return nil, errNotFinite
	case err != nil:
		return nil, errLiteral
	}
	return n, nil
}

// text reads a string in single or double quotes.
func (p *literals) text() (string, error) {
	if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
		return "", errLiteral
	}
	quote, s := p.rest[0], p.rest[1:]
	var b strings.Builder
	for s != "" && s[0] != quote {
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		// UnquoteChar handles the escapes of Python's repr, and more. Unlike
		// Python, it refuses \" in '…' and \' in "…".
		if len(s) > 1 && (s[1] == '\'' || s[1] == '"') {
			b.WriteByte(s[1])
			s = s[2:]
			continue
		}
		c, _, tail, err := strconv.UnquoteChar(s, quote)
		if err != nil {
			return "", errLiteral
		}
		b.WriteRune(c)
		s = tail
	}
	if s == "" {
		return "", errLiteral
	}
	p.rest = s[1:]
	return cleanText(b.String()), nil
}

// cleanText removes control characters, because JSON in PostgreSQL cannot hold
// all of them, and replaces invalid UTF-8.
func cleanText(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
}
