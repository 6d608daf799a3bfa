package bundlefolder

import (
	"context"
	"crypto/md5" //nolint:gosec // the server's fingerprint, not a defence
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"tagma/internal/base/fault"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/fingerprint"
	"tagma/internal/cli/progress"
)

// PullResult is the result of Pull.
type PullResult struct {
	Version string // such as insects@3
	Files   int    // of the version, or of the requested part
	Fetched int
	Bytes   int64 // of the fetched files
}

// Pull fetches a version of a bundle into a folder; number 0 means the last
// version. Files that the folder has already are not fetched. A file appears
// whole: Pull writes a temporary file, compares its MD5, and renames it. Other
// files of the folder stay unchanged.
func Pull(ctx context.Context, c *client.Client, name, folder string, number int, part generated.BundlePart, o Options) (*PullResult, error) {
	if _, err := c.Limits(ctx); err != nil {
		return nil, err
	}
	if _, err := queryVersion(ctx, c, name, number, part); err != nil { // fail before creating the folder
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(folder) // no key leads out of root
	if err != nil {
		return nil, err
	}
	defer root.Close()
	pulled := &PullResult{}
	// Each attempt requests new links, because links may have expired.
	return client.Retry(ctx, c, func() (*PullResult, error) {
		version, err := queryVersion(ctx, c, name, number, part)
		if err != nil {
			return nil, err
		}
		missing, err := missingFiles(ctx, root, version.Files, o)
		if err != nil {
			return nil, err
		}
		pulled.Version, pulled.Files = version.Name, len(version.Files)
		return pulled, pulled.fetch(ctx, c, root, missing, o)
	})
}

// queryVersion returns a version with its files.
func queryVersion(ctx context.Context, c *client.Client, name string, number int, part generated.BundlePart) (*generated.BundleVersionFields, error) {
	response, err := generated.BundleFiles(ctx, c, name, number, number == 0, part)
	switch {
	case err != nil:
		return nil, err
	case response.Bundle == nil:
		return nil, fault.New(fault.NotFound, "there is no bundle %q", name)
	case number == 0:
		return &response.Bundle.Latest, nil
	case response.Bundle.Version == nil:
		return nil, fault.New(fault.NotFound, "the bundle %q has no version %d", name, number)
	}
	return response.Bundle.Version, nil
}

// missingFiles returns the files that are missing in a folder or have other
// bytes. It corrects the times of the other files.
func missingFiles(ctx context.Context, root *os.Root, files []generated.BundleFile, o Options) ([]generated.BundleFile, error) {
	localFiles := map[string]*fingerprint.File{}
	base, err := filepath.Abs(root.Name())
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		info, err := root.Lstat(filepath.FromSlash(f.Key))
		if err == nil && info.Mode().IsRegular() && info.Size() == f.Size {
			local := fingerprint.NewFile(filepath.Join(base, filepath.FromSlash(f.Key)), info)
			localFiles[f.Key] = &local
		}
	}
	if err := computeFingerprints(ctx, localFiles, o); err != nil {
		return nil, err
	}
	var missing []generated.BundleFile
	for _, f := range files {
		if local := localFiles[f.Key]; local == nil || local.MD5 != f.Md5 {
			missing = append(missing, f)
		} else if local.Modified/1e6 != int64(f.ModifiedAt) {
			if err := root.Chtimes(filepath.FromSlash(f.Key), f.ModifiedAt.Time(), f.ModifiedAt.Time()); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// fetch fetches files.
func (p *PullResult) fetch(ctx context.Context, c *client.Client, root *os.Root, missing []generated.BundleFile, o Options) error {
	if len(missing) == 0 {
		return nil
	}
	var total int64
	for _, f := range missing {
		total += f.Size
	}
	bar := o.Output.Start(fmt.Sprintf("fetching %d of %d files", len(missing), p.Files), total)
	defer bar.Done()
	done := make([]bool, len(missing))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Parallel))
	for n, f := range missing {
		group.Go(func() error {
			err := fetch(ctx, c, root, f, bar)
			done[n] = err == nil
			return err
		})
	}
	err := group.Wait()
	for n, f := range missing {
		if done[n] {
			p.Fetched++
			p.Bytes += f.Size
		}
	}
	return err
}

// fetch fetches one file.
func fetch(ctx context.Context, c *client.Client, root *os.Root, f generated.BundleFile, bar *progress.Bar) (err error) {
	body, err := c.Get(ctx, f.Link.Url)
	if err != nil {
		return err
	}
	defer body.Close()
	path := filepath.FromSlash(f.Key)
	if err := root.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	tempPath := path + ".tagma-part"
	file, err := root.OpenFile(tempPath, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = root.Remove(tempPath)
		}
	}()
	sum := md5.New() //nolint:gosec // see above
	n, err := io.Copy(io.MultiWriter(file, sum), bar.Reader(io.LimitReader(body, f.Size+1)))
	if err = errors.Join(err, file.Close()); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s did not come whole", f.Key)
	}
	if n != f.Size || hex.EncodeToString(sum.Sum(nil)) != f.Md5 {
		return fault.New(fault.Unavailable, "%s came with other bytes than the server says it has", f.Key)
	}
	if err := root.Chtimes(tempPath, f.ModifiedAt.Time(), f.ModifiedAt.Time()); err != nil {
		return err
	}
	return root.Rename(tempPath, path)
}
