// Package jsonscan reads JSON from front to back by whoever knows what comes
// next: an object with these members, a list, a text, a number. A long list of
// input is read so in one pass, straight into values.
//
// What it reads is valid JSON (RFC 8259) and means what encoding/json takes it
// to mean. It says no to all else, and to some that is valid: an object that has
// a member twice, which is read in more than one way. Whoever hears no reads the
// text with encoding/json, whose errors are those that callers are told.
//
// Its texts are parts of the one that is read, and keep it in memory.
package jsonscan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Scanner is what is left to be read. Each of its methods reads what comes next,
// if that is what it reads; else it says no, and nothing more is to be read.
type Scanner struct{ rest string }

// New reads a text, which must be UTF-8.
func New(text string) *Scanner { return &Scanner{text} }

// End says whether all is read.
func (s *Scanner) End() bool {
	s.skipSpace()
	return s.rest == ""
}

func (s *Scanner) skipSpace() {
	for len(s.rest) > 0 && s.rest[0] <= ' ' && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// Next is the first byte of what comes next, or 0.
func (s *Scanner) Next() byte {
	s.skipSpace()
	if s.rest == "" {
		return 0
	}
	return s.rest[0]
}

// Take reads a byte of punctuation.
func (s *Scanner) Take(c byte) bool {
	if s.Next() != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// Null reads a null. Its no is not the last word: something else is there.
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

// List reads a list, each item of which is read by item.
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

// Members reads an object, each member's value by member.
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

// Object reads an object that has the first so many of the names, of which there
// are 32 at most, and may have the others, each once. Member reads the value of
// the one that has this number.
func (s *Scanner) Object(names []string, required int, member func(number int) bool) bool {
	n, present := 0, uint32(0)
	ok := s.Members(func(name string) bool {
		if n == len(names) || names[n] != name { // most come in the names' order
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

// escaped reads a string whose first escape is at n.
func (s *Scanner) textWithEscapes(n int) (string, bool) {
	for ; n < len(s.rest) && s.rest[n] != '"'; n++ {
		if s.rest[n] == '\\' {
			n++ // the next is no end
		}
	}
	if n >= len(s.rest) {
		return "", false
	}
	// It says no to half a pair of surrogates, which encoding/json replaces.
	text, err := jsontext.AppendUnquote(nil, s.rest[:n+1])
	s.rest = s.rest[n+1:]
	return string(text), err == nil
}

// Number reads a number. What a float64 cannot hold is none.
func (s *Scanner) Number() (float64, bool) {
	if s.Next() == 0 {
		return 0, false
	}
	// Most are small and whole.
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

// Spelling reads a number as it is written.
func (s *Scanner) Spelling() (string, bool) {
	s.skipSpace()
	text, _, ok := s.number()
	return text, ok
}

// Whole reads a number that is written as a whole one, of 32 bits.
func (s *Scanner) Whole() (int, bool) {
	s.skipSpace()
	text, whole, ok := s.number()
	if !ok || !whole {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return int(n), err == nil
}

// number reads a number, and says whether it has neither fraction nor exponent.
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

// Skip passes over a value, and gives it as it stands. It looks for its end only:
// that is where it is if the value is valid, which is for its reader to find out.
func (s *Scanner) Skip() (value string, ok bool) {
	s.skipSpace()
	depth, n := 0, 0
scan:
	for n < len(s.rest) {
		c := s.rest[n]
		if depth > 0 && c != '"' && c|0x20 != '{' && c|0x20 != '}' { // which the brackets become too
			n++
			continue
		}
		switch c {
		case '"':
			for n++; n < len(s.rest) && s.rest[n] != '"'; n++ {
				if s.rest[n] == '\\' {
					n++ // the next is no end
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
