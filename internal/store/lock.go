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

	"tagma/internal/config"
	"tagma/internal/database"
	"tagma/internal/filelock"
	"tagma/internal/instant"
)

// lockName is the file in the data folder that a server locks for its life.
const lockName = "server.lock"

// overlap is how much longer than --drain a server waits for the server before
// it: that one may have begun to stop just now.
const overlap = 5 * time.Second

// Lock is a server's sole use of its data folder and SQLite database.
type Lock struct {
	files   []*os.File
	started instant.Instant
}

// Acquire refuses what Open would refuse, before it leaves a file anywhere. Then
// Acquire makes the data folder if it is missing, and takes the folder, and an
// SQLite database elsewhere, for this server alone. While another server has one
// of them, Acquire waits, for as long as that server may take to stop. Then
// Acquire returns an error that says who has it.
//
// Where the file system has no locks, Acquire warns and goes on. Other commands
// take no lock: they may run beside a server.
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

// lockPaths returns the files to lock, always in the same order.
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

// acquire takes one lock, or returns nil where there are no locks.
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

// Describe writes into the locked files who holds them, for the messages of
// others. Nothing judges by it. Address is where the server listens, or empty.
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

// Release ends the sole use.
func (l *Lock) Release() error {
	var problems []error
	for _, file := range l.files {
		problems = append(problems, file.Truncate(0), file.Close())
	}
	l.files = nil
	return errors.Join(problems...)
}

// maxHolder bounds what holder reads.
const maxHolder = 300

// holder returns what a lock's file says of the server that holds the lock.
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
