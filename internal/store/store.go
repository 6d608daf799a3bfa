// Package store opens what a server keeps its data in, the database and the
// files, as the settings say. All commands begin with it.
package store

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"errors"
	"log/slog"
	"os"

	"entgo.io/ent/dialect/sql"
	"gocloud.dev/blob"

	"tagma/ent/generated/secret"
	"tagma/internal/config"
	"tagma/internal/database"
	"tagma/internal/httpd"
	"tagma/internal/instant"
)

// Store is an open database and an open store of files.
type Store struct {
	DB     *database.DB
	Bucket *blob.Bucket
	Folder string // of the files, where they are on the local disk

	files files
}

// Open opens both and brings the database up to date. The caller closes it.
func Open(ctx context.Context, c *config.Config, log *slog.Logger, observe func(context.Context, string)) (*Store, error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	files, err := openFiles(ctx, c.Storage, log)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, c.Database, database.Options{Connections: c.Connections, Observe: observe, Log: log})
	if err != nil {
		return nil, errors.Join(err, files.bucket.Close())
	}
	return &Store{DB: db, Bucket: files.bucket, Folder: files.folder, files: files}, nil
}

// Close closes both.
func (s *Store) Close() error { return errors.Join(s.Bucket.Close(), s.DB.Close()) }

// Accessible says whether the store of files can be reached.
func (s *Store) Accessible(ctx context.Context) error { return s.files.accessible(ctx) }

// ProbeWrite writes something small to the database and to the store of files, and
// removes it again. Its error says why one of them cannot be written to.
func (s *Store) ProbeWrite(ctx context.Context) error {
	return errors.Join(s.DB.ProbeWrite(ctx), s.files.probeWrite(ctx))
}

// Secret is 32 random bytes that all servers on this database share, made by
// the first that asks.
func (s *Store) Secret(ctx context.Context, purpose string, now instant.Instant) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails: see its documentation
	err := s.DB.Secret.Create().SetID(purpose).SetValue(fresh).SetCreatedAt(now).
		OnConflict(sql.ConflictColumns(secret.FieldID), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // there is one already
		return nil, err
	}
	row, err := s.DB.Secret.Query().Where(secret.ID(purpose)).Only(ctx)
	if err != nil {
		return nil, err
	}
	return row.Value, nil
}

// Logger is the log that the settings ask for, on standard error.
func Logger(c *config.Config) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, errors.New("--log-level must be debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.LogFormat {
	case "text":
		return slog.New(httpd.LogHandler(slog.NewTextHandler(os.Stderr, options))), nil
	case "json":
		return slog.New(httpd.LogHandler(slog.NewJSONHandler(os.Stderr, options))), nil
	}
	return nil, errors.New("--log-format must be text or json")
}
