package selection

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/rawjson"
)

// cell holds a value of the driver. A []byte belongs to the driver, and changes
// with the next row.
type cell struct{ value any }

// Scan stores the value. It implements sql.Scanner.
func (c *cell) Scan(value any) error {
	c.value = value
	return nil
}

// Row holds the columns of a row for a field, in the order of Field.Columns. A Row is
// valid until the next row is read.
type Row struct {
	cells   []cell
	columns []int
}

// Value returns the driver's value of column n: an int64, a float64, a string, a
// []byte (valid until the next row), or nil.
func (r Row) Value(n int) any { return r.cells[r.columns[n]].value }

// Text returns column n of text or JSON.
func (r Row) Text(n int) (string, error) {
	switch v := r.Value(n).(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	default:
		return "", unexpectedType(v)
	}
}

// Bytes returns column n of text or JSON. The bytes may change with the
// next row.
func (r Row) Bytes(n int) ([]byte, error) {
	switch v := r.Value(n).(type) {
	case string:
		return []byte(v), nil
	case []byte:
		return v, nil
	default:
		return nil, unexpectedType(v)
	}
}

// Number returns column n of an integer.
func (r Row) Number(n int) (int64, error) {
	if v, ok := r.Value(n).(int64); ok {
		return v, nil
	}
	return 0, unexpectedType(r.Value(n))
}

func unexpectedType(v any) error { return fmt.Errorf("selection: the database returned a %T", v) }

// retained returns a copy of a value, valid after the next row is read.
func retained(v any) any {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v
}

// valueEncoder appends a value as JSON. The value is not nil. Typ is the name of the
// object's type.
type valueEncoder func(b []byte, typ string, value any) ([]byte, error)

// valueEncoders are the encoders of the schema's scalars.
var valueEncoders = map[string]valueEncoder{
	"ID":       appendID,
	"String":   appendText,
	"URL":      appendText,
	"Int":      appendNumber,
	"Long":     appendNumber,
	"Float":    appendFloat,
	"Boolean":  appendBoolean,
	"DateTime": appendTime,
	"JSON":     appendJSON,
}

// valueEncoder returns the encoder of a scalar or an enum, or nil if there is
// none.
func (e *Engine) valueEncoder(typ *ast.Type) valueEncoder {
	if e.schema.Types[typ.Name()].Kind == ast.Enum {
		return appendText
	}
	return valueEncoders[typ.Name()]
}

func appendID(b []byte, typ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case int64:
		b = append(append(append(b, '"'), typ...), ':')
		return append(strconv.AppendInt(b, v, 10), '"'), nil
	case string:
		return rawjson.AppendText(b, nodeid.Of(typ, v).String()), nil
	default:
		return b, unexpectedType(v)
	}
}

func appendText(b []byte, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		return rawjson.AppendText(b, v), nil
	case []byte:
		return rawjson.AppendText(b, v), nil
	default:
		return b, unexpectedType(v)
	}
}

func appendNumber(b []byte, _ string, value any) ([]byte, error) {
	if v, ok := value.(int64); ok {
		return strconv.AppendInt(b, v, 10), nil
	}
	return b, unexpectedType(value)
}

func appendFloat(b []byte, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case float64:
		if math.IsInf(v, 0) || math.IsNaN(v) {
			return b, errors.New("selection: JSON has no infinity and no NaN")
		}
		return rawjson.AppendFloat(b, v), nil
	case int64: // SQLite returns an int64 for a whole number in a column without a type
		return rawjson.AppendFloat(b, float64(v)), nil
	default:
		return b, unexpectedType(v)
	}
}

func appendBoolean(b []byte, _ string, value any) ([]byte, error) {
	switch v := value.(type) {
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64: // SQLite has no booleans
		return strconv.AppendBool(b, v != 0), nil
	default:
		return b, unexpectedType(v)
	}
}

func appendTime(b []byte, _ string, value any) ([]byte, error) {
	if v, ok := value.(int64); ok {
		return instant.Instant(v).AppendJSON(b), nil
	}
	return b, unexpectedType(value)
}

func appendJSON(b []byte, _ string, value any) ([]byte, error) {
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
		return b, unexpectedType(value)
	}
	return append(b, text...), nil
}

// AppendObject appends an object with the selected fields. appendValue appends
// the value of a field.
func AppendObject(b []byte, fields []SelectedField, appendValue func(b []byte, name string) ([]byte, error)) ([]byte, error) {
	b = append(b, '{')
	for _, field := range fields {
		b = field.AppendKey(b)
		if field.Name == "" { // __typename, whose value is part of the key
			continue
		}
		var err error
		if b, err = appendValue(b, field.Name); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}
