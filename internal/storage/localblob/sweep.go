package localblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// leftoverAge is the least age of a temporary file that a crash left. Another
// process may still write to a younger file.
const leftoverAge = 24 * time.Hour

// Sweep removes the temporary files that crashes left in the bucket in dir, and
// returns the number of removed files. Sweep reads the names of all files, so run
// Sweep once a day rather than for each request. The bucket may be in use.
func Sweep(ctx context.Context, dir string, now time.Time) (removed int, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("localblob: sweep: %w", err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since its name was read
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		if !d.Type().IsRegular() || !strings.HasPrefix(d.Name(), temporaryPrefix) {
			return nil
		}
		info, err := root.Lstat(name)
		if err == nil && now.Sub(info.ModTime()) > leftoverAge {
			err = root.Remove(name)
			if err == nil {
				removed++
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return removed, fmt.Errorf("localblob: sweep: %w", err)
	}
	return removed, nil
}
