// Package nodeid owns the global ids of the API: the values of `Node.id` and of
// the argument of `node(id)`. An id holds a type and a row of the type, as in
// `Image:42` or `Device:0a5bb6f4`. The id is stable for the life of the row,
// and opaque to callers. Package nodeid does not own the rows.
package nodeid

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"tagma/internal/base/fault"
	"tagma/internal/base/rawjson"
)

// ID is a global id.
type ID struct {
	Type string // name of the GraphQL type
	Key  string // primary key of the row
}

// Of returns the id of the row of a type.
func Of[K int64 | string](typename string, key K) ID {
	return ID{Type: typename, Key: fmt.Sprint(key)}
}

// Parse returns the ID of a text written by String. The error is a
// *fault.Error.
func Parse(s string) (ID, error) {
	typename, key, ok := strings.Cut(s, ":")
	if !ok || typename == "" || key == "" || len(s) > 100 || strings.ContainsFunc(s, unprintable) {
		return ID{}, fault.New(fault.BadInput, "the value is not an id of this server: pass back an id as it was given")
	}
	return ID{Type: typename, Key: key}, nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// Number returns the key of a type with numbered rows. It returns false if no
// row can have the id.
func (id ID) Number() (int64, bool) {
	n, err := strconv.ParseInt(id.Key, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == id.Key
}

// String returns the id in the form of the API.
func (id ID) String() string { return id.Type + ":" + id.Key }

// MarshalGQL writes the scalar ID.
func (id ID) MarshalGQL(w io.Writer) { _, _ = w.Write(rawjson.AppendText(nil, id.String())) }

// UnmarshalGQL reads the scalar ID.
func (id *ID) UnmarshalGQL(v any) error {
	if parsed, ok := v.(ID); ok { // coerced before
		*id = parsed
		return nil
	}
	s, ok := v.(string)
	if !ok {
		return fault.New(fault.BadInput, "the value is not an id: pass back a string as this server gave it")
	}
	parsed, err := Parse(s)
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
