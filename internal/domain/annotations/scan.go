package annotations

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"

	"tagma/internal/base/rawjson"
)

// Fields are the fields of an Object, in order.
var Fields = [...]string{"name", "contour", "fillColour", "strokeColour", "value", "boundingBox", "area", "score", "attributes"} //nolint:gochecknoglobals // a table

// RequiredFields is the number of Fields that each stored object has. Storage
// leaves each further field out if its value is null.
const RequiredFields = 7

// BoxField is the field of an object that is a Box.
const BoxField = "boundingBox"

// BoxFields are the fields of a Box, in the order of the stored list.
var BoxFields = [...]string{"x", "y", "width", "height"} //nolint:gochecknoglobals // a table

// FieldNumber returns the index of a name in Fields, or -1.
func FieldNumber(name string) int { return slices.Index(Fields[:], name) }

// BoxFieldNumber returns the index of a name in BoxFields, or -1.
func BoxFieldNumber(name string) int { return slices.Index(BoxFields[:], name) }

// Members holds the stored values of an object's Fields, nil for a field that is
// left out.
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
	if value == nil {
		return append(b, "null"...), nil
	}
	if value[0] != '"' || bytes.IndexByte(value, '\\') < 0 {
		return append(b, value...), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return rawjson.AppendText(b, text), err
}

// Box returns the numbers of the bounding box in the spelling of answers, by
// BoxFields.
func (m *Members) Box() ([len(BoxFields)][]byte, error) { return splitBox(m[boxNumber]) }

// boxNumber is the index of BoxField in Fields.
const boxNumber = 5

// splitBox returns the numbers of a stored bounding box: [x,y,width,height].
func splitBox(list []byte) (numbers [len(BoxFields)][]byte, err error) {
	if len(list) < 2 || list[0] != '[' || list[len(list)-1] != ']' {
		return numbers, errSpelling
	}
	rest := list[1 : len(list)-1]
	for n := range len(numbers) - 1 {
		var ok bool
		if numbers[n], rest, ok = bytes.Cut(rest, []byte(",")); !ok {
			return numbers, errSpelling
		}
	}
	numbers[len(numbers)-1] = rest
	if bytes.IndexByte(rest, ',') >= 0 {
		return numbers, errSpelling
	}
	return numbers, nil
}

// boxStart is the text before the list of a stored bounding box: the end of the
// key boundingBox. No other key ends so, and no text in JSON contains boxStart,
// because a quote in a text has a backslash. bytes.Index is quick because the
// first letter is rare.
const boxStart = `Box":[`

// boxKeys are the keys of BoxFields in an answer.
var boxKeys = [len(BoxFields)]string{`{"x":`, `,"y":`, `,"width":`, `,"height":`} //nolint:gochecknoglobals // a table

// AppendAll appends stored objects as answers spell the selection of all BoxFields
// with the first fields of Fields, either RequiredFields or all. AppendAll copies
// the text between bounding boxes, for a fraction of the cost of Scan. AppendAll
// returns false if answers may spell the objects differently, or if the number of
// objects is not count: use Scan.
func AppendAll(b []byte, storedObjects rawjson.Value, count, fields int) ([]byte, bool) {
	if bytes.IndexByte(storedObjects, '\\') >= 0 { // a text may be spelt differently
		return b, false
	}
	rest := []byte(storedObjects)
	for range count {
		start := bytes.Index(rest, []byte(boxStart))
		if start < 0 {
			return b, false
		}
		start += len(boxStart) - len("[")
		length := valueLength(rest[start:])
		numbers, err := splitBox(rest[start : start+length])
		if err != nil {
			return b, false
		}
		b = append(b, rest[:start]...)
		for n, key := range boxKeys {
			b = append(b, key...)
			b = append(b, numbers[n]...)
		}
		b = append(b, '}')
		rest = rest[start+length:]
		for n, key := range [...]string{areaKey, scoreKey, attributesKey} {
			var value []byte
			var ok bool
			if value, rest, ok = cutMember(rest, key); !ok || key == areaKey && value == nil {
				return b, false
			}
			if boxNumber+1+n < fields {
				b = appendMember(b, key, value)
			}
		}
	}
	return append(b, rest...), !bytes.Contains(rest, []byte(boxStart))
}

// areaKey is the key of the field after BoxField.
const areaKey = `,"area":`

// cutMember returns the value of the member at the start of b and the rest of b. The
// value is nil if another member is there. cutMember returns false for a key
// without a value.
func cutMember(b []byte, key string) (value, rest []byte, ok bool) {
	if len(b) < len(key) || string(b[:len(key)]) != key {
		return nil, b, true
	}
	b = b[len(key):]
	length := valueLength(b)
	if length <= 0 {
		return nil, nil, false
	}
	return b[:length], b[length:], true
}

// appendMember appends a member; a nil value is null.
func appendMember(b []byte, key string, value []byte) []byte {
	b = append(b, key...)
	if value == nil {
		return append(b, "null"...)
	}
	return append(b, value...)
}

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
		for field, name := range Fields[:RequiredFields] {
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
		for n, key := range [...]string{scoreKey, attributesKey} {
			if m[RequiredFields+n], b, ok = cutMember(b, key); !ok {
				return errSpelling
			}
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
// number, null, an object, or an array of numbers or of such arrays. It returns 0
// for anything else.
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
	case '{':
		return objectLength(b)
	default:
		return bytes.IndexAny(b, ",}")
	}
}

// objectLength returns the length of the object at the start of b, or 0 if the
// object has no end.
func objectLength(b []byte) int {
	depth := 0
	for n := 0; n < len(b); n++ {
		switch b[n] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return n + 1
			}
		case '"':
			length := valueLength(b[n:])
			if length == 0 {
				return 0
			}
			n += length - 1
		}
	}
	return 0
}
