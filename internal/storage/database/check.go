package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"entgo.io/ent/dialect"
	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"
)

// Fault is a defect of the database itself.
type Fault struct {
	Table string // the table or index, or empty if the database does not say
	Text  string // what the database says
}

// maxFaults is the largest number of faults that SQLite reports. The limit is needed
// because a damaged page near the root of a table causes as many faults as the table
// has rows.
const maxFaults = 1000

// IsDamaged reports whether err means damage of the database on the disk. A retry is
// useless then.
func IsDamaged(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code == "XX001" || e.Code == "XX002" // a damaged page, a damaged index
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && slices.Contains([]int{sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB}, e.Code()&0xff)
}

// Inspect checks an SQLite database refused by Open as damaged, and calls report for
// each fault. Inspect migrates nothing. Inspect returns an error if the file cannot be
// opened.
func Inspect(ctx context.Context, databaseURL string, report func(Fault)) (err error) {
	db, err := connect(databaseURL, Options{Connections: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Tables(ctx); err != nil {
		return err
	}
	_, err = db.Check(ctx, report)
	return err
}

// Tables returns the names of all tables, sorted.
func (db *DB) Tables(ctx context.Context) ([]string, error) {
	query := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`
	if db.Dialect == dialect.Postgres {
		query = `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY relname`
	}
	return db.texts(ctx, query)
}

// Check checks the whole database, calls report for each fault, and returns the names
// of the checks. Check continues after a fault. On SQLite, Check runs PRAGMA
// foreign_key_check and PRAGMA integrity_check; the latter holds a snapshot until the
// end. On PostgreSQL, Check calls CheckTable for each table.
func (db *DB) Check(ctx context.Context, report func(Fault)) (how string, err error) {
	if db.Dialect == dialect.SQLite {
		if err := db.pragma(ctx, "", fmt.Sprintf("PRAGMA integrity_check(%d)", maxFaults), report); err != nil {
			return "", err
		}
		return "integrity_check and foreign_key_check", db.foreignKeys(ctx, report)
	}
	tables, err := db.Tables(ctx)
	if err != nil {
		return "", reportDamage("", err, report)
	}
	for _, table := range tables {
		if how, err = db.CheckTable(ctx, table, report); err != nil {
			return how, err
		}
	}
	return how, nil
}

// CheckTable checks a single table, in shorter statements than Check, calls report for
// each fault, and returns the name of the check. On SQLite the check is PRAGMA
// quick_check. On PostgreSQL the check is bt_index_check and verify_heapam if the
// extension amcheck is installed and the role may call the functions, otherwise a read
// of every row.
func (db *DB) CheckTable(ctx context.Context, table string, report func(Fault)) (how string, err error) {
	if db.Dialect == dialect.SQLite {
		return "quick_check", db.pragma(ctx, table, fmt.Sprintf("PRAGMA quick_check(%s)", quote(table)), report)
	}
	var hasAmcheck bool
	// Both functions come with version 1.3 of the extension, PostgreSQL 14.
	err = db.SQL.QueryRowContext(ctx, `SELECT count(*) = 2 FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'amcheck'
		WHERE (p.proname = 'verify_heapam' OR p.proname = 'bt_index_check' AND p.pronargs = 2) AND has_function_privilege(p.oid, 'EXECUTE')`).Scan(&hasAmcheck)
	if err != nil {
		return "", reportDamage(table, err, report)
	}
	if !hasAmcheck {
		return "reading every row", db.readRows(ctx, table, report)
	}
	return "amcheck", db.amcheck(ctx, table, report)
}

// pragma runs a check of SQLite. Each row of the result is a fault, except "ok".
func (db *DB) pragma(ctx context.Context, table, query string, report func(Fault)) error {
	rows, err := db.texts(ctx, query)
	for _, row := range rows {
		// A row may have several lines, under a heading with the name of a tree.
		for line := range strings.Lines(row) {
			if line = strings.TrimSpace(line); line != "ok" && line != "" && !strings.HasPrefix(line, "*** in database") {
				report(Fault{table, line})
			}
		}
	}
	return reportDamage(table, err, report)
}

// foreignKeys reports rows with a missing parent.
func (db *DB) foreignKeys(ctx context.Context, report func(Fault)) error {
	rows, err := db.SQL.QueryContext(ctx, "PRAGMA foreign_key_check")
	if err != nil {
		return reportDamage("", err, report)
	}
	defer rows.Close()
	for rows.Next() {
		var table, parent string
		var row, key sql.NullInt64
		if err := rows.Scan(&table, &row, &parent, &key); err != nil {
			return err
		}
		report(Fault{table, fmt.Sprintf("row %d speaks of a row of %s that is not there", row.Int64, parent)})
	}
	return reportDamage("", rows.Err(), report)
}

// amcheck checks the rows and the indexes of a table by PostgreSQL's amcheck.
func (db *DB) amcheck(ctx context.Context, table string, report func(Fault)) error {
	rows, err := db.texts(ctx, `SELECT format('block %s, row %s: %s', blkno, offnum, msg) FROM verify_heapam($1::text::regclass, check_toast => true)`, quote(table))
	for _, row := range rows {
		report(Fault{table, row})
	}
	if err := reportDamage(table, err, report); err != nil {
		return err
	}
	indexes, err := db.texts(ctx, `SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
		WHERE i.indrelid = $1::text::regclass AND i.indisvalid AND a.amname = 'btree'`, quote(table))
	if err := reportDamage(table, err, report); err != nil {
		return err
	}
	for _, index := range indexes {
		_, err := db.texts(ctx, `SELECT bt_index_check($1::text::regclass, true)::text`, index)
		if err := reportDamage(index, err, report); err != nil {
			return err
		}
	}
	return nil
}

// readRows makes the database read every row of a table.
func (db *DB) readRows(ctx context.Context, table string, report func(Fault)) error {
	_, err := db.texts(ctx, "SELECT sum(length(t::text))::text FROM "+quote(table)+" t")
	return reportDamage(table, err, report)
}

// texts returns the single column of a query. With an error, texts returns the rows
// read before the error.
func (db *DB) texts(ctx context.Context, query string, args ...any) ([]string, error) {
	rows, err := db.SQL.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return all, err
		}
		all = append(all, text.String)
	}
	return all, rows.Err()
}

// reportDamage reports an error of a damaged database as a fault and returns nil.
// reportDamage returns any other error. Internal errors of PostgreSQL (class XX) count
// as damage, because PostgreSQL reports some damage as XX000, such as a length beyond
// the limit of a value.
func reportDamage(table string, err error, report func(Fault)) error {
	e, internal := errors.AsType[*pq.Error](err)
	if internal = internal && e.Code.Class() == "XX"; !internal && !IsDamaged(err) {
		return err
	}
	report(Fault{table, err.Error()})
	return nil
}

// quote returns a name as a quoted identifier of either database.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
