package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
)

// CopyIn is rows for PostgreSQL's COPY: the one argument of a statement
// "COPY … FROM STDIN", which must be run in a transaction. Each row has a value
// for each column: an int64, a string, or nil.
//
// It is for many or large rows: they are sent as they are made, and read by the
// database meanwhile.
type CopyIn iter.Seq[[]driver.Value]

// copyIn runs a COPY. It is ended whatever happens, so that the connection can go
// on; of one that fails, the transaction is then to be given up.
func (c *connection) copyIn(ctx context.Context, query string, rows CopyIn) (driver.Result, error) {
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	// lib/pq's, which takes a row at a time, and none for the end.
	to, ok := prepared.(interface {
		Exec(row []driver.Value) (driver.Result, error)
	})
	if !ok {
		return nil, errors.Join(fmt.Errorf("a COPY by a %T", prepared), prepared.Close())
	}
	for row := range rows {
		if err = ctx.Err(); err == nil {
			_, err = to.Exec(row)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(withContextError(ctx, err), prepared.Close())
	}
	result, err := to.Exec(nil)
	return result, withContextError(ctx, err)
}
