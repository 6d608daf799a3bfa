// Package leader owns that some work is done by one server at a time, whatever
// their number: by whichever holds an advisory lock of the PostgreSQL database
// that they share. The lock goes with the connection, so that a server that
// dies is followed within seconds. On SQLite there is one server, and it leads.
//
// One that has lost its connection notices within seconds too, and until then
// two may believe that they lead: the work must bear that.
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

	"tagma/internal/database"
)

// checkInterval is the time between two looks at who holds the lock, and between two
// tries of work that has failed.
const checkInterval = 2 * time.Second

// Start does the work, in the background, whenever this server leads it, until
// ctx ends. The work's context ends when it leads no more; work that returns
// before is begun again. The channel is closed when nothing is under way.
func Start(ctx context.Context, db *database.DB, log *slog.Logger, name string, work func(context.Context) error) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := lead(ctx, db, name, work); err != nil && ctx.Err() == nil {
				log.WarnContext(ctx, "background work is interrupted", "work", name, "error", err)
			}
			pause(ctx)
		}
	}()
	return ended
}

// lead does the work if nobody else does, until it returns or the lock is lost.
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
		if err := ping(workCtx, conn); err != nil { // the connection is gone, and the lock with it
			stop()
			return errors.Join(err, <-done)
		}
	}
}

// ping does not wait long: a network that swallows what is sent must not hide
// that the lock is gone.
func ping(ctx context.Context, conn *stdsql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, checkInterval)
	defer cancel()
	return conn.PingContext(ctx)
}

// release gives the lock back, for the connection goes back to the pool.
func release(conn *stdsql.Conn, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), checkInterval)
	defer cancel()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", key(name)); err != nil {
		// The lock must not stay with a connection that others will use.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// key is the lock's number.
func key(name string) int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte("tagma " + name))
	return int64(sum.Sum64())
}

func pause(ctx context.Context) {
	timer := time.NewTimer(checkInterval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
