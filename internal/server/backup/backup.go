// Package backup owns backups of a store: making a backup while the server works,
// making backups on schedule, and restoring a store from a backup.
//
// A backup is a folder with copies of a single store, readable by ordinary tools
// (sqlite3, sha256sum): generations, each with the database as an SQLite file,
// and a folder of files shared by all generations. A generation gets the final
// name when the whole content is on the disk. A failed backup changes no older
// generation. docs/adr/0015-backups.md has the layout.
//
// The package does not own the label repository, because the server can make the
// repository again from the database. The package owns neither the id of a store
// (package identity) nor the check of a store (package integrity).
package backup

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"

	"tagma/internal/base/filelock"
	"tagma/internal/base/instant"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
	"tagma/internal/storage/localblob"
)

// DefaultKeep is the default number of generations in a backup.
const DefaultKeep = 7

// ErrBusy is returned by Make while another run makes a backup in the same
// folder.
var ErrBusy = errors.New("another backup into the folder is under way")

// Source is the store to back up.
type Source struct {
	DB     *database.DB
	Bucket bucket.Bucket
	Place  Place
}

// Options of Make.
type Options struct {
	// Keep is the number of generations after the backup, including the new
	// generation.
	Keep int
	// Adopt accepts a backup from before stores had ids as a backup of this
	// store.
	Adopt bool
	// Existing makes Make return an error for a folder without a backup.
	Existing bool
	// Clock returns the time. If nil, Clock is the machine's clock.
	Clock instant.Clock
}

// Report counts the work of Make or Restore.
type Report struct {
	Generation Generation
	First      bool // the folder had no generation before
	Rows       int
	Files      int   // files in the generation
	Copied     int   // of Files, by this run
	Bytes      int64 // of Copied
	Reread     int   // old files read again by this run
	// Replaced holds the keys of files found damaged or missing in the backup,
	// and copied again by this run.
	Replaced []string
	// Lost holds the keys of damaged files in older generations only. The store
	// has no copy of such a file any more.
	Lost []string
	// Removed holds the names of the removed generations.
	Removed []string
}

// Make makes a generation of a store in the folder of a backup. Make creates a
// missing folder; the parent folder must exist. The generation has everything
// committed before the call of Make.
//
// Make returns an error, and changes nothing, if the folder is a store, holds a
// store, or holds anything but a backup of this store. After a later failure, all
// older generations are complete and unchanged.
func Make(ctx context.Context, from Source, path string, options Options) (Report, error) {
	return maker{from, folder{path, realDisk()}, options}.make(ctx)
}

// maker holds the arguments of a call of Make.
type maker struct {
	from    Source
	folder  folder
	options Options
}

func (m maker) make(ctx context.Context) (Report, error) {
	report := Report{}
	if m.options.Keep < 1 {
		return report, fmt.Errorf("a backup of %d generations: give 1 or more", m.options.Keep)
	}
	store, err := m.examine(ctx)
	if err != nil {
		return report, err
	}
	lock, err := m.folder.begin(ctx, store.ID, m.options)
	if err != nil {
		return report, err
	}
	defer lock.Close()
	names, err := m.folder.names()
	if err != nil {
		return report, err
	}
	report.First = len(names) == 0
	files, flush, err := localblob.OpenCopies(m.folder.in(filesFolder))
	if err != nil {
		return report, err
	}
	defer files.Close()
	c := &copier{from: m.from.Bucket, to: files, report: &report}
	if report.Generation, err = m.next(store.ID, names); err != nil {
		return report, err
	}
	c.run = report.Generation.Run
	if c.files, err = m.knownFiles(names); err != nil {
		return report, err
	}
	if err := m.checkRoom(ctx, c.files); err != nil {
		return report, err
	}
	if err := m.generation(ctx, c, flush); err != nil {
		err = errors.Join(err, m.folder.disk.removeAll(m.folder.in(generationsFolder, report.Generation.Name+incompleteSuffix)))
		return report, fmt.Errorf("no generation was made in %s; the older ones are as they were: %w", m.folder.path, err)
	}
	if err := m.tidy(ctx, c, flush, names); err != nil {
		return report, fmt.Errorf("the generation %s is made in %s, but what is not needed any more was not removed: %w", report.Generation.Name, m.folder.path, err)
	}
	return report, nil
}

