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

// maxPrepared is the largest number of prepared statements of a connection. Tagma has
// fewer statements, not counting package selection, which makes a statement for each
// different selection of a client.
const maxPrepared = 200

// conn is implemented by the connections of both drivers.
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

// connector makes connections with a cache of prepared statements: ent does not prepare
// statements, and planning doubles the time of a short query. A connection also passes
// each statement to observe, and adds the time of a statement to the cost of the answer
// in the context (package cost).
type connector struct {
	open    func(context.Context) (conn, error)
	observe func(context.Context, string)

	// closeStatements makes Close close every prepared statement: SQLite keeps the file
	// open until all statements are closed.
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

// noDriver implements driver.Driver, because database/sql requires a driver of a
// connector. database/sql never calls Open.
type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) { return nil, driver.ErrBadConn }

// connection adds the cache to a driver's connection. A connection needs no mutex,
// because database/sql uses a connection from a single goroutine at a time.
type connection struct {
	conn
	*connector
	prepared map[string]*list.Element // elements of order, by SQL text; each Value is a *statement
	order    list.List                // of the statements, the last used first
}

type statement struct {
	driver.Stmt
	query string
	busy  bool // while rows of a result are unread
}

// Close closes the connection, after closing the statements if closeStatements is set.
// A PostgreSQL server closes statements together with the connection.
func (c *connection) Close() error {
	if c.closeStatements {
		for _, element := range c.prepared {
			_ = element.Value.(*statement).Close()
		}
	}
	return c.conn.Close()
}

// CheckNamedValue passes arguments to the driver, because a driver may accept more
// types than database/sql.
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
	if len(args) == 0 { // may be several statements, which a driver cannot prepare
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

// statement returns the prepared statement of query, from the cache or new. statement
// returns nil while rows of the statement are unread: the caller then passes the query
// to the driver, which prepares a statement for a single use.
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

// drop removes a statement from the cache and closes the statement. The caller drops a
// statement after an error, because a prepared statement may fail forever after a
// change of the tables.
func (c *connection) drop(stmt *statement) {
	if element, ok := c.prepared[stmt.query]; ok && element.Value == stmt {
		delete(c.prepared, stmt.query)
		c.order.Remove(element)
	}
	_ = stmt.Close()
}

// withContextError returns err joined with the error of ctx if ctx has ended, because a
// database reports the end of a context with errors of its own.
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

// rows is the result of a query. Close releases the statement.
type rows struct {
	driver.Rows
	ctx       context.Context // the context of the query
	statement *statement      // nil if the driver prepared the statement for one use
	conn      *connection
	failed    bool

	spent  *cost.Statement
	reader *cost.Meter // counts the memory of each row; nil if rows are not held
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

// sizeOf returns the approximate memory of a row, in bytes.
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
