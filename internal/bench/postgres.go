package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
)

// scratch is a new, empty database of that kind, in the folder or on the
// server, and what drops it.
func createDatabase(ctx context.Context, kind, folder string, server url.URL) (databaseURL string, drop func(context.Context) error, err error) {
	if kind != "postgres" {
		return "sqlite:" + filepath.Join(folder, "tagma.db"), func(context.Context) error { return nil }, nil
	}
	name := "bench_" + strings.ToLower(rand.Text())
	err = execute(ctx, server, `CREATE DATABASE `+name+` TEMPLATE template0`)
	return at(server, name), func(ctx context.Context) error {
		return execute(context.WithoutCancel(ctx), server, `DROP DATABASE `+name+` WITH (FORCE)`)
	}, err
}

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
