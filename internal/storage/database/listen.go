package database

import (
	"context"
	"time"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"
)

// silence is how long a connection that listens may hear nothing before it is
// asked whether it is still there.
const pingInterval = 20 * time.Second

// Notify tells all servers on this database, this one too, of something. On
// SQLite there are no others, and nothing happens. A message has less than
// 8,000 bytes.
func (db *DB) Notify(ctx context.Context, channel, message string) error {
	if db.Dialect != dialect.Postgres {
		return nil
	}
	_, err := db.SQL.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, message)
	return err
}

// Listen hears what servers on this database say on a channel, until ctx ends.
// After each time that it could not hear, and so at first, it calls missed.
// On SQLite it waits for ctx to end.
func (db *DB) Listen(ctx context.Context, channel string, onMessage func(message string), onGap func()) {
	if db.Dialect != dialect.Postgres {
		<-ctx.Done()
		return
	}
	listener := pq.NewListener(db.url, 100*time.Millisecond, 10*time.Second, nil)
	defer listener.Close()
	go func() { _ = listener.Listen(channel) }() // tries until it is closed
	idle := time.NewTimer(pingInterval)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-listener.NotificationChannel():
			if n == nil { // it was not connected
				onGap()
			} else {
				onMessage(n.Extra)
			}
		case <-idle.C:
			go func() { _ = listener.Ping() }() // a connection that is not there is noticed so
		}
		idle.Reset(pingInterval)
	}
}
