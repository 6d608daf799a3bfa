package selection

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/rawjson"
)

// cell holds a value as the driver gave it. Bytes are the driver's own, until
// the next row.
type cell struct{ value any }

// Scan is for database/sql.
func (c *cell) Scan(value any) error {
	c.value = value
	return nil
}

// Row is the columns of one row that a field asked for, in its order. It holds
// until the next row is read.
type Row struct {
	cells []cell
	at    []int
}

// Value is what the driver gave: an int64, a float64, a string, bytes that
// change with the next row, or nil.
func (r Row) Value(n int) any { return r.cells[r.at[n]].value }

// Text is a column of text, or of JSON.
func (r Row) Text(n int) (string, error) {
	switch v := r.Value(n).(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	default:
		return "", unexpected(v)
	}
}

// Bytes is a column of JSON, or of text, until the next row.
func (r Row) Bytes(n int) ([]byte, error) {
	switch v := r.Value(n).(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	default:
		return nil, unexpected(v)
	}
}

// Number is a column of whole numbers.
func (r Row) Number(n int) (int64, error) {
	if v, ok := r.Value(n).(int64); ok {
		return v, nil
	}
	return 0, unexpected(r.Value(n))
}

func unexpected(v any) error { return fmt.Errorf("selection: the database gave a %T", v) }

// kept is a value that outlives its row.
func kept(v any) any {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

var errNull = errors.New("selection: null, where the schema has none")

// scalar appends a value that is not null. Of is the name of the type that the
// field is of.
type scalar func(b []byte, of string, value any) ([]byte, error)

// scalars is how each scalar of the schema is written.
var scalars = map[string]scalar{
	"ID":       writeID,
	"String":   writeText,
	"URL":      writeText,
	"Int":      writeNumber,
	"Long":     writeNumber,
	"Float":    writeFloat,
	"DateTime": writeTime,
	"JSON":     writeJSON,
}

func writeID(b []byte, of string, value any) ([]byte, error) {
	switch v := value.(type) {
	case int64:
		b = append(append(append(b, '"'), of...), ':')
		return append(strconv.AppendInt(b, v, 10), '"'), nil
	case string:
		return strconv.AppendQuote(b, nodeid.Of(of, v).String()), nil
	default:
		return b, unexpected(v)
	}
}

func writeText(b []byte, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return rawjson.AppendText(b, v), nil
	case []byte:
		return rawjson.AppendText(b, v), nil
	default:
		return b, unexpected(v)
	}
}

func writeNumber(b []byte, _ string, value any) ([]byte, error) {
	if v, ok := value.(int64); ok {
		return strconv.AppendInt(b, v, 10), nil
	}
	return b, unexpected(value)
}

func writeFloat(b []byte, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return b, errors.New("selection: a number that JSON does not have")
		}
		return rawjson.AppendFloat(b, v), nil
	case int64: // of SQLite, for a whole number in a column without a type
		return rawjson.AppendFloat(b, float64(v)), nil
	default:
		return b, unexpected(v)
	}
}

func writeTime(b []byte, _ string, value any) ([]byte, error) {
	if v, ok := value.(int64); ok {
		return instant.Instant(v).AppendJSON(b), nil
	}
	return b, unexpected(value)
}

func writeJSON(b []byte, _ string, value any) ([]byte, error) {
	var text string
	switch v := value.(type) {
	case string:
		text = strings.TrimSpace(v)
	case []byte:
		if v = bytes.TrimSpace(v); len(v) > 0 {
			return append(b, v...), nil
		}
	}
	if text == "" {
		return b, unexpected(value)
	}
	return append(b, text...), nil
}

// AppendObject writes an object of the selected fields, each by write.
func AppendObject(b []byte, fields []Selected, write func(b []byte, name string) ([]byte, error)) ([]byte, error) {
	b = append(b, '{')
	for _, field := range fields {
		b = field.AppendKey(b)
		if field.Name == "" { // a __typename, which the key holds
			continue
		}
		var err error
		if b, err = write(b, field.Name); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
