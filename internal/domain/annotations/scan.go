package annotations

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"tagma/internal/base/rawjson"
)

// Fields are the fields of an Object, in order.
var Fields = [...]string{"name", "contour", "fillColour", "strokeColour", "value", "boundingBox", "area"} //nolint:gochecknoglobals // a table

// FieldNumber returns the index of a name in Fields, or -1.
func FieldNumber(name string) int { return slices.Index(Fields[:], name) }

// Members holds the stored values of an object's Fields.
type Members [len(Fields)][]byte

// HasName reports whether the object has the given name.
func (m *Members) HasName(name string) bool {
	text := m[0]
	if bytes.IndexByte(text, '\\') < 0 {
		return len(text) > 1 && string(text[1:len(text)-1]) == name
	}
	var decoded string
	return json.Unmarshal(text, &decoded) == nil && decoded == name
}

// Append appends the value of one of the Fields in the spelling of answers. A
// text with escapes may be spelt differently in storage.
func (m *Members) Append(b []byte, field int) ([]byte, error) {
	value := m[field]
	if value[0] != '"' || bytes.IndexByte(value, '\\') < 0 {
		return append(b, value...), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return rawjson.AppendText(b, text), err
}

// Verbatim reports whether answers spell the stored objects exactly as stored.
func Verbatim(storedObjects rawjson.Value) bool { return bytes.IndexByte(storedObjects, '\\') < 0 }

// errSpelling means that stored objects are not in the spelling of Encode. They
// may still be valid: use Decode.
var errSpelling = errors.New("annotations: kept in another spelling")

// Scan calls visit with the members of each stored object. Scan costs a
// fraction of Decode, but accepts only the spelling of Encode. Scan returns the
// error of visit.
func Scan(storedObjects rawjson.Value, visit func(*Members) error) error {
	b, ok := bytes.CutPrefix(storedObjects, []byte("["))
	if !ok {
		return errSpelling
	}
	var m Members
	for n := 0; ; n++ {
		if len(b) == 1 && b[0] == ']' {
			return nil
		}
		if n > 0 {
			if b, ok = bytes.CutPrefix(b, []byte(",")); !ok {
				return errSpelling
			}
		}
		for field, name := range Fields {
			separator := byte(',')
			if field == 0 {
				separator = '{'
			}
			keyLength := len(name) + 4 // ,"name":
			if len(b) < keyLength || b[0] != separator || b[1] != '"' || string(b[2:2+len(name)]) != name || b[keyLength-2] != '"' || b[keyLength-1] != ':' {
				return errSpelling
			}
			b = b[keyLength:]
			length := valueLength(b)
			if length <= 0 {
				return errSpelling
			}
			m[field], b = b[:length], b[length:]
		}
		if b, ok = bytes.CutPrefix(b, []byte("}")); !ok {
			return errSpelling
		}
		if err := visit(&m); err != nil {
			return err
		}
	}
}

// valueLength returns the length of the value at the start of b: a text, a
// number, null, or an array of numbers or of such arrays. It returns 0 for
// anything else.
func valueLength(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"':
		for n := 1; n < len(b); n++ {
			switch b[n] {
			case '"':
				return n + 1
			case '\\':
				n++
			}
		}
		return 0
	case '[':
		end := "]"
		if len(b) > 1 && b[1] == '[' {
			end = "]]"
		}
		if n := bytes.Index(b, []byte(end)); n > 0 {
			return n + len(end)
		}
		return 0
	default:
		return bytes.IndexAny(b, ",}")
	}
}
