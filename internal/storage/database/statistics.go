package database

import (
	"context"
	"database/sql/driver"

	"entgo.io/ent/dialect"
)

// Analyze updates the statistics of the query planner. Call Analyze after writing many
// rows at once, such as a restore: PostgreSQL would plan by guesses until the automatic
// analysis, some minutes later.
//
// SQLite plans without statistics: see DropStatistics.
func (db *DB) Analyze(ctx context.Context) error {
	if db.Dialect == dialect.SQLite {
		return db.DropStatistics(ctx)
	}
	_, err := db.SQL.ExecContext(ctx, "ANALYZE")
	return err
}

// DropStatistics removes SQLite's statistics, made by ANALYZE of an earlier Tagma or of a
// person. On PostgreSQL, DropStatistics does nothing.
//
// With statistics older than an upload of many rows, SQLite reads whole tables instead of
// using an index. Tagma's statements make SQLite use the right index without statistics:
// docs/adr/0018 gives the reasons.
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
		// Other connections notice the changed schema and read the schema again. This
		// connection would keep the statistics in memory, so close the connection.
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return nil
}
