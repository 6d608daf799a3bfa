// Package store owns the opening of a store (database and bucket) by the settings. Every
// command that uses a store opens the store by this package.
//
// The package owns the rules for creating a store, for migrating a store, and for one server
// per data folder. The package does not own the content of a store.
package store

import (
	"context"
	"crypto/rand"
	stdsql "database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/ent/generated/secret"
	"tagma/internal/base/instant"
	"tagma/internal/server/config"
	"tagma/internal/server/httpd"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
)

// Store is an open database and an open bucket.
type Store struct {
	DB     *database.DB
	Bucket bucket.Bucket
	Folder string // the folder of the bucket on the local disk; empty for S3
	// Identity is the identity of the store. Identity is empty if Make opened a store without
	// an id.
	Identity identity.Identity

	files files
}

// Open opens a store for a server. Open creates a missing store, migrates an older database,
// and writes an id into a store without an id. The caller closes the store.
func Open(ctx context.Context, c *config.Config, log *slog.Logger, observe func(context.Context, string)) (*Store, error) {
	return create(ctx, c, log, func() (*database.DB, error) {
		return database.Open(ctx, c.Database, database.Options{Connections: c.Connections, Observe: observe, Log: log})
	}, func(db *database.DB) (identity.Identity, error) {
		return identity.Ensure(ctx, db, instant.System())
	})
}

// Make opens a store for a command filling an empty store. Make creates a missing store, but
// migrates no existing database and writes no id. The caller closes the store.
func Make(ctx context.Context, c *config.Config, log *slog.Logger) (*Store, error) {
	options := database.Options{Connections: c.Connections, Log: log}
	return create(ctx, c, log, func() (*database.DB, error) {
		db, err := database.OpenExisting(ctx, c.Database, options)
		if _, absent := errors.AsType[*database.AbsentError](err); absent {
			return database.Open(ctx, c.Database, options)
		}
		return db, err
	}, func(db *database.DB) (identity.Identity, error) {
		id, err := identity.Of(ctx, db.Client)
		if errors.Is(err, identity.ErrNone) {
			err = nil
		}
		return id, err
	})
}

// create creates the missing folders, and opens a store by open and identify. On
// an error, create removes the new folders again.
func create(ctx context.Context, c *config.Config, log *slog.Logger, open func() (*database.DB, error), identify func(*database.DB) (identity.Identity, error)) (st *Store, err error) {
	if err := errors.Join(checkStorage(c.Storage), refuseBackup(c)); err != nil {
		return nil, err
	}
	newFolders := missingFolders(c.Data)
	folder, isFolder := strings.CutPrefix(c.Storage, "file:")
	filesMissing := isFolder && missing(folder) // an error if the database has images
	if isFolder {
		newFolders = append(missingFolders(folder), newFolders...)
	}
	defer func() {
		if err != nil {
			for _, folder := range newFolders {
				_ = os.Remove(folder) // fails if the folder is not empty
			}
		}
	}()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("--data: cannot make the folder %s: %w", absolute(c.Data), err)
	}
	files, err := openFiles(ctx, c.Storage, log, true)
	if err != nil {
		return nil, err
	}
	db, err := open()
	if err != nil {
		return nil, errors.Join(err, files.bucket.Close())
	}
	if filesMissing {
		hasImages, err := db.Image.Query().Exist(ctx)
		if hasImages {
			err = fmt.Errorf("the database %s has images, but their folder %s does not exist: mount the disk that has the folder, or correct --data or --storage", database.Name(c.Database), absolute(folder))
		}
		if err != nil {
			return nil, errors.Join(err, files.bucket.Close(), db.Close())
		}
	}
	return complete(db, files, identify)
}

