package main

import (
	"context"
	"database/sql"
	"net/url"
)

// ask runs one statement on a PostgreSQL server's own database and reads the
// one value that it gives.
func ask[T any](ctx context.Context, server url.URL, statement string, args ...any) (T, error) {
	var answer T
	db, err := sql.Open("postgres", server.String())
	if err != nil {
		return answer, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, statement, args...).Scan(&answer)
	return answer, err
}

func exists(ctx context.Context, server url.URL, name string) (bool, error) {
	return ask[bool](ctx, server, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, name)
}

func execute(ctx context.Context, server url.URL, statement string) error {
	db, err := sql.Open("postgres", server.String())
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, statement)
	return err
}
