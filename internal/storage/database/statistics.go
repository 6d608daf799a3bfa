package database

import (
	"context"
	"database/sql/driver"

	"entgo.io/ent/dialect"
)

// Analyze brings the statistics up to date by which a database plans. It belongs
// at the end of what writes many rows at once, such as a restore: until PostgreSQL
// has looked at a table by itself, some minutes later, it plans by guesses.
//
// SQLite plans without statistics: see DropStatistics.
func (db *DB) Analyze(ctx context.Context) error {
	if db.Dialect == dialect.SQLite {
		return db.DropStatistics(ctx)
	}
	_, err := db.SQL.ExecContext(ctx, "ANALYZE")
	return err
}

// DropStatistics removes statistics that SQLite has of its tables: those of an
// earlier Tagma, or of somebody who ran ANALYZE. On PostgreSQL it does nothing.
//
// Statistics that are older than an upload of many rows make SQLite read whole
// tables where it would take one step in an index. Tagma's statements are written
// so that SQLite takes the right index without any: docs/adr/0018 says why.
func (db *DB) DropStatistics(ctx context.Context) error {
	if db.Dialect != dialect.SQLite {
		return nil
	}
	conn, err := db.SQL.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	dropped := false
	for _, table := range []string{"sqlite_stat1", "sqlite_stat4"} {
		var exists bool
		err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?)", table).Scan(&exists)
		if err == nil && exists {
			dropped = true
			err = db.Write(ctx, func() error {
				_, err := conn.ExecContext(ctx, "DROP TABLE IF EXISTS "+table)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	if dropped {
		// The other connections see that the schema has changed, and read it anew.
		// This one would go on with the statistics in its memory.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return nil
}