// examine returns the identity of the store. The error says why the store cannot
// be backed up, or why the folder cannot take the backup.
func (m maker) examine(ctx context.Context) (identity.Identity, error) {
	latest, err := database.Latest()
	if err != nil {
		return identity.Identity{}, err
	}
	version, err := m.from.DB.Version(ctx)
	if err != nil {
		return identity.Identity{}, err
	}
	if version != latest {
		return identity.Identity{}, fmt.Errorf("the database has version %d, and this Tagma makes backups of version %d: use the Tagma that serves the store", version, latest)
	}
	store, err := identity.Of(ctx, m.from.DB.Client)
	if err != nil {
		return store, fmt.Errorf("no backup can be made: %w", err)
	}
	if err := m.from.Place.CheckApart(m.folder.path); err != nil {
		return store, err
	}
	_, err = m.folder.examine(ctx, store.ID, m.options)
	return store, err
}

// begin locks the folder and turns the folder into a backup of the store. The
// folder may be in any state accepted by folder.examine. The caller closes the
// lock.
func (f folder) begin(ctx context.Context, store string, options Options) (*os.File, error) {
	if !exists(f.path) {
		if err := f.makeFolder(f.path); err != nil {
			return nil, err
		}
	}
	lock, err := filelock.Lock(f.in(lockFile))
	if errors.Is(err, filelock.ErrLocked) {
		return nil, fmt.Errorf("%s: %w: wait until that one has ended", f.path, ErrBusy)
	}
	if err != nil {
		return nil, err
	}
	if err := f.prepare(ctx, store, options); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func (f folder) prepare(ctx context.Context, store string, options Options) error {
	state, err := f.examine(ctx, store, options) // examine again under the lock: another run may have ended since
	if err != nil {
		return err
	}
	if state != current {
		if err := f.writeMark(store); err != nil {
			return err
		}
	}
	for _, name := range []string{filesFolder, generationsFolder} {
		if err := f.makeFolder(f.in(name)); err != nil {
			return err
		}
	}
	if err := f.clearLeftovers(); err != nil {
		return err
	}
	return f.upgrade(ctx)
}

// next returns the description of the new generation. Names is sorted, the newest
// first. The new name sorts after all older names, even if the clock was turned
// back.
func (m maker) next(store string, names []string) (Generation, error) {
	clock := m.options.Clock
	if clock == nil {
		clock = instant.System
	}
	g := Generation{Store: store, Time: clock()}
	name := g.Time.Time().Truncate(time.Second)
	if len(names) > 0 {
		newest, err := m.folder.about(names[0])
		if err != nil {
			return g, m.damaged(names[0], err)
		}
		g.Run = newest.Run + 1
		last, err := time.Parse(nameLayout, names[0])
		if err != nil {
			return g, err
		}
		if !name.After(last) {
			name = last.Add(time.Second)
		}
	}
	g.Name = name.Format(nameLayout)
	var err error
	g.Schema, err = database.Latest()
	return g, err
}

// knownFiles returns the files of the older generations that will remain, and of
// the newest generation in any case: known files are not copied again.
func (m maker) knownFiles(names []string) (map[string]entry, error) {
	known := map[string]entry{}
	for n, name := range names {
		remains := n < m.options.Keep-1
		if n > 0 && !remains {
			break
		}
		c, err := m.folder.contents(name)
		if err != nil {
			return nil, m.damaged(name, err)
		}
		for key, sum := range c.files {
			if e, newer := known[key]; newer {
				e.remains = e.remains || remains
				known[key] = e
				continue
			}
			known[key] = entry{sum: sum, remains: remains}
		}
	}
	return known, nil
}

// damaged returns the error for an unreadable generation. Without the sums of a
// generation, Make cannot tell the files of the generation from files to remove.
func (m maker) damaged(name string, err error) error {
	return fmt.Errorf("a generation is damaged: move %s away, and begin again: %w", m.folder.in(generationsFolder, name), err)
}

// smallPictures is the approximate size of an image's two thumbnails together, in
// bytes.
const smallPictures = 32 << 10

// checkRoom returns an error if the file system of the folder has too little free
// space for the database and the new files.
func (m maker) checkRoom(ctx context.Context, known map[string]entry) error {
	free, ok := m.folder.disk.free(m.folder.path)
	if !ok {
		return nil
	}
	needed, err := m.from.DB.Size(ctx)
	if err != nil {
		return err
	}
	for stored, err := range images.AllStored(ctx, m.from.DB) {
		if err != nil {
			return err
		}
		if _, ok := known[stored.Original]; !ok {
			needed += stored.Size + smallPictures
		}
	}
	for content, err := range bundles.AllStored(ctx, m.from.DB) {
		if err != nil {
			return err
		}
		if _, ok := known[content.StoredAs]; !ok {
			needed += content.Size
		}
	}
	if uint64(needed) > free {
		return fmt.Errorf("%s has room for %s, and the database and the new files need about %s: %s are missing: make room, or keep fewer generations",
			m.folder.path, humanize.Bytes(free), humanize.Bytes(uint64(needed)), humanize.Bytes(uint64(needed)-free))
	}
	return nil
}

// generation copies the database and the files into a folder with a temporary
// name, and then makes the folder a generation by renaming.
func (m maker) generation(ctx context.Context, c *copier, flush func() error) error {
	g := c.report.Generation
	tempDir := m.folder.in(generationsFolder, g.Name+incompleteSuffix)
	if err := m.folder.makeFolder(tempDir); err != nil {
		return err
	}
	path := filepath.Join(tempDir, databaseFile)
	if err := m.copyStore(ctx, c, path); err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	sums := contents{files: map[string]digest{}}
	for key, e := range c.files {
		if e.here {
			sums.files[key] = e.sum
		}
	}
	c.report.Files = len(sums.files)
	var err error
	if sums.database, err = sumOf(path); err != nil {
		return err
	}
	return m.folder.writeGeneration(g, sums)
}

// copyStore copies the rows into a new database at path, and the files of these
// rows into the folder of files.
func (m maker) copyStore(ctx context.Context, c *copier, path string) (err error) {
	target, err := create(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	err = snapshot(ctx, m.from.DB, func(conn *sql.Conn) error {
		_, err := copyAll(ctx, conn, target, nil)
		return err
	})
	if err != nil {
		return err
	}
	if err := c.images(ctx, m.from.DB, target); err != nil {
		return err
	}
	if err := c.bundles(ctx, target); err != nil {
		return err
	}
	if c.report.Rows, err = countAll(ctx, target); err != nil { // c.images has removed the rows of images deleted meanwhile
		return err
	}
	return withoutLog(ctx, target)
}

// create creates an empty database with all tables, readable by the operator
// alone.
func create(ctx context.Context, path string) (*database.DB, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // SQLite would create the file with the mode of the umask
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, "sqlite:"+path, database.Options{Connections: 1})
	if err != nil {
		return nil, err
	}
	// A write-ahead log would grow to the size of the database, and need the
	// space twice.
	if err := withoutLog(ctx, db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// withoutLog moves the write-ahead log into the database's file. Afterwards the
// database is a single file, readable on a read-only file system.
func withoutLog(ctx context.Context, db *database.DB) error {
	var mode string
	if err := db.SQL.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode); err != nil {
		return err
	}
	if mode != "delete" {
		return fmt.Errorf("the journal mode of the copied database is %q, not delete", mode)
	}
	return nil
}

// tidy reads a share of the older files again, and removes the oldest
// generations, and then the files of no generation.
func (m maker) tidy(ctx context.Context, c *copier, flush func() error, names []string) error {
	if err := c.rereadOthers(ctx); err != nil {
		return err
	}
	for _, name := range names[min(m.options.Keep-1, len(names)):] {
		if err := m.folder.removeGeneration(name); err != nil {
			return err
		}
		c.report.Removed = append(c.report.Removed, name)
	}
	if err := c.prune(ctx); err != nil {
		return err
	}
	// This process holds the lock, so every temporary file is a leftover. The
	// time in the future makes Sweep remove fresh files too.
	if _, err := localblob.Sweep(ctx, m.folder.in(filesFolder), time.Now().Add(48*time.Hour)); err != nil {
		return err
	}
	return flush()
}
