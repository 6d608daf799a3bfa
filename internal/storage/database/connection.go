package database

import (
	"container/list"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"

	"tagma/internal/base/cost"
)

// keptStatements bounds the prepared statements of one connection. Tagma has
// fewer shapes of statement than that, but for those of package selection, which
// are as many as the selections that are asked for.
const maxPrepared = 200

// conn is what both drivers' connections can do.
type conn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// connector makes connections that keep their statements prepared, tell of each
// one they send, and charge its time to the answer that it is for. ent prepares nothing, and a short query takes twice as
// long when the database has to plan it each time.
type connector struct {
	open    func(context.Context) (conn, error)
	observe func(context.Context, string)

	// outlived says that a statement keeps the connection open, and so the
	// files of an embedded database, until it is closed itself.
	closeStatements bool
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	driverConn, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{conn: driverConn, connector: c, prepared: map[string]*list.Element{}}, nil
}

func (c *connector) Driver() driver.Driver { return noDriver{} }

// noDriver stands for the driver that database/sql wants to know of, and that
// nothing here asks to open anything.
type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) { return nil, driver.ErrBadConn }

// connection adds the keeping to a driver's own connection. database/sql uses
// it from one goroutine at a time.
type connection struct {
	conn
	*connector
	prepared map[string]*list.Element // holding a *statement, by SQL text
	order    list.List                // the last used in front
}

type statement struct {
	driver.Stmt
	query string
	busy  bool // its rows are being read
}

// Close closes the statements first, where a connection would live on with
// them. A server forgets them by itself.
func (c *connection) Close() error {
	if c.closeStatements {
		for _, element := range c.prepared {
			_ = element.Value.(*statement).Close()
		}
	}
	return c.conn.Close()
}

// CheckNamedValue leaves arguments to the driver below, which may take more
// kinds than database/sql does.
func (c *connection) CheckNamedValue(v *driver.NamedValue) error {
	if _, ok := v.Value.(CopyIn); ok {
		return nil
	}
	if checker, ok := c.conn.(driver.NamedValueChecker); ok {
		return checker.CheckNamedValue(v)
	}
	return driver.ErrSkip
}

func (c *connection) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c.notifyObserver(ctx, query)
	spent := cost.From(ctx).Statement()
	defer spent.End()
	defer spent.Leave()
	if len(args) == 1 {
		if rows, ok := args[0].Value.(CopyIn); ok {
			return c.copyIn(ctx, query, rows)
		}
	}
	if len(args) == 0 { // may be several statements, which cannot be prepared
		return c.conn.ExecContext(ctx, query, nil)
	}
	stmt, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return c.conn.ExecContext(ctx, query, args)
	}
	result, err := stmt.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if err != nil {
		c.drop(stmt)
	}
	return result, withContextError(ctx, err)
}

func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.notifyObserver(ctx, query)
	spent := cost.From(ctx).Statement()
	result, err := c.query(ctx, query, args)
	spent.Leave()
	if err != nil {
		spent.End()
		return nil, err
	}
	result.spent, result.reader = spent, cost.Reader(ctx)
	return result, nil
}

func (c *connection) query(ctx context.Context, query string, args []driver.NamedValue) (*rows, error) {
	stmt, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		result, err := c.conn.QueryContext(ctx, query, args)
		return &rows{Rows: result, ctx: ctx, conn: c}, err
	}
	result, err := stmt.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		c.drop(stmt)
		return nil, withContextError(ctx, err)
	}
	stmt.busy = true
	return &rows{Rows: result, ctx: ctx, statement: stmt, conn: c}, nil
}

// statement is query prepared, or nil while its rows are still being read:
// then the driver prepares another for this once.
func (c *connection) statement(ctx context.Context, query string) (*statement, error) {
	if element, ok := c.prepared[query]; ok {
		stmt := element.Value.(*statement)
		if stmt.busy {
			return nil, nil
		}
		c.order.MoveToFront(element)
		return stmt, nil
	}
	driverStmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	stmt := &statement{Stmt: driverStmt, query: query}
	c.prepared[query] = c.order.PushFront(stmt)
	if c.order.Len() > maxPrepared {
		if oldest := c.order.Back().Value.(*statement); !oldest.busy {
			c.drop(oldest)
		}
	}
	return stmt, nil
}

// drop forgets a statement: one that failed may be stale for good.
func (c *connection) drop(stmt *statement) {
	if element, ok := c.prepared[stmt.query]; ok && element.Value == stmt {
		delete(c.prepared, stmt.query)
		c.order.Remove(element)
	}
	_ = stmt.Close()
}

// ended adds to an error that it came because the context ended, where the
// database has put that in its own words.
func withContextError(ctx context.Context, err error) error {
	if why := ctx.Err(); err != nil && why != nil && !errors.Is(err, why) {
		return fmt.Errorf("%w: %w", why, err)
	}
	return err
}

func (c *connection) notifyObserver(ctx context.Context, query string) {
	if c.observe != nil {
		c.observe(ctx, query)
	}
}

// rows frees its statement when it has been read.
type rows struct {
	driver.Rows
	ctx       context.Context // of the query, which ends with it
	statement *statement      // or nil, if it is the driver's for this once
	conn      *connection
	failed    bool

	spent  *cost.Statement
	reader *cost.Meter // counts what is read, if it is held
}

func (r *rows) Next(to []driver.Value) error {
	r.spent.Enter()
	err := r.Rows.Next(to)
	r.spent.Leave()
	if err == nil && r.reader != nil {
		return r.reader.Hold(sizeOf(to))
	}
	if err == nil || err == io.EOF { //nolint:errorlint // drivers return io.EOF itself
		return err
	}
	r.failed = true
	return withContextError(r.ctx, err)
}

// sizeOf returns about how many bytes of memory a row takes.
func sizeOf(row []driver.Value) int64 {
	size := int64(16 * len(row))
	for _, value := range row {
		switch v := value.(type) {
		case string:
			size += int64(len(v))
		case []byte:
			size += int64(len(v))
		}
	}
	return size
}

func (r *rows) Close() error {
	err := r.Rows.Close()
	r.spent.End()
	if r.statement == nil {
		return err
	}
	r.statement.busy = false
	if r.failed || err != nil {
		r.conn.drop(r.statement)
	}
	return err
}
