// Package rawjson owns JSON that passes through Tagma as it stands: the
// scalars JSON and Contour, and the columns that hold them. It is written into
// an answer without being read again, which is what makes it cheap. It owns
// also how texts and numbers are spelt in answers, so that what is kept in that
// spelling need not be read to be the same.
package rawjson

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"tagma/internal/fault"
)

// Value is one JSON value, valid by construction: it comes from json.Marshal
// or from a column that was written so.
type Value []byte

// Of is v as JSON. It fails as json.Marshal does.
func Of(v any) (Value, error) {
	b, err := json.Marshal(v)
	return Value(b), err
}

// MarshalJSON passes the value through.
func (v Value) MarshalJSON() ([]byte, error) {
	if len(v) == 0 {
		return []byte("null"), nil
	}
	return v, nil
}

// UnmarshalJSON keeps a copy of the value.
func (v *Value) UnmarshalJSON(b []byte) error {
	*v = append((*v)[:0], b...)
	return nil
}

// MarshalGQL passes the value through.
func (v Value) MarshalGQL(w io.Writer) {
	if len(v) == 0 {
		v = Value("null")
	}
	_, _ = w.Write(v)
}

// UnmarshalGQL takes any JSON value of a request.
func (v *Value) UnmarshalGQL(value any) error {
	b, err := json.Marshal(value)
	if err != nil {
		return fault.New(fault.BadInput, "%.40q is not JSON", fmt.Sprint(value))
	}
	*v = b
	return nil
}

const hex = "0123456789ABCDEF"

// AppendText writes a text as answers have it: gqlgen's String.
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

// AppendFloat writes a finite number as answers have it: gqlgen's Float.
func AppendFloat(b []byte, n float64) []byte {
	if whole := int64(n); float64(whole) == n && whole != 0 && whole > -1e6 && whole < 1e6 { // as many are
		return strconv.AppendInt(b, whole, 10)
	}
	return strconv.AppendFloat(b, n, 'g', -1, 64)
}
