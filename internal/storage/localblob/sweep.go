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

// leftoverAge is the age at which a temporary file was left by a crash. A
// younger one may be another process's, at work.
const leftoverAge = 24 * time.Hour

// Sweep removes the temporary files that crashes left in the bucket kept in
// dir, and says how many. It reads the name of every file there, so it is for
// once a day and not for once a request. It may run while the bucket is in use.
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
