// Package fingerprint owns the MD5 of files on this machine. Package fingerprint
// reads several files at once, and does not read an unchanged file again.
//
// Package fingerprint does not own the comparison of fingerprints.
package fingerprint

import (
	"context"
	"crypto/md5" //nolint:gosec // the server's fingerprint, not a defence
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"tagma/internal/cli/progress"
)

// minAge is the age above which the fingerprint of a file is stored. A younger file
// may still change without a new size or time.
const minAge = 2 * time.Second

// File is a file and its fingerprint.
type File struct {
	Path     string // absolute
	Size     int64
	Modified int64  // nanoseconds since the Unix epoch
	MD5      string // 32 hex digits; empty until computed
	Cached   bool   // the MD5 is from the cache: the file was not read
	Err      error  // read error

	changed int64 // time of the last change of content or attributes, which no program can set; 0 if unknown
}

// NewFile returns a file without its fingerprint.
func NewFile(path string, info fs.FileInfo) File {
	return File{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano(), changed: changeTime(info)}
}

// Options of Compute.
type Options struct {
	Cache  string // path of the cache; empty for none
	Reread bool   // read all files, and correct the cache
	Output *progress.Output
}

// Compute sets the MD5 or the Err of each file. Compute returns an error only if ctx
// ends.
func Compute(ctx context.Context, files []*File, o Options) error {
	fileCache, err := openCache(ctx, o.Cache)
	if err != nil {
		o.Output.Printf("fingerprints are not stored: %s", err)
		fileCache = nil
	}
	defer fileCache.close()
	var missing []*File
	var total int64
	for _, f := range files {
		if f.MD5 = ""; !o.Reread {
			f.MD5 = fileCache.get(ctx, f)
		}
		if f.Cached = f.MD5 != ""; !f.Cached {
			missing = append(missing, f)
			total += f.Size
		}
	}
	if len(missing) == 0 {
		return context.Cause(ctx)
	}
	bar := o.Output.Start(fmt.Sprintf("reading %d of %d files", len(missing), len(files)), total)
	defer bar.Done()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, f := range missing {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			start := time.Now()
			f.Err = f.read(bar)
			if f.Err == nil && start.Sub(time.Unix(0, f.Modified)) > minAge {
				fileCache.put(ctx, f)
			}
			return nil
		})
	}
	return group.Wait()
}

// read computes the fingerprint of a file, and returns an error if the file cannot be
// read.
func (f *File) read(bar *progress.Bar) error {
	file, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := md5.New() //nolint:gosec // see above
	if _, err := io.Copy(sum, bar.Reader(file)); err != nil {
		return err
	}
	f.MD5 = hex.EncodeToString(sum.Sum(nil))
	return nil
}
