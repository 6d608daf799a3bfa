package backup

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"tagma/internal/base/filelock"
	"tagma/internal/base/fsync"
	"tagma/internal/base/instant"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/identity"
	"tagma/internal/storage/localblob"
)

// ErrNotEmpty is returned by Restore for a store with data.
var ErrNotEmpty = errors.New("the store is not empty: restore into a new one")

// Copy is a generation of a backup, or the single state in the layout without
// generations. A store can be restored from a Copy.
type Copy struct {
	folder     folder
	generation Generation
	contents   contents
	database   string // the path of the copied database
}

// Find returns the generation with a name in the folder of a backup, or the newest
// generation for an empty name. Find writes nothing, and does not read the shared
// files.
func Find(ctx context.Context, path, name string) (*Copy, error) {
	f := folder{path: path}
	if about, err := os.Stat(path); err != nil || !about.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is no backup: give the folder that tagma backup was given", path), err)
	}
	if _, err := f.readMark(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	var c *Copy
	switch {
	case len(names) > 0:
		c, err = f.find(names, name)
	case !exists(f.in(sumsFile)):
		return nil, fmt.Errorf("%s is no whole backup: %w: there is no generation, and no %s", path, ErrNone, sumsFile)
	case name != "":
		return nil, fmt.Errorf("%s has no generation %s: the backup has one state, without a name: leave --generation out", path, name)
	default:
		c, err = f.findUnmarked(ctx)
	}
	if err != nil {
		return nil, err
	}
	latest, err := database.Latest()
	if err != nil {
		return nil, err
	}
	if c.generation.Schema > latest {
		return nil, fmt.Errorf("the backup is of a newer Tagma: its database has version %d, and this Tagma knows versions up to %d: restore with the newer Tagma", c.generation.Schema, latest)
	}
	return c, nil
}

func (f folder) find(names []string, name string) (*Copy, error) {
	if name == "" {
		name = names[0]
	}
	if !slices.Contains(names, name) {
		return nil, fmt.Errorf("%s has no generation %s: give one of %s", f.path, name, strings.Join(names, ", "))
	}
	g, err := f.about(name)
	if err != nil {
		return nil, err
	}
	c := &Copy{folder: f, generation: g, database: f.in(generationsFolder, name, databaseFile)}
	if c.contents, err = f.contents(name); err != nil {
		return nil, err
	}
	about, err := sumOf(f.in(generationsFolder, name, aboutFile))
	if err == nil && (c.contents.about == nil || about != *c.contents.about) {
		err = fmt.Errorf("%s is not what was backed up: the generation %s is damaged", aboutFile, name)
	}
	return c, err
}

func (f folder) findUnmarked(ctx context.Context) (*Copy, error) {
	c := &Copy{folder: f, database: f.in(databaseFile)}
	var err error
	if c.contents, err = f.unmarkedContents(); err != nil {
		return nil, err
	}
	if err := c.checkDatabase(); err != nil { // before SQLite opens the file
		return nil, err
	}
	c.generation, err = f.unmarkedGeneration(ctx)
	return c, err
}

func (c *Copy) checkDatabase() error {
	sum, err := sumOf(c.database)
	if err != nil {
		return err
	}
	if sum != c.contents.database {
		return c.damaged(databaseFile)
	}
	return nil
}

func (c *Copy) damaged(name string) error {
	return fmt.Errorf("%s is not what was backed up: the backup is damaged: restore another generation (--generation), or another backup", name)
}

// CheckApart returns an error if the restored store would lie in the folder of
// the backup.
func (c *Copy) CheckApart(to Place) error {
	for _, part := range []struct{ flag, path string }{{"--data", to.Data}, {"--storage", to.Files}, {"--database", to.Database}} {
		if part.path != "" && contains(c.folder.path, part.path) {
			return fmt.Errorf("%s (%s) lies in the backup %s: give a place outside", part.flag, part.path, c.folder.path)
		}
	}
	return nil
}

// id returns a name of the backup for the marker: the id of the store or, in an
// old backup, the SHA-256 of the database.
func (c *Copy) id() string {
	if c.generation.Store != "" {
		return c.generation.Store
	}
	return "sha256:" + c.contents.database.String()
}

// Target is the store to restore into.
type Target struct {
	DB     *database.DB
	Bucket bucket.Bucket
	// Folder is the folder of the bucket, or empty if the files are in S3.
	Folder string
	// Temporary is a folder under --data for a temporary copy of the backup's
	// database. The copy holds secrets, so no public temporary folder is used.
	Temporary string
	// Clock returns the time. If nil, Clock is the machine's clock.
	Clock instant.Clock
}

