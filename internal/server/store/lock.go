package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tagma/internal/base/filelock"
	"tagma/internal/base/instant"
	"tagma/internal/server/config"
	"tagma/internal/storage/database"
)

// lockName is the name of the lock file in the data folder. A server holds the lock
// until the server stops.
const lockName = "server.lock"

// overlap is added to --drain for the longest wait for a previous server on the
// same folder: the previous server may begin to stop a little later.
const overlap = 5 * time.Second

// Lock is a server's exclusive use of a data folder and an SQLite database.
type Lock struct {
	files   []*os.File
	started instant.Instant
}

// Acquire locks the data folder, and an SQLite database outside the folder, for
// this server. Acquire blocks while another server holds a lock, for as long as the
// holder may take to stop, and then returns an error naming the holder. The caller
// calls Release.
//
// Acquire creates a missing data folder, but returns an error first, and leaves
// nothing behind, if Open would refuse the settings or the database. Where the file
// system has no locks, Acquire logs a warning and returns no error. Only servers
// take the lock: commands may run beside a server.
func Acquire(ctx context.Context, c *config.Config, log *slog.Logger) (*Lock, error) {
	if err := errors.Join(checkStorage(c.Storage), refuseBackup(c)); err != nil {
		return nil, err
	}
	if err := database.Check(ctx, c.Database); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("--data: cannot make the folder %s: %w", absolute(c.Data), err)
	}
	l := &Lock{started: instant.System()}
	for _, path := range lockPaths(c) {
		file, err := acquire(ctx, path, c.Drain+overlap, log)
		if err != nil {
			return nil, errors.Join(err, l.Release())
		}
		if file != nil {
			l.files = append(l.files, file)
		}
	}
	return l, l.Describe("")
}

// lockPaths returns the files to lock. The order is always the same.
func lockPaths(c *config.Config) []string {
	paths := []string{filepath.Join(c.Data, lockName)}
	path, ok := strings.CutPrefix(c.Database, "sqlite:")
	if !ok {
		return paths
	}
	// A link leads to the same database from several places.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	data, err := filepath.EvalSymlinks(c.Data)
	if err != nil {
		data = c.Data
	}
	if folder := filepath.Dir(path); absolute(folder) != absolute(data) && folderExists(folder) {
		paths = append(paths, path+"."+lockName)
	}
	return paths
}

// acquire takes the lock on a file. acquire returns nil where the file system has
// no locks.
func acquire(ctx context.Context, path string, wait time.Duration, log *slog.Logger) (*os.File, error) {
	file, err := filelock.Acquire(ctx, path, 0)
	if errors.Is(err, filelock.ErrLocked) {
		log.InfoContext(ctx, "another server has the data folder: waiting until it has stopped", "lock", absolute(path), "held_by", holder(path), "at_most", wait)
		file, err = filelock.Acquire(ctx, path, wait)
	}
	switch {
	case errors.Is(err, filelock.ErrLocked):
		return nil, fmt.Errorf("another server uses the folder %s (%s): stop that server first, or give this one a folder of its own by --data", absolute(filepath.Dir(path)), holder(path))
	case errors.Is(err, errors.ErrUnsupported):
		log.WarnContext(ctx, "this file system has no locks: see to it that no other server uses the folder", "folder", absolute(filepath.Dir(path)), "error", err)
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("--data: cannot lock the folder %s: give this user the right to write in the folder, or correct --data: %w", absolute(filepath.Dir(path)), err)
	}
	return file, nil
}

// Describe writes host, process, start and address of this server into the locked
// files. The text is only for messages of other servers on the same folder. The
// address may be empty.
func (l *Lock) Describe(address string) error {
	host, _ := os.Hostname()
	text := fmt.Sprintf("host %s, process %d, started %s", host, os.Getpid(), l.started)
	if address != "" {
		text += ", at " + address
	}
	var problems []error
	for _, file := range l.files {
		_, err := file.WriteAt([]byte(text+"\n"), 0)
		problems = append(problems, err, file.Truncate(int64(len(text)+1)))
	}
	return errors.Join(problems...)
}

// Release ends the exclusive use.
func (l *Lock) Release() error {
	var problems []error
	for _, file := range l.files {
		problems = append(problems, file.Truncate(0), file.Close())
	}
	l.files = nil
	return errors.Join(problems...)
}

// maxHolder is the largest number of bytes that holder reads.
const maxHolder = 300

// holder returns the text of Describe in a lock file: the description of the server
// with the lock.
func holder(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "which cannot be read from " + lockName
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxHolder))
	if line := strings.TrimSpace(strings.ToValidUTF8(string(text), "?")); err == nil && line != "" {
		return line
	}
	return "which says nothing of itself yet"
}
