package database

import (
	"context"

	"entgo.io/ent/dialect"
)

// Size returns the approximate size of the database on the disk, in bytes.
func (db *DB) Size(ctx context.Context) (bytes int64, err error) {
	query := `SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()`
	if db.Dialect == dialect.Postgres {
		query = `SELECT pg_database_size(current_database())`
	}
	err = db.SQL.QueryRowContext(ctx, query).Scan(&bytes)
	return bytes, err
}
