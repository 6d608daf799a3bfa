package database

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"
	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite"

	ent "tagma/ent/generated"
)

// OpenReadOnly opens an SQLite file without any writing process, such as the database
// of a backup. OpenReadOnly migrates nothing, and writes neither to the file nor to the
// folder of the file. The caller closes the result.
func OpenReadOnly(path string) *DB {
	settings := url.Values{"mode": {"ro"}, "immutable": {"1"}, "_pragma": {"case_sensitive_like(1)", "query_only(1)"}}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + settings.Encode()
	db := &DB{Dialect: dialect.SQLite, url: "sqlite:" + path, writer: semaphore.NewWeighted(1)}
	db.SQL = sql.OpenDB(&connector{
		open: func(context.Context) (conn, error) {
			c, err := new(sqlite.Driver).Open(name)
			if err != nil {
				return nil, err
			}
			return c.(conn), nil
		},
		closeStatements: true,
	})
	db.SQL.SetMaxOpenConns(1)
	db.Client = ent.NewClient(ent.Driver(entsql.OpenDB(db.Dialect, db.SQL)))
	return db
}
