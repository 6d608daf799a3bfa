package bundlefolder

import (
	"context"
	"crypto/md5" //nolint:gosec // the server's fingerprint, not a defence
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
// files of the folder stay unchanged. Without Options.Force, Pull fetches nothing if
// a file to overwrite has other content than every version of the bundle.
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
		if err := checkOverwrites(ctx, c, name, missing, o); err != nil {
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

// missingFile is a file of a version without an equal file in the folder.
type missingFile struct {
	generated.BundleFile
	localMD5 string // of the different file in the folder; "" without a file
}

// missingFiles returns the files of a version without an equal file in the folder.
// missingFiles corrects the times of equal files.
func missingFiles(ctx context.Context, root *os.Root, files []generated.BundleFile, o Options) ([]missingFile, error) {
	localFiles, links := map[string]*fingerprint.File{}, map[string]bool{}
	base, err := filepath.Abs(root.Name())
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		path := filepath.Join(base, filepath.FromSlash(f.Key))
		info, err := root.Lstat(filepath.FromSlash(f.Key))
		if err == nil && info.Mode()&os.ModeSymlink != 0 { // a link of the owner, perhaps to weights on a larger disk
			info, err = os.Stat(path)
			links[f.Key] = true
		}
		if err == nil && info.Mode().IsRegular() {
			local := fingerprint.NewFile(path, info)
			localFiles[f.Key] = &local
		}
	}
	if err := computeFingerprints(ctx, localFiles, o); err != nil {
		return nil, err
	}
	var missing []missingFile
	for _, f := range files {
		local := localFiles[f.Key]
		switch {
		case local == nil:
			missing = append(missing, missingFile{BundleFile: f})
		case local.MD5 != f.Md5:
			missing = append(missing, missingFile{f, local.MD5})
		case local.Modified/1e6 != int64(f.ModifiedAt) && !links[f.Key]:
			if err := root.Chtimes(filepath.FromSlash(f.Key), f.ModifiedAt.Time(), f.ModifiedAt.Time()); err != nil {
				return nil, err
			}
		}
	}
	return missing, nil
}

// versionsAtOnce is the number of versions whose files are queried at once.
const versionsAtOnce = 2

// checkOverwrites returns an error with the names of the files that were changed
// locally. A file with the content of any version counts as unchanged, because the
// server has the content.
func checkOverwrites(ctx context.Context, c *client.Client, name string, missing []missingFile, o Options) error {
	changed := map[string]string{} // MD5 by key
	for _, f := range missing {
		if f.localMD5 != "" && !o.Force {
			changed[f.Key] = f.localMD5
		}
	}
	for after := (*string)(nil); len(changed) > 0; {
		response, err := generated.BundleVersions(ctx, c, name, versionsAtOnce, after)
		if err != nil {
			return err
		}
		if response.Bundle == nil {
			break
		}
		for _, version := range response.Bundle.Versions.Nodes {
			for _, f := range version.Files {
				if changed[f.Key] == f.Md5 {
					delete(changed, f.Key)
				}
			}
		}
		page := response.Bundle.Versions.PageInfo
		if !page.HasNextPage {
			break
		}
		after = page.EndCursor
	}
	if len(changed) == 0 {
		return nil
	}
	return fault.New(fault.Conflict, "nothing was fetched, because these files were changed here and no version has them: %s. Keep copies elsewhere, or overwrite them by --force",
		strings.Join(slices.Sorted(maps.Keys(changed)), ", "))
}

// fetch fetches files.
func (p *PullResult) fetch(ctx context.Context, c *client.Client, root *os.Root, missing []missingFile, o Options) error {
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
			err := fetch(ctx, c, root, f.BundleFile, bar)
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