// Restore puts a generation into an empty database and an empty bucket. First,
// Restore compares the rows with the sums; a failure so far leaves the target
// unchanged. Then Restore copies the files and checks the SHA-256 of each. Last,
// Restore writes all rows in a single transaction, with a new id of the store. A
// failed Restore can be repeated with the same backup.
func Restore(ctx context.Context, c *Copy, to Target) (Report, error) {
	report := Report{Generation: c.generation}
	resumed, err := to.examine(ctx, c)
	if err != nil {
		return report, err
	}
	scratch, release, err := c.open(ctx, to.Temporary)
	if err != nil {
		return report, err
	}
	defer release()
	if err := c.compare(ctx, scratch); err != nil {
		return report, err
	}
	if err := to.mark(ctx, c); err != nil {
		return report, err
	}
	if err := to.copyFiles(ctx, c, resumed, &report); err != nil {
		return report, err
	}
	if report.Rows, err = to.copyRows(ctx, scratch); err != nil {
		return report, err
	}
	if err := to.Bucket.Delete(ctx, markerKey); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, fmt.Errorf("everything is restored, but the marker %s was not removed: %w", markerKey, err)
	}
	if err := to.DB.Analyze(ctx); err != nil {
		return report, fmt.Errorf("everything is restored, but the database's statistics were not gathered: %w", err)
	}
	return report, nil
}

// markerKey is the key of the marker, a file in the bucket during a restore. The
// marker names the backup. A repeated restore of the same backup recognises files
// of the failed restore by the marker.
const markerKey = "restoring.json"

type marker struct {
	Backup string `json:"backup"` // Copy.id
}

// examine returns an error for a target with data, except for leftovers of a
// failed restore of the same backup. Resumed reports whether there may be
// leftovers.
func (to Target) examine(ctx context.Context, c *Copy) (resumed bool, err error) {
	i, err := identity.Of(ctx, to.DB.Client)
	if err == nil {
		return false, fmt.Errorf("%w: the database is that of the store %s: give another --data and --database", ErrNotEmpty, i.ID)
	}
	if !errors.Is(err, identity.ErrNone) {
		return false, err
	}
	rows, err := hasRows(ctx, to.DB)
	if err != nil {
		return false, err
	}
	if rows {
		return false, fmt.Errorf("%w: the database has rows: give another --data and --database", ErrNotEmpty)
	}
	text, err := bucket.ReadAll(ctx, to.Bucket, markerKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		for file, err := range to.Bucket.List(ctx, "") {
			if err == nil {
				err = fmt.Errorf("%w: --storage has files (%s), and nothing says that they are this backup's: give another --storage", ErrNotEmpty, file.Key)
			}
			return false, err
		}
		return false, nil
	case err != nil:
		return false, err
	}
	var m marker
	if err := json.Unmarshal(text, &m); err != nil || m.Backup != c.id() {
		return false, fmt.Errorf("%w: --storage has files of another backup, whose restore was not finished: finish that one, or give another --storage", ErrNotEmpty)
	}
	return true, nil
}

func (to Target) mark(ctx context.Context, c *Copy) error {
	text, err := json.Marshal(marker{Backup: c.id()})
	if err != nil {
		return err
	}
	return bucket.WriteAll(ctx, to.Bucket, markerKey, text)
}

