package dataset

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"strings"

	"entgo.io/ent/dialect"

	"tagma/internal/storage/database"
)

// Fill inserts the data into an empty, migrated database, and analyzes the tables, as a database
// in use does by itself.
func Fill(ctx context.Context, db *database.DB, o Options) error {
	annotated, err := o.annotations()
	if err != nil {
		return err
	}
	for _, table := range []struct {
		name    string
		columns []string
		rows    iter.Seq[[]any]
	}{
		{"devices", deviceColumns, o.devices()},
		{"images", imageColumns, o.each(o.image)},
		{"annotations", annotationColumns, annotated},
	} {
		if err := fill(ctx, db, table.name, table.columns, table.rows); err != nil {
			return fmt.Errorf("fill the table %s: %w", table.name, err)
		}
	}
	statements := []string{`ANALYZE`}
	if db.Dialect == dialect.Postgres {
		// COPY inserts ids without the sequence.
		statements = []string{
			`SELECT setval(pg_get_serial_sequence('images', 'id'), (SELECT max(id) FROM images))`,
			`SELECT setval(pg_get_serial_sequence('annotations', 'id'), (SELECT max(id) FROM annotations))`,
			`VACUUM ANALYZE`,
		}
	}
	for _, statement := range statements {
		if _, err := db.SQL.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func fill(ctx context.Context, db *database.DB, table string, columns []string, rows iter.Seq[[]any]) error {
	tx, err := db.SQL.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // has no effect after the commit
	write := insert
	if db.Dialect == dialect.Postgres {
		write = CopyIn
	}
	if err := write(ctx, tx, table, columns, rows); err != nil {
		return err
	}
	return tx.Commit()
}

// CopyIn inserts rows by PostgreSQL's COPY.
func CopyIn(ctx context.Context, tx *sql.Tx, table string, columns []string, rows iter.Seq[[]any]) error {
	statement, err := tx.PrepareContext(ctx, "COPY "+table+" ("+strings.Join(columns, ", ")+") FROM STDIN") //nolint:sqlclosecheck // closed below
	if err != nil {
		return err
	}
	defer statement.Close()
	for row := range rows {
		if _, err := statement.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	_, err = statement.ExecContext(ctx) // ends the COPY
	return err
}

// insertedAtOnce is the number of rows in an INSERT, within SQLite's 32,766 parameters.
const insertedAtOnce = 500

// insert inserts rows by INSERTs of many rows.
func insert(ctx context.Context, tx *sql.Tx, table string, columns []string, rows iter.Seq[[]any]) error {
	place := "(?" + strings.Repeat(",?", len(columns)-1) + ")"
	var values []any
	flush := func() error {
		if len(values) == 0 {
			return nil
		}
		places := place + strings.Repeat(","+place, len(values)/len(columns)-1)
		_, err := tx.ExecContext(ctx, "INSERT INTO "+table+" ("+strings.Join(columns, ",")+") VALUES "+places, values...)
		values = values[:0]
		return err
	}
	for row := range rows {
		if values = append(values, row...); len(values) == insertedAtOnce*len(columns) {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}
