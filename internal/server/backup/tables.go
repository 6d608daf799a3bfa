package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"entgo.io/ent/schema/field"

	ent "tagma/ent/generated"
	"tagma/internal/storage/database"
)

// tables returns all tables, each after the tables referenced by foreign keys.
func tables() []ent.Table {
	byName := map[string]ent.Table{}
	for _, t := range ent.Tables() {
		byName[t.Name] = t
	}
	var ordered []ent.Table
	var add func(ent.Table)
	add = func(t ent.Table) {
		if slices.ContainsFunc(ordered, func(o ent.Table) bool { return o.Name == t.Name }) {
			return
		}
		for _, name := range t.References {
			if name != t.Name {
				add(byName[name])
			}
		}
		ordered = append(ordered, t)
	}
	for _, t := range ent.Tables() {
		add(t)
	}
	return ordered
}

// snapshot runs do on a connection in a read-only transaction with a fixed
// snapshot of the database. Writers are not blocked.
func snapshot(ctx context.Context, db *database.DB, do func(*sql.Conn) error) error {
	conn, err := db.SQL.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	begin := "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	if db.Dialect == dialect.SQLite {
		begin = "BEGIN DEFERRED"
	}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	err = do(conn)
	_, ending := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return errors.Join(err, ending)
}

// copyAll copies all rows of all tables in a single transaction, and returns the
// number of rows. Last, if not nil, is called as the last step of the
// transaction.
func copyAll(ctx context.Context, from *sql.Conn, to *database.DB, last func(*sql.Tx) error) (rows int, err error) {
	tx, err := to.SQL.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	for _, t := range tables() {
		n, err := copyTable(ctx, from, tx, t)
		if err != nil {
			return 0, fmt.Errorf("table %s: %w", t.Name, err)
		}
		rows += n
		if t.Increment && to.Dialect == dialect.Postgres {
			// Without setval, the next row would get the id of an existing row.
			_, err := tx.ExecContext(ctx, fmt.Sprintf(
				`SELECT setval(pg_get_serial_sequence('%[1]s', '%[2]s'), MAX(%[2]s)) FROM %[1]s HAVING MAX(%[2]s) IS NOT NULL`, t.Name, t.Key))
			if err != nil {
				return 0, err
			}
		}
	}
	if last != nil {
		if err := last(tx); err != nil {
			return 0, err
		}
	}
	return rows, tx.Commit()
}

// hasRows reports whether any table has a row.
func hasRows(ctx context.Context, db *database.DB) (bool, error) {
	for _, t := range tables() {
		var found bool
		if err := db.SQL.QueryRowContext(ctx, fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %q)`, t.Name)).Scan(&found); err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// countAll returns the number of rows of all tables together.
func countAll(ctx context.Context, db *database.DB) (rows int, err error) {
	for _, t := range tables() {
		var n int
		if err := db.SQL.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(*) FROM %q`, t.Name)).Scan(&n); err != nil {
			return 0, err
		}
		rows += n
	}
	return rows, nil
}

// rowsPerInsert is the number of rows in an INSERT. The parameters for all
// columns together stay below SQLite's limit of 32,766.
const rowsPerInsert = 500

func copyTable(ctx context.Context, from *sql.Conn, to *sql.Tx, t ent.Table) (int, error) {
	names := make([]string, len(t.Columns))
	for n, c := range t.Columns {
		names[n] = `"` + c.Name + `"`
	}
	columns := strings.Join(names, ", ")
	rows, err := from.QueryContext(ctx, fmt.Sprintf(`SELECT %s FROM %q ORDER BY %q`, columns, t.Name, t.Key))
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	total := 0
	var values []any
	flush := func() error {
		if len(values) == 0 {
			return nil
		}
		_, err := to.ExecContext(ctx, insert(t.Name, columns, len(t.Columns), len(values)/len(t.Columns)), values...)
		total += len(values) / len(t.Columns)
		values = values[:0]
		return err
	}
	for rows.Next() {
		row := make([]any, len(t.Columns))
		for n, c := range t.Columns {
			row[n] = holder(c)
		}
		if err := rows.Scan(row...); err != nil {
			return 0, err
		}
		if values = append(values, row...); len(values) == rowsPerInsert*len(t.Columns) {
			if err := flush(); err != nil {
				return 0, err
			}
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	return total, flush()
}

// insert returns the INSERT for a number of rows, with a parameter for each of
// width columns.
func insert(table, columns string, width, rows int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %q (%s) VALUES ", table, columns)
	for n := range rows * width {
		switch {
		case n%width != 0:
			b.WriteString(", ")
		case n > 0:
			b.WriteString("), (")
		default:
			b.WriteByte('(')
		}
		fmt.Fprintf(&b, "$%d", n+1)
	}
	b.WriteByte(')')
	return b.String()
}

// holder returns a variable for a value of a column: Scan reads into the
// variable, and the INSERT writes from the variable.
func holder(c ent.Column) any {
	switch c.Type {
	case field.TypeInt, field.TypeInt64:
		return new(sql.NullInt64)
	case field.TypeFloat64:
		return new(sql.NullFloat64)
	case field.TypeBool:
		return new(sql.NullBool)
	case field.TypeBytes:
		return new([]byte)
	default: // text, enums, JSON
		return new(sql.NullString)
	}
}