// OpenExisting opens an existing store, for every command but the server, demo and
// restore. OpenExisting creates nothing, migrates nothing and writes nothing. The
// caller closes the store.
//
// A store exists if the database has exactly this binary's version and an id, and the folder
// or bucket of the files exists. The error names the missing part, the place and the remedy.
func OpenExisting(ctx context.Context, c *config.Config, log *slog.Logger) (*Store, error) {
	if err := errors.Join(checkStorage(c.Storage), refuseBackup(c)); err != nil {
		return nil, err
	}
	db, err := database.OpenExisting(ctx, c.Database, database.Options{Connections: c.Connections, Log: log})
	if err != nil {
		return nil, err
	}
	// Read the id before the bucket is opened: with a wrong database, the missing id is the
	// better error than a missing folder.
	id, err := identity.Of(ctx, db.Client)
	if errors.Is(err, identity.ErrNone) {
		err = fmt.Errorf("the store of the database %s has no id yet: start the server on it once, which gives it one", database.Name(c.Database))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	files, err := openFiles(ctx, c.Storage, log, false)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return complete(db, files, func(*database.DB) (identity.Identity, error) { return id, nil })
}

func complete(db *database.DB, files files, identify func(*database.DB) (identity.Identity, error)) (*Store, error) {
	id, err := identify(db)
	if err != nil {
		return nil, errors.Join(err, files.bucket.Close(), db.Close())
	}
	return &Store{DB: db, Bucket: files.bucket, Folder: files.folder, Identity: id, files: files}, nil
}

// EnsureIdentity writes an id into a store without an id.
func (s *Store) EnsureIdentity(ctx context.Context, now instant.Instant) (err error) {
	s.Identity, err = identity.Ensure(ctx, s.DB, now)
	return err
}

// LogOpening logs the places of the database and the files, the store's id, and the newest
// image. LogOpening takes the same time for any amount of data.
func (s *Store) LogOpening(ctx context.Context, c *config.Config, log *slog.Logger) error {
	facts := []any{
		"data", absolute(c.Data), "database", database.Name(c.Database), "files", s.files.name(),
		"id", s.Identity.ID, "since", s.Identity.CreatedAt,
	}
	if s.Identity.RestoredFrom != "" {
		facts = append(facts, "restored_from", s.Identity.RestoredFrom)
	}
	newest, err := s.DB.Image.Query().Order(ent.Desc(image.FieldTakenAt, image.FieldDeviceID)).First(ctx)
	if err == nil {
		var last *ent.Image
		last, err = s.DB.Image.Query().Order(ent.Desc(image.FieldID)).First(ctx)
		if err == nil {
			facts = append(facts, "newest_image", newest.TakenAt, "last_image_id", last.ID)
		}
	}
	if ent.IsNotFound(err) {
		facts, err = append(facts, "images", "none"), nil
	}
	if err == nil {
		log.InfoContext(ctx, "opened the store", facts...)
	}
	return err
}

// Close closes database and bucket.
func (s *Store) Close() error { return errors.Join(s.Bucket.Close(), s.DB.Close()) }

// Accessible returns an error if the bucket cannot be read.
func (s *Store) Accessible(ctx context.Context) error { return s.Bucket.Check(ctx) }

// ProbeWrite writes a small value to the database and a small file to the bucket, and removes
// both. ProbeWrite returns an error if either cannot be written to.
func (s *Store) ProbeWrite(ctx context.Context) error {
	return errors.Join(s.DB.ProbeWrite(ctx), s.files.probeWrite(ctx))
}

// Secret returns the secret for a purpose: 32 random bytes, the same for all servers on this
// database. The first call creates the secret.
func (s *Store) Secret(ctx context.Context, purpose string, now instant.Instant) ([]byte, error) {
	newSecret := make([]byte, 32)
	_, _ = rand.Read(newSecret) // never returns an error
	err := s.DB.Secret.Create().SetID(purpose).SetValue(newSecret).SetCreatedAt(now).
		OnConflict(sql.ConflictColumns(secret.FieldID), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // ErrNoRows: the secret exists
		return nil, err
	}
	row, err := s.DB.Secret.Query().Where(secret.ID(purpose)).Only(ctx)
	if err != nil {
		return nil, err
	}
	return row.Value, nil
}

// Logger returns the logger of the settings, on standard error.
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

// absolute returns the absolute path, for messages.
func absolute(path string) string {
	if absolutePath, err := filepath.Abs(path); err == nil {
		return absolutePath
	}
	return path
}

// missingFolders returns the missing folders among a folder and the parents of the folder,
// the innermost first.
func missingFolders(folder string) []string {
	var all []string
	for folder = absolute(folder); missing(folder); folder = filepath.Dir(folder) {
		all = append(all, folder)
	}
	return all
}

// present reports whether a path exists.
func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// folderExists reports whether a path is an existing folder.
func folderExists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// missing reports whether a path does not exist.
func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
