package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"tagma/ent/migrations"
	"tagma/internal/bench/dataset"
	"tagma/internal/storage/database"
)

// revision is part of the fingerprint. A change of the generated data for the same options
// increases revision.
const revision = 1

// fingerprint returns a name for the data of some options. Options, revision and migrations
// determine the name, so that changed data are generated again.
func fingerprint(data dataset.Options) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %+v\n", revision, data)
	err := fs.WalkDir(migrations.Files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		step, err := fs.ReadFile(migrations.Files, path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(step), step)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil))[:8], err
}

// fillSQLite returns the URL of an SQLite database with the data, in folder. fillSQLite
// generates the data if the database does not exist.
func fillSQLite(ctx context.Context, folder string, data dataset.Options) (string, error) {
	key, err := fingerprint(data)
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "bench_"+key+".db")
	if _, err := os.Stat(path); err == nil {
		return "sqlite:" + path, nil
	}
	// The file gets its name when the data are complete.
	partial := path + ".partial"
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(partial + suffix)
	}
	if err := fill(ctx, "sqlite:"+partial, data); err != nil {
		return "", err
	}
	return "sqlite:" + path, os.Rename(partial, path)
}

// fillPostgres returns the URL of a PostgreSQL database with the data. fillPostgres generates
// the data if the database does not exist.
func fillPostgres(ctx context.Context, server url.URL, data dataset.Options) (string, error) {
	key, err := fingerprint(data)
	if err != nil {
		return "", err
	}
	name := "bench_" + key
	found, err := exists(ctx, server, name)
	if err != nil || found {
		return at(server, name), err
	}
	partial := name + "_partial"
	for _, statement := range []string{`DROP DATABASE IF EXISTS ` + partial, `CREATE DATABASE ` + partial + ` TEMPLATE template0`} {
		if err := execute(ctx, server, statement); err != nil {
			return "", err
		}
	}
	if err := fill(ctx, at(server, partial), data); err != nil {
		return "", err
	}
	return at(server, name), execute(ctx, server, `ALTER DATABASE `+partial+` RENAME TO `+name)
}

func fill(ctx context.Context, databaseURL string, data dataset.Options) error {
	began := time.Now()
	db, err := database.Open(ctx, databaseURL, database.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	if err := dataset.Fill(ctx, db, data); err != nil {
		return err
	}
	progress("filled %s with %d images in %s", db.Dialect, data.Total(), time.Since(began).Round(time.Second))
	return db.Close()
}

// at returns the URL of another database on a server.
func at(server url.URL, name string) string {
	server.Path = "/" + name
	return server.String()
}
