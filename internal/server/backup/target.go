package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
)

// Place holds the paths of a store's data. A backup must not lie within a Place.
type Place struct {
	Data     string // the folder of --data
	Files    string // the folder of --storage, or empty if the files are in S3
	Database string // the file of an SQLite database, or empty
}

// CheckApart returns an error if the folder of a backup lies within the store, or
// contains the store. Otherwise store and backup could be lost together, or overwrite
// each other. The error names the folder and the remedy. CheckApart changes nothing.
func (p Place) CheckApart(path string) error {
	for _, part := range []struct{ flag, path string }{{"--data", p.Data}, {"--storage", p.Files}} {
		if part.path == "" {
			continue
		}
		if contains(part.path, path) {
			return fmt.Errorf("%s lies within the store's %s (%s): give a folder outside, on another disk", path, part.flag, part.path)
		}
		if contains(path, part.path) {
			return fmt.Errorf("%s holds the store's %s (%s): give a folder of the backup's own, on another disk", path, part.flag, part.path)
		}
	}
	if p.Database != "" && contains(path, p.Database) {
		return fmt.Errorf("%s holds the store's --database (%s): give a folder of the backup's own, on another disk", path, p.Database)
	}
	return nil
}

// SharesDevice reports whether the folder of a backup is on the device of the store's
// data or files: the loss of a single disk would lose both.
func (p Place) SharesDevice(path string) bool {
	about, err := statExisting(path)
	if err != nil {
		return false
	}
	for _, part := range []string{p.Data, p.Files} {
		if part == "" {
			continue
		}
		if other, err := statExisting(part); err == nil && sameDevice(about, other) {
			return true
		}
	}
	return false
}

// statExisting returns the FileInfo of a file, or of the innermost existing folder
// above a missing file.
func statExisting(path string) (fs.FileInfo, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	for {
		about, err := os.Stat(path)
		if above := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && above != path {
			path = above
			continue
		}
		return about, err
	}
}

// contains reports whether inner is outer or lies in outer. contains compares folders
// by device and inode, because the same folder can have several names: by symbolic
// links and, on some systems, by case.
func contains(outer, inner string) bool {
	about, err := os.Stat(outer)
	if err != nil {
		return false
	}
	for path := resolve(inner); ; path = filepath.Dir(path) {
		if other, err := os.Stat(path); err == nil && os.SameFile(about, other) {
			return true
		}
		if path == filepath.Dir(path) {
			return false
		}
	}
}

// resolve returns the absolute path without symbolic links, as far as the path
// exists.
func resolve(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	rest := ""
	for at := path; ; at = filepath.Dir(at) {
		if resolved, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(resolved, rest)
		}
		if at == filepath.Dir(at) {
			return path
		}
		rest = filepath.Join(filepath.Base(at), rest)
	}
}

// state is the state of the folder before a backup.
type state int

const (
	missing state = iota // the folder does not exist
	empty
	current  // a backup of the store
	unmarked // a backup of the store in the layout without generations
)

// examine returns the state of the folder, or an error if the folder must not take a
// backup of the store. Each error names the folder and the remedy. examine changes
// nothing.
func (f folder) examine(ctx context.Context, store string, options Options) (state, error) {
	about, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return missing, f.examineMissing(options)
	}
	if err != nil {
		return 0, err
	}
	if !about.IsDir() {
		return 0, fmt.Errorf("%s is a file: give a folder", f.path)
	}
	m, err := f.readMark()
	switch {
	case err == nil && m.Store != store:
		return 0, fmt.Errorf("%s is the backup of another store (id %s; this store is %s): give another folder", f.path, m.Store, store)
	case err == nil:
		switch top := exists(f.in(databaseFile)); {
		case top && exists(f.in(sumsFile)): // a process was killed during the upgrade of the layout
			options.Adopt = true // the mark proves the store
			return current, f.examineUnmarked(ctx, store, options)
		case top:
			return 0, fmt.Errorf("%s is a backup, but a server has put its database there (%s): move that database away, or give another folder", f.path, databaseFile)
		}
		return current, nil
	case !errors.Is(err, fs.ErrNotExist):
		return 0, err
	case exists(f.in(sumsFile)):
		return unmarked, f.examineUnmarked(ctx, store, options)
	case exists(f.in(databaseFile)):
		return 0, fmt.Errorf("%s is no backup but holds a %s, as a store does, or a backup that was not finished: give another folder", f.path, databaseFile)
	}
	names, err := f.otherNames()
	if err != nil {
		return 0, err
	}
	if names != "" {
		return 0, fmt.Errorf("%s is no backup and holds other things (%s): give a new or an empty folder", f.path, names)
	}
	return empty, f.examineNew(options)
}

func (f folder) examineMissing(options Options) error {
	above := filepath.Dir(filepath.Clean(f.path))
	if about, err := os.Stat(above); err != nil || !about.IsDir() {
		return fmt.Errorf("%s cannot be made, because %s is no folder: is the disk mounted, and the path right?", f.path, above)
	}
	return f.examineNew(options)
}

// examineNew returns an error for a folder without a backup, if a backup must exist
// (Options.Existing).
func (f folder) examineNew(options Options) error {
	if !options.Existing {
		return nil
	}
	return fmt.Errorf("%s holds no backup, but this store has been backed up on schedule before: is the disk mounted? Several servers must share the folder. To begin a new backup there: tagma backup %s", f.path, f.path)
}

// examineUnmarked returns an error unless the folder holds a complete backup of this
// store in the layout without generations. The folder of a store is never mistaken
// for a backup: the database of a working store differs from the line in SHA256SUMS.
func (f folder) examineUnmarked(ctx context.Context, store string, options Options) error {
	c, err := f.unmarkedContents()
	if err != nil {
		return fmt.Errorf("%s is no whole backup: give another folder: %w", f.path, err)
	}
	sum, err := sumOf(f.in(databaseFile))
	if err != nil {
		return fmt.Errorf("%s is no whole backup: give another folder: %w", f.path, err)
	}
	if sum != c.database {
		return fmt.Errorf("%s is no whole backup: %s is not as %s says, because a server works in the folder or the backup is damaged: give another folder", f.path, databaseFile, sumsFile)
	}
	origin, err := storeOf(ctx, f.in(databaseFile))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %s cannot be read: give another folder: %w", f.path, databaseFile, err)
	case origin == "" && !options.Adopt:
		return fmt.Errorf("%s was made before stores had ids, so that nothing proves whose backup it is: if it is this store's, run tagma backup --adopt %s once; else give another folder", f.path, f.path)
	case origin != "" && origin != store:
		return fmt.Errorf("%s is the backup of another store (id %s; this store is %s): give another folder", f.path, origin, store)
	}
	return nil
}

// storeOf returns the id of the store in a backup's database, or "" for a database
// without an id.
func storeOf(ctx context.Context, path string) (string, error) {
	db := database.OpenReadOnly(path)
	defer db.Close()
	i, err := identity.Of(ctx, db.Client)
	if errors.Is(err, identity.ErrNone) {
		return "", nil
	}
	return i.ID, err
}

// otherNames returns the names of up to three files in a folder without a backup.
// Left out are the lock and the new mark, which a run killed before the rename of the
// mark leaves, and the folder lost+found of a new file system.
func (f folder) otherNames() (string, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		switch e.Name() {
		case lockFile, markFile + newSuffix, "lost+found":
			continue
		}
		if names = append(names, e.Name()); len(names) == 3 {
			break
		}
	}
	return strings.Join(names, ", "), nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
