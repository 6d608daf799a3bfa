package database

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"tagma/internal/base/fsync"
)

// secretMode is the mode of the files of a database, because the database holds hashes
// of passwords and the key for signing links.
const secretMode = 0o600

// prepareFile creates a missing file of an SQLite database, and sets the mode of the
// database's files (database, write-ahead log, shared memory, journal) to 0600. SQLite
// creates new files with the mode of the database.
func prepareFile(path string, log *slog.Logger) error {
	folder := filepath.Dir(path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder %s of the database does not exist: make the folder, or correct --data or --database", absolute(folder))
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, secretMode)
	if err == nil {
		err = file.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := fileSize(path); err != nil {
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		info, err := os.Stat(path + suffix)
		if err != nil || info.Mode().Perm() == secretMode {
			continue // SQLite reports an unusable file better
		}
		if err := os.Chmod(path+suffix, secretMode); err != nil && !errors.Is(err, fs.ErrNotExist) {
			log.Warn("others may read the database: set the mode of the file to 0600", "file", absolute(path+suffix), "mode", info.Mode().Perm(), "error", err)
		}
	}
	return nil
}

// copyBeforeMigration copies an SQLite database into the folder of the database, and
// returns the path of the copy. The name of the copy contains the version. The copy gets
// the final name when complete and on the disk. An existing copy is never overwritten: if
// the bytes differ, the name of the new copy ends with a number.
func (db *DB) copyBeforeMigration(ctx context.Context, path string, version int64) (string, error) {
	name := fmt.Sprintf("%s.version-%d", absolute(path), version)
	temporary := name + ".unfinished-" + rand.Text()
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, secretMode)
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	defer file.Close()
	if _, err := db.SQL.ExecContext(ctx, "VACUUM INTO $1", temporary); err != nil {
		return "", fmt.Errorf("copy the database to %s before it is migrated, which needs as much room as the database has: %w", name, err)
	}
	if err := file.Sync(); err != nil {
		return "", err
	}
	for n := 2; ; n++ {
		err := os.Link(temporary, name) // fails if the name is taken
		if !errors.Is(err, fs.ErrExist) {
			return name, errors.Join(err, fsync.Folder(filepath.Dir(name)))
		}
		same, err := sameBytes(temporary, name)
		if err != nil || same {
			return name, err
		}
		name = fmt.Sprintf("%s.version-%d-%d", absolute(path), version, n)
	}
}

func sameBytes(a, b string) (bool, error) {
	first, err := sumOf(a)
	if err != nil {
		return false, err
	}
	second, err := sumOf(b)
	return bytes.Equal(first, second), err
}

func sumOf(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return sum.Sum(nil), err
}
