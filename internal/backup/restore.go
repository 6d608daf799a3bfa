package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"

	"tagma/internal/database"
	"tagma/internal/localblob"
)

// ErrNotEmpty is Restore's for a server that has data.
var ErrNotEmpty = errors.New("the database is not empty: restore into a new one")

// Restore puts a backup into an empty database and its store: the files first,
// each checked, and then all rows in one transaction. If it fails, it can be
// begun again.
func Restore(ctx context.Context, folder string, db *database.DB, bucket *blob.Bucket) (Report, error) {
	var report Report
	sums, err := readSums(folder)
	if err != nil {
		return report, err
	}
	if sums[databaseFile] == "" {
		return report, fmt.Errorf("%s is no whole backup: it has no %s", folder, sumsFile)
	}
	if err := empty(ctx, db); err != nil {
		return report, err
	}
	files, err := localblob.Open(filepath.Join(folder, filesFolder))
	if err != nil {
		return report, err
	}
	defer files.Close()
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		key, ok := strings.CutPrefix(name, filesFolder+"/")
		if !ok {
			continue
		}
		got, size, err := transfer(ctx, files, bucket, key)
		if err != nil {
			return report, fmt.Errorf("%s: %w", name, err)
		}
		if got != sums[name] {
			return report, fmt.Errorf("%s is not what was backed up: the backup is damaged", name)
		}
		report.Files++
		report.Copied++
		report.Bytes += size
	}
	kept, done, err := readable(ctx, folder, sums[databaseFile])
	if err != nil {
		return report, err
	}
	defer done()
	err = snapshot(ctx, kept, func(conn *sql.Conn) error {
		report.Rows, err = copyAll(ctx, conn, db)
		return err
	})
	return report, err
}

// empty says no to a database that has rows.
func empty(ctx context.Context, db *database.DB) error {
	rows, err := countAll(ctx, db)
	if err == nil && rows > 0 {
		err = ErrNotEmpty
	}
	return err
}

// readable opens a copy of a backup's database, because to open one brings it
// up to date.
func readable(ctx context.Context, folder, sum string) (db *database.DB, done func(), err error) {
	path := filepath.Join(folder, databaseFile)
	if got, err := sumOf(path); err != nil || got != sum {
		return nil, nil, errors.Join(err, fmt.Errorf("%s is not what was backed up: the backup is damaged", databaseFile))
	}
	scratch, err := os.MkdirTemp("", "tagma-restore-")
	if err != nil {
		return nil, nil, err
	}
	clear := func() { _ = os.RemoveAll(scratch) }
	copied := filepath.Join(scratch, databaseFile)
	if err := copyFile(path, copied); err != nil {
		clear()
		return nil, nil, err
	}
	db, err = database.Open(ctx, "sqlite:"+copied, database.Options{Connections: 1})
	if err != nil {
		clear()
		return nil, nil, err
	}
	return db, func() {
		_ = db.Close()
		clear()
	}, nil
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
