// Package rawjson owns JSON that passes through Tagma as it stands: the
// scalars JSON and Contour, and the columns that hold them. It is written into
// an answer without being read again, which is what makes it cheap.
package rawjson

import (
	"encoding/json"
	"fmt"
	"io"

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
func (v *Value) UnmarshalGQL(in any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return fault.New(fault.BadInput, "%.40q is not JSON", fmt.Sprint(in))
	}
	*v = b
	return nil
}