// open opens a copy of the backup's database, because opening a database migrates
// the database. release removes the copy; after a crash, the next restore removes
// the copy.
func (c *Copy) open(ctx context.Context, temporary string) (db *database.DB, release func(), err error) {
	lock, err := filelock.Lock(filepath.Join(temporary, "restore.lock"))
	if errors.Is(err, filelock.ErrLocked) {
		return nil, nil, errors.New("another tagma restore works with this --data: wait until that one has ended")
	}
	if err != nil {
		return nil, nil, err
	}
	scratch := filepath.Join(temporary, "restore")
	release = func() {
		if db != nil {
			_ = db.Close()
		}
		_ = os.RemoveAll(scratch)
		_ = lock.Close()
	}
	if err := os.RemoveAll(scratch); err != nil {
		release()
		return nil, nil, err
	}
	if err := os.Mkdir(scratch, 0o700); err != nil {
		release()
		return nil, nil, err
	}
	path := filepath.Join(scratch, databaseFile)
	sum, err := c.folder.copyFile(ctx, c.database, path)
	if err == nil && sum != c.contents.database {
		err = c.damaged(databaseFile)
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	if db, err = database.Open(ctx, "sqlite:"+path, database.Options{Connections: 1}); err != nil {
		release()
		return nil, nil, fmt.Errorf("the backup's database: %w", err)
	}
	return db, release, nil
}

// compare returns an error unless every file of a row is in the backup and has a
// line in SHA256SUMS, with the SHA-256 of the row.
func (c *Copy) compare(ctx context.Context, rows *database.DB) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	defer files.Close()
	check := func(key, sum string) error {
		listed, ok := c.contents.files[key]
		if !ok {
			return fmt.Errorf("%s is named by a row of the backup and has no line in its %s: the backup is damaged", key, sumsFile)
		}
		if sum != "" && sum != listed.String() {
			return fmt.Errorf("%s has another SHA-256 in a row of the backup than in its %s: the backup is damaged", key, sumsFile)
		}
		present, err := bucket.Exists(ctx, files, key)
		if err == nil && !present {
			err = fmt.Errorf("%s is not in the backup: the backup is damaged", key)
		}
		return err
	}
	for stored, err := range images.AllStored(ctx, rows) {
		if err == nil {
			err = check(stored.Original, stored.SHA256)
		}
		for _, key := range stored.Thumbnails {
			if err == nil {
				err = check(key, "")
			}
		}
		if err != nil {
			return err
		}
	}
	for content, err := range bundles.AllStored(ctx, rows) {
		if err == nil {
			err = check(content.StoredAs, content.Sha256)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// files opens the bucket of the backup's files. The caller closes the bucket.
func (c *Copy) files() (bucket.Bucket, error) {
	path := c.folder.in(filesFolder)
	if about, err := os.Stat(path); err != nil || !about.IsDir() { // localblob would create the folder
		return nil, errors.Join(fmt.Errorf("%s is no folder: the backup is damaged", path), err)
	}
	return localblob.Open(path)
}

// copyFiles copies the files of a generation, and checks the SHA-256 of each file
// in the same pass.
func (to Target) copyFiles(ctx context.Context, c *Copy, resumed bool, report *Report) error {
	from, err := c.files()
	if err != nil {
		return err
	}
	defer from.Close()
	files, flush := to.Bucket, func() error { return nil }
	if to.Folder != "" {
		copies, flushCopies, err := localblob.OpenCopies(to.Folder)
		if err != nil {
			return err
		}
		defer copies.Close()
		files, flush = copies, flushCopies
	}
	var mu sync.Mutex
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, key := range slices.Sorted(maps.Keys(c.contents.files)) {
		group.Go(func() error {
			size, copied, err := c.restoreFile(groupCtx, from, files, key, resumed)
			mu.Lock()
			defer mu.Unlock()
			report.Files++
			report.Bytes += size
			if copied {
				report.Copied++
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if resumed && to.Folder != "" {
		if err := flushFolders(to.Folder); err != nil {
			return err
		}
	}
	return flush()
}

// flushFolders flushes the names in path and in all folders below path to the
// disk: the killed restore may not have flushed the folders of files which are not
// copied again.
func flushFolders(path string) error {
	return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = fsync.Folder(path)
		}
		return err
	})
}

// restoreFile copies a file, unless a failed restore has already copied the same
// bytes.
func (c *Copy) restoreFile(ctx context.Context, from, to bucket.Bucket, key string, resumed bool) (size int64, copied bool, err error) {
	sum := c.contents.files[key]
	if resumed {
		if got, err := digestOf(ctx, to, key); err == nil && got == sum {
			return 0, false, nil
		}
	}
	_, size, err = transfer(ctx, from, to, key, func(got digest) error {
		if got != sum {
			return c.damaged(key)
		}
		return nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", key, err)
	}
	return size, true, nil
}

// copyRows copies all rows and gives the store a new id, in a single transaction.
// Because of the new id, a backup of the restored store never overwrites a backup
// of the origin.
func (to Target) copyRows(ctx context.Context, rows *database.DB) (count int, err error) {
	clock := to.Clock
	if clock == nil {
		clock = instant.System
	}
	origin, err := identity.Of(ctx, rows.Client)
	if err != nil && !errors.Is(err, identity.ErrNone) {
		return 0, err
	}
	err = snapshot(ctx, rows, func(conn *sql.Conn) error {
		count, err = copyAll(ctx, conn, to.DB, func(tx *sql.Tx) error {
			return identity.Replace(ctx, tx, identity.New(clock(), origin.ID))
		})
		return err
	})
	return count, err
}
