package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"iter"
)

// CopyIn holds rows for PostgreSQL's COPY. A CopyIn must be the only argument of a
// statement "COPY … FROM STDIN", in a transaction. Each row has a value for each
// column: an int64, a string, or nil.
//
// CopyIn is for many or large rows. Rows are sent while the caller still makes the next
// rows, so the database works at the same time.
type CopyIn iter.Seq[[]driver.Value]

// copyIn runs a COPY. copyIn ends the COPY even after an error, so that the connection
// can be used again. After an error the caller must roll the transaction back.
func (c *connection) copyIn(ctx context.Context, query string, rows CopyIn) (driver.Result, error) {
	prepared, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	// The statement of lib/pq takes one row per call, and no row for the end.
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
