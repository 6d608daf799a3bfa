package database

import (
	"fmt"

	ent "tagma/ent/generated"
)

// ColumnValue returns an additional value of a row: the query selected the value
// besides the columns of the row's own table. Name is the name of the column in
// the result. T is string or int64, as both databases return text and integers.
// The value must not be null.
func ColumnValue[T string | int64](row interface {
	Value(name string) (ent.Value, error)
}, name string,
) (T, error) {
	value, err := row.Value(name)
	if err != nil {
		return *new(T), err
	}
	typed, ok := value.(T)
	if !ok {
		return typed, fmt.Errorf("column %s holds a %T, not a %T", name, value, typed)
	}
	return typed, nil
}
