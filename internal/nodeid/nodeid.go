// Package nodeid owns the global ids of the API: what `Node.id` holds and
// `node(id)` takes. An id names a type and a row of it, as `Image:42` or
// `Device:0a5bb6f4`. It is stable for the life of the row. To a caller it is
// opaque.
package nodeid

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"tagma/internal/fault"
)

// ID is a global id.
type ID struct {
	Type string // the GraphQL type
	Key  string // the row's primary key
}

// Of is the id of a row of the type.
func Of[K int64 | string](typename string, key K) ID {
	return ID{Type: typename, Key: fmt.Sprint(key)}
}

// Parse reads what String writes.
func Parse(s string) (ID, error) {
	typename, key, ok := strings.Cut(s, ":")
	if !ok || typename == "" || key == "" || len(s) > 100 || strings.ContainsFunc(s, unprintable) {
		return ID{}, fault.New(fault.BadInput, "the value is not an id of this server: pass back an id as it was given")
	}
	return ID{Type: typename, Key: key}, nil
}

func unprintable(r rune) bool { return r <= ' ' || r > '~' }

// Number is the key of a type whose rows are numbered. False means that no row
// can have this id.
func (id ID) Number() (int64, bool) {
	n, err := strconv.ParseInt(id.Key, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatInt(n, 10) == id.Key
}

// String is the id as callers see it.
func (id ID) String() string { return id.Type + ":" + id.Key }

// MarshalGQL writes the scalar ID.
func (id ID) MarshalGQL(w io.Writer) { _, _ = io.WriteString(w, strconv.Quote(id.String())) }

// UnmarshalGQL reads the scalar ID.
func (id *ID) UnmarshalGQL(v any) error {
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
