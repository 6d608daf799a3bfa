// Package leader owns the election of a single server for a piece of work, among all
// servers of a PostgreSQL database: the leader is the holder of an advisory lock. The lock
// ends with the connection of the holder, so another server takes over within seconds
// after the leader dies. An SQLite database has a single server, which always leads.
//
// A leader that loses the connection stops the work within seconds. Until then two servers
// may both work as leader, and the work must tolerate two leaders. The package does not
// own the work.
package leader

import (
	"context"
	stdsql "database/sql"
	"database/sql/driver"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"entgo.io/ent/dialect"

	"tagma/internal/base/sleep"
	"tagma/internal/storage/database"
)

// checkInterval is the time between two checks of the lock, and between two
// attempts at failed work.
const checkInterval = 2 * time.Second

// Start runs work in the background while this server leads, until ctx ends. The context
// of work ends when the server stops leading. If work returns earlier, Start runs work
// again after a pause. Start closes the returned channel when ctx and work have ended.
func Start(ctx context.Context, db *database.DB, log *slog.Logger, name string, work func(context.Context) error) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := lead(ctx, db, name, work); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "background work is interrupted", "work", name, "error", err)
			}
			_ = sleep.For(ctx, checkInterval) // the loop ends with ctx
		}
	}()
	return ended
}

// lead runs work if no other server leads. lead returns when work has returned. If the
// lock is lost, lead cancels work first.
func lead(ctx context.Context, db *database.DB, name string, work func(context.Context) error) error {
	if db.Dialect == dialect.SQLite {
		return work(ctx)
	}
	conn, err := db.SQL.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var acquired bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", key(name)).Scan(&acquired); err != nil || !acquired {
		return err
	}
	defer release(conn, name)
	workCtx, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- work(workCtx) }()
	for {
		select {
		case err := <-done:
			stop()
			return err
		case <-time.After(checkInterval):
		}
		if err := ping(workCtx, conn); err != nil { // the connection is lost, and the lock with it
			stop()
			return errors.Join(err, <-done)
		}
	}
}

// ping tests the connection, with a short timeout: a network that drops packets must not
// hide the loss of the lock.
func ping(ctx context.Context, conn *stdsql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, checkInterval)
	defer cancel()
	return conn.PingContext(ctx)
}

// release unlocks the advisory lock, because the connection returns to the pool.
func release(conn *stdsql.Conn, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), checkInterval)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", key(name)); err != nil {
		// Close the connection: a pooled connection must not hold the lock.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// key returns the number of the lock.
func key(name string) int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte("tagma " + name))
	return int64(sum.Sum64())
}
