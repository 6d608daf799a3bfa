package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"net/url"
	"path/filepath"
	"strings"
)

// createDatabase creates an empty database: an SQLite file in folder or a database on server.
// createDatabase returns the URL and a function that drops the database.
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

// ask returns the single value of a statement on the default database of a PostgreSQL server.
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
