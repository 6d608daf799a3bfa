// Package rawjson owns JSON passed through Tagma unchanged: the scalars JSON
// and Contour, and the columns with such JSON. An answer contains the JSON
// without decoding, to keep answers cheap. Package rawjson also owns the
// spelling of texts and numbers in answers, so that stored JSON in this
// spelling is written unchanged. It does not own the meaning of the JSON.
package rawjson

import (
	"encoding/json"
	"io"
	"strconv"

	"tagma/internal/base/fault"
)

// Value is one valid JSON value: the result of json.Marshal, or a column that
// stores such a result.
type Value []byte

// Of returns v as JSON, or the error of json.Marshal.
func Of(v any) (Value, error) {
	b, err := json.Marshal(v)
	return Value(b), err
}

// MarshalJSON returns the value unchanged.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return []byte("null"), nil
	}
	return v, nil
}

// UnmarshalJSON stores a copy of the value.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = append((*v)[:0], b...)
	return nil
}

// MarshalGQL writes the value unchanged.
func (v Value) MarshalGQL(w io.Writer) {
	if len(v) == 0 {
		v = Value("null")
	}
	_, _ = w.Write(v)
}

// UnmarshalGQL accepts any JSON value of a request.
func (v *Value) UnmarshalGQL(value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fault.New(fault.BadInput, "the value is not JSON")
	}
	*v = b
	return nil
}

const hex = "0123456789ABCDEF"

// AppendText appends a text in the spelling of answers: gqlgen's String.
func AppendText[T string | []byte](b []byte, text T) []byte {
	b = append(b, '"')
	start := 0
	for n := range len(text) {
		c := text[n]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, text[start:n]...)
		start = n + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(b, text[start:]...), '"')
}

// AppendFloat appends a finite number in the spelling of answers: gqlgen's
// Float.
func AppendFloat(b []byte, n float64) []byte {
	if integer := int64(n); float64(integer) == n && integer != 0 && integer > -1e6 && integer < 1e6 { // the common case
		return strconv.AppendInt(b, integer, 10)
	}
	return strconv.AppendFloat(b, n, 'g', -1, 64)
}
