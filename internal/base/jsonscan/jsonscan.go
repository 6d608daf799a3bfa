// Package jsonscan owns reading JSON front to back for callers that know the
// next value: an object with known members, a list, a text, a number. A long
// list of input is read in one pass, straight into values.
//
// Every accepted value is valid JSON (RFC 8259) and has the same meaning in
// encoding/json. Scanner refuses all invalid JSON, and some valid JSON: an
// object with a duplicate member, because readers disagree on the meaning.
// After a refusal the caller reads the text with encoding/json, and reports the
// error of encoding/json to the client. Package jsonscan does not own error
// messages.
//
// Returned texts are substrings of the input, and keep the input in memory.
package jsonscan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Scanner holds the unread rest of a text. Each method reads the next value if
// the value has the method's type. Otherwise the method returns false, and the
// caller must stop reading.
type Scanner struct{ rest string }

// New returns a Scanner of a text, which must be UTF-8.
func New(text string) *Scanner { return &Scanner{text} }

// End reports whether the whole text is read.
func (s *Scanner) End() bool {
	s.skipSpace()
	return s.rest == ""
}

func (s *Scanner) skipSpace() {
	for len(s.rest) > 0 && s.rest[0] <= ' ' && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// Next returns the first byte of the next value, or 0 at the end.
func (s *Scanner) Next() byte {
	s.skipSpace()
	if s.rest == "" {
		return 0
	}
	return s.rest[0]
}

// Take reads the byte of punctuation c.
func (s *Scanner) Take(c byte) bool {
	if s.Next() != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// Null reads a null. After false, the caller may try to read a value of another
// type.
func (s *Scanner) Null() bool { return s.literal("null") }

// Bool reads true or false.
func (s *Scanner) Bool() (value, ok bool) {
	if s.literal("true") {
		return true, true
	}
	return false, s.literal("false")
}

func (s *Scanner) literal(literal string) bool {
	if s.Next() != literal[0] || !strings.HasPrefix(s.rest, literal) {
		return false
	}
	s.rest = s.rest[len(literal):]
	return true
}

// List reads a list, and calls item to read each item.
func (s *Scanner) List(item func() bool) bool {
	if !s.Take('[') {
		return false
	}
	if s.Take(']') {
		return true
	}
	for item() {
		if s.Take(']') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
	return false
}

// Members reads an object, and calls member to read the value of each member.
func (s *Scanner) Members(member func(name string) bool) bool {
	if !s.Take('{') {
		return false
	}
	if s.Take('}') {
		return true
	}
	for {
		if name, ok := s.Text(); !ok || !s.Take(':') || !member(name) {
			return false
		}
		if s.Take('}') {
			return true
		}
		if !s.Take(',') {
			return false
		}
	}
}

// Object reads an object whose members are among names, each at most once. The
// first required names must be present. Names holds at most 32 names. Object
// calls member with the index of a name to read the value.
func (s *Scanner) Object(names []string, required int, member func(number int) bool) bool {
	n, present := 0, uint32(0)
	ok := s.Members(func(name string) bool {
		if n == len(names) || names[n] != name { // members mostly come in the order of names
			n = slices.Index(names, name)
		}
		if n < 0 || present&(1<<n) != 0 || !member(n) {
			return false
		}
		present |= 1 << n
		n++
		return true
	})
	mask := uint32(1)<<required - 1
	return ok && present&mask == mask
}

// Text reads a string.
func (s *Scanner) Text() (text string, ok bool) {
	if s.Next() != '"' {
		return "", false
	}
	for n := 1; n < len(s.rest); n++ {
		switch c := s.rest[n]; {
		case c == '"':
			text, s.rest = s.rest[1:n], s.rest[n+1:]
			return text, true
		case c == '\\':
			return s.textWithEscapes(n)
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// textWithEscapes reads a string whose first escape is at n.
func (s *Scanner) textWithEscapes(n int) (string, bool) {
	for ; n < len(s.rest) && s.rest[n] != '"'; n++ {
		if s.rest[n] == '\\' {
			n++ // the escaped byte does not end the string
		}
	}
	if n >= len(s.rest) {
		return "", false
	}
	// AppendUnquote refuses a lone surrogate, which encoding/json replaces.
	text, err := jsontext.AppendUnquote(nil, s.rest[:n+1])
	s.rest = s.rest[n+1:]
	return string(text), err == nil
}

// Number reads a number that fits a float64.
func (s *Scanner) Number() (float64, bool) {
	if s.Next() == 0 {
		return 0, false
	}
	// Fast path: most numbers are small and whole.
	n, integer := 0, 0
	for n < len(s.rest) && n < 9 && s.rest[n]-'0' <= 9 {
		integer = 10*integer + int(s.rest[n]-'0')
		n++
	}
	if n > 0 && n < len(s.rest) && (s.rest[n] == ',' || s.rest[n] == ']') && (s.rest[0] != '0' || n == 1) {
		s.rest = s.rest[n:]
		return float64(integer), true
	}
	text, _, ok := s.number()
	if !ok {
		return 0, false
	}
	x, err := strconv.ParseFloat(text, 64)
	return x, err == nil
}

// NumberText reads a number and returns its text unchanged.
func (s *Scanner) NumberText() (string, bool) {
	s.skipSpace()
	text, _, ok := s.number()
	return text, ok
}

// Int32 reads a number without fraction and exponent that fits 32 bits.
func (s *Scanner) Int32() (int, bool) {
	s.skipSpace()
	text, whole, ok := s.number()
	if !ok || !whole {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil
}

// number reads a number. whole reports whether the number has neither fraction
// nor exponent.
func (s *Scanner) number() (text string, whole, ok bool) {
	n := 0
	accept := func(set string) bool {
		if n < len(s.rest) && strings.IndexByte(set, s.rest[n]) >= 0 {
			n++
			return true
		}
		return false
	}
	digits := func() bool {
		start := n
		for n < len(s.rest) && s.rest[n]-'0' <= 9 {
			n++
		}
		return n > start
	}
	accept("-")
	if !accept("0") && !digits() {
		return "", false, false
	}
	whole = true
	if accept(".") {
		if whole = false; !digits() {
			return "", false, false
		}
	}
	if accept("eE") {
		whole = false
		if accept("+-"); !digits() {
			return "", false, false
		}
	}
	text, s.rest = s.rest[:n], s.rest[n:]
	return text, whole, true
}

// Skip passes over a value and returns the text of the value. Skip only looks
// for the end of the value, and finds the end if the value is valid. The caller
// must check the validity of the returned text.
func (s *Scanner) Skip() (value string, ok bool) {
	s.skipSpace()
	depth, n := 0, 0
scan:
	for n < len(s.rest) {
		c := s.rest[n]
		if depth > 0 && c != '"' && c|0x20 != '{' && c|0x20 != '}' { // c|0x20 maps brackets to braces
			n++
			continue
		}
		switch c {
		case '"':
			for n++; n < len(s.rest) && s.rest[n] != '"'; n++ {
				if s.rest[n] == '\\' {
					n++ // the escaped byte does not end the string
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				break scan
			}
			depth--
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				break scan
			}
		}
		n++
	}
	if n == 0 || n > len(s.rest) || depth > 0 {
		return "", false
	}
	value, s.rest = s.rest[:n], s.rest[n:]
	return value, true
}
