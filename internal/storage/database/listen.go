package database

import (
	"context"
	"time"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"
)

// pingInterval is the longest time without a message before Listen tests the
// connection.
const pingInterval = 20 * time.Second

// Notify sends a message to all servers on this database, including this server. On
// SQLite, Notify does nothing, because an SQLite database has a single server. A
// message must be shorter than 8,000 bytes.
func (db *DB) Notify(ctx context.Context, channel, message string) error {
	if db.Dialect != dialect.Postgres {
		return nil
	}
	_, err := db.SQL.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, message)
	return err
}

// Listen calls onMessage with each message on a channel until ctx ends. Listen calls
// onGap after each loss of the connection, because messages may be lost, and once at
// the beginning. On SQLite, Listen only waits for the end of ctx.
func (db *DB) Listen(ctx context.Context, channel string, onMessage func(message string), onGap func()) {
	if db.Dialect != dialect.Postgres {
		<-ctx.Done()
		return
	}
	listener := pq.NewListener(db.url, 100*time.Millisecond, 10*time.Second, nil)
	defer listener.Close()
	go func() { _ = listener.Listen(channel) }() // repeats until listener is closed
	idle := time.NewTimer(pingInterval)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-listener.NotificationChannel():
			if n == nil { // the connection was lost and is restored
				onGap()
			} else {
				onMessage(n.Extra)
			}
		case <-idle.C:
			go func() { _ = listener.Ping() }() // detects a lost connection
		}
		idle.Reset(pingInterval)
	}
}
