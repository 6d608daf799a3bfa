package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"tagma/internal/base/instant"
	"tagma/internal/storage/database"
)

// unmarkedContents returns the content of the SHA256SUMS in the layout without
// generations: tagma.db, files/ and SHA256SUMS at the top.
func (f folder) unmarkedContents() (contents, error) {
	return readContents(f.in(sumsFile), filesFolder+"/")
}

// unmarkedGeneration returns the description of the single state in the layout without
// generations. The time is the modification time of SHA256SUMS, the last written file.
func (f folder) unmarkedGeneration(ctx context.Context) (Generation, error) {
	about, err := os.Stat(f.in(sumsFile))
	if err != nil {
		return Generation{}, err
	}
	g := Generation{Name: about.ModTime().UTC().Format(nameLayout), Time: instant.Of(about.ModTime())}
	db := database.OpenReadOnly(f.in(databaseFile))
	defer db.Close()
	if g.Schema, err = db.Version(ctx); err != nil {
		return g, err
	}
	g.Store, err = storeOf(ctx, f.in(databaseFile))
	return g, err
}

// upgrade makes the first generation from the layout without generations. upgrade
// copies the database, and removes the files at the top only when the generation is on
// the disk. So after a crash at any moment, the old state or the generation is
// complete. The caller has examined the folder and holds the lock.
func (f folder) upgrade(ctx context.Context) error {
	if !exists(f.in(sumsFile)) {
		return nil
	}
	if exists(f.in(databaseFile)) {
		if err := f.copyUnmarked(ctx); err != nil {
			return fmt.Errorf("make the first generation of %s: %w", f.path, err)
		}
		if err := f.disk.remove(f.in(databaseFile)); err != nil {
			return err
		}
		if err := f.flush(f.path); err != nil {
			return err
		}
	}
	// The sums are removed last: examine takes a database without sums for the
	// database of a store.
	if err := f.disk.remove(f.in(sumsFile)); err != nil {
		return err
	}
	return f.flush(f.path)
}

func (f folder) copyUnmarked(ctx context.Context) error {
	c, err := f.unmarkedContents()
	if err != nil {
		return err
	}
	g, err := f.unmarkedGeneration(ctx)
	if err != nil {
		return err
	}
	if exists(f.in(generationsFolder, g.Name)) { // a run was killed after the rename
		made, err := f.contents(g.Name)
		if err != nil {
			return err
		}
		if made.database != c.database {
			return fmt.Errorf("the generation %s is another one", g.Name)
		}
		return nil
	}
	temp := g.Name + incompleteSuffix
	if err := f.makeFolder(f.in(generationsFolder, temp)); err != nil {
		return err
	}
	sum, err := f.copyFile(ctx, f.in(databaseFile), f.in(generationsFolder, temp, databaseFile))
	if err != nil {
		return err
	}
	if sum != c.database {
		return fmt.Errorf("%s is not as %s says", databaseFile, sumsFile)
	}
	return f.writeGeneration(g, c)
}

// copyFile copies a file to a new file, readable by the operator alone, and returns
// the SHA-256 of the bytes. The caller flushes the new file.
func (f folder) copyFile(ctx context.Context, from, to string) (sum digest, err error) {
	r, err := os.Open(from)
	if err != nil {
		return sum, err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sum, err
	}
	hash := newHash()
	_, err = io.Copy(io.MultiWriter(w, hash), withContext(ctx, r))
	if err := errors.Join(err, w.Close()); err != nil {
		return sum, err
	}
	return hash.sum(), nil
}
