// Package backup owns copies of everything that a server keeps: how one is
// made while the server works, how a server is made from one, and how a store
// is checked against its database.
//
// A backup is a folder that other tools can read: the database as one SQLite
// file, whatever database the server has; the files under their names in the
// store; and SHA256SUMS, which is written last, so that a folder without it is
// no backup. Made again in the same folder, it copies only what is new.
//
// The label repository is not in it: it follows from the database.
package backup

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"tagma/internal/bundles"
	"tagma/internal/database"
	"tagma/internal/images"
	"tagma/internal/localblob"
)

// The names in a backup's folder.
const (
	databaseFile = "tagma.db"
	filesFolder  = "files"
	sumsFile     = "SHA256SUMS"
)

// Report is what was copied.
type Report struct {
	Rows   int
	Files  int   // in the backup
	Copied int   // now: the others were there
	Bytes  int64 // of those
}

// Make makes a backup of a database and its store in a folder, which is made
// if it is not there. What is committed before it begins is in it.
func Make(ctx context.Context, db *database.DB, bucket *blob.Bucket, folder string) (report Report, err error) {
	if err := os.MkdirAll(filepath.Join(folder, filesFolder), 0o700); err != nil {
		return report, err
	}
	sums, err := readSums(folder)
	if err != nil {
		return report, err
	}
	// From here on until the end it is no backup.
	if err := os.Remove(filepath.Join(folder, sumsFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return report, err
	}
	kept, err := fresh(ctx, filepath.Join(folder, databaseFile))
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	err = snapshot(ctx, db, func(conn *sql.Conn) error {
		_, err := copyAll(ctx, conn, kept)
		return err
	})
	if err != nil {
		return report, err
	}
	files, err := localblob.Open(filepath.Join(folder, filesFolder))
	if err != nil {
		return report, err
	}
	defer files.Close()
	c := copier{from: bucket, to: files, known: sums, sums: map[string]string{}, report: &report}
	if err := c.images(ctx, db, kept); err != nil {
		return report, err
	}
	if err := c.bundles(ctx, kept); err != nil {
		return report, err
	}
	if err := c.prune(ctx); err != nil {
		return report, err
	}
	report.Files = len(c.sums)
	if report.Rows, err = countAll(ctx, kept); err != nil { // after what was left out
		return report, err
	}
	// What is in the write-ahead log goes into the file itself.
	if _, err := kept.SQL.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return report, err
	}
	if c.sums[databaseFile], err = sumOf(filepath.Join(folder, databaseFile)); err != nil {
		return report, err
	}
	return report, writeSums(folder, c.sums)
}

// fresh is an empty database with all its tables, in place of any other.
func fresh(ctx context.Context, path string) (*database.DB, error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return database.Open(ctx, "sqlite:"+path, database.Options{Connections: 1})
}

// copier copies files that are not there yet.
type copier struct {
	from, to *blob.Bucket
	known    map[string]string // SHA-256 of files that an earlier backup has, by their names in its folder
	sums     map[string]string // of those that this one has
	report   *Report
}

// images copies the files of all images. An image that was deleted meanwhile
// is taken out of the copy of the database too.
func (c *copier) images(ctx context.Context, db, kept *database.DB) error {
	var gone []int64
	for one, err := range images.AllStored(ctx, kept) {
		if err != nil {
			return err
		}
		err := c.copy(ctx, one.Original, one.SHA256)
		for _, key := range one.Others {
			if err == nil {
				err = c.copy(ctx, key, "")
			}
		}
		if gcerrors.Code(err) == gcerrors.NotFound {
			still, looking := db.Image.Get(ctx, one.ImageID)
			if still == nil && looking != nil {
				gone = append(gone, one.ImageID)
				continue
			}
			return fmt.Errorf("the store lacks a file of an image: run tagma verify: %w", err)
		}
		if err != nil {
			return err
		}
	}
	for _, id := range gone {
		if err := images.Forget(ctx, kept, id); err != nil {
			return err
		}
	}
	return nil
}

// bundles copies the files of all versions. What is on its way to be one is not
// in a backup.
func (c *copier) bundles(ctx context.Context, kept *database.DB) error {
	if err := bundles.ForgetUploads(ctx, kept); err != nil {
		return err
	}
	for content, err := range bundles.AllStored(ctx, kept) {
		if err != nil {
			return err
		}
		if err := c.copy(ctx, content.StoredAs, content.Sha256); err != nil {
			return fmt.Errorf("a file of a bundle: run tagma verify: %w", err)
		}
	}
	return nil
}

// copy copies one file, whose SHA-256 may be known. Files never change under
// their names, so one that an earlier backup has is not copied again.
func (c *copier) copy(ctx context.Context, key, sum string) error {
	name := filesFolder + "/" + key
	if before := c.known[name]; before != "" && (sum == "" || sum == before) {
		if there, err := c.to.Exists(ctx, key); err == nil && there {
			c.sums[name] = before
			return nil
		}
	}
	got, size, err := transfer(ctx, c.from, c.to, key)
	if err != nil {
		return err
	}
	if sum != "" && got != sum {
		return fmt.Errorf("%s is not what the database says it is: run tagma verify", key)
	}
	c.sums[name] = got
	c.report.Copied++
	c.report.Bytes += size
	return nil
}

// transfer copies a file from one store into another.
func transfer(ctx context.Context, from, to *blob.Bucket, key string) (sum string, size int64, err error) {
	r, err := from.NewReader(ctx, key, nil)
	if err != nil {
		return "", 0, err
	}
	defer r.Close()
	writing, cancel := context.WithCancel(ctx)
	defer cancel() // before Close, it gives the write up
	w, err := to.NewWriter(writing, key, &blob.WriterOptions{ContentType: r.ContentType()})
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(w, hash), r)
	if err != nil {
		cancel()
		return "", 0, errors.Join(err, w.Close())
	}
	return hex.EncodeToString(hash.Sum(nil)), size, w.Close()
}

// prune removes files of an earlier backup that no row speaks of any more.
func (c *copier) prune(ctx context.Context) error {
	for name := range c.known {
		key, ok := strings.CutPrefix(name, filesFolder+"/")
		if _, kept := c.sums[name]; !ok || kept {
			continue
		}
		if err := c.to.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return err
		}
	}
	return nil
}

// readSums reads the SHA-256 of each file of a backup, by its name in the
// folder. A folder that is no backup has none.
func readSums(folder string) (map[string]string, error) {
	sums := map[string]string{}
	file, err := os.Open(filepath.Join(folder, sumsFile))
	if errors.Is(err, os.ErrNotExist) {
		return sums, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		sum, name, ok := strings.Cut(lines.Text(), "  ")
		if !ok || len(sum) != 2*sha256.Size {
			return nil, fmt.Errorf("%s is damaged: %.100q is not a line of sha256sum", sumsFile, lines.Text())
		}
		sums[name] = sum
	}
	return sums, lines.Err()
}

// writeSums writes what sha256sum -c reads. It is there as a whole or not at
// all, and when it is, so is everything before it.
func writeSums(folder string, sums map[string]string) error {
	temporary := filepath.Join(folder, sumsFile+".new")
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(w, "%s  %s\n", sums[name], name)
	}
	if err := errors.Join(w.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(folder, sumsFile)); err != nil {
		return err
	}
	there, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(there.Sync(), there.Close())
}

func sumOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
