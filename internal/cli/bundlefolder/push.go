package bundlefolder

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/cli/client"
	"tagma/internal/cli/client/generated"
	"tagma/internal/cli/client/upload"
	"tagma/internal/cli/fingerprint"
)

// PushResult is the result of Push.
type PushResult struct {
	Version string // such as insects@3
	New     bool   // false if the files equal the last version
	Files   int    // of the version
	Sent    int
	Bytes   int64 // of the sent files
}

// Push makes the folder the next version of a bundle. Files that the server has
// already, in any version of any bundle, are not sent. Push first writes the names of the
// files outside the bundle.
func Push(ctx context.Context, c *client.Client, name, folder string, o Options) (*PushResult, error) {
	if _, err := c.Limits(ctx); err != nil {
		return nil, err
	}
	content, err := findFiles(ctx, folder, o)
	if err != nil {
		return nil, err
	}
	files := content.files
	if len(files) == 0 {
		return nil, fault.New(fault.BadInput, "%s holds no file of a bundle: see --include and --all", folder)
	}
	for _, skipped := range content.skippedList() { // before the version is published for good
		o.Output.Printf("passed over: %s", skipped)
	}
	if doubt := content.doubt(); doubt != "" {
		if err := o.Confirm(doubt); err != nil {
			return nil, err
		}
	}
	if err := computeFingerprints(ctx, files, o); err != nil {
		return nil, err
	}
	manifest := make([]generated.BundleFileInput, 0, len(files))
	for _, key := range slices.Sorted(maps.Keys(files)) {
		f := files[key]
		manifest = append(manifest, generated.BundleFileInput{
			Key: key, Md5: f.MD5, Size: f.Size, ModifiedAt: instant.Instant(f.Modified / 1e6),
		})
	}
	pushed := &PushResult{Files: len(files)}
	// Each attempt asks again for the wanted files, so that nothing is sent
	// twice and expired targets are replaced.
	id, err := client.Retry(ctx, c, func() (string, error) {
		response, err := generated.RequestBundleUpload(ctx, c, name, manifest)
		if err != nil {
			return "", err
		}
		return response.RequestBundleUpload.UploadId, pushed.send(ctx, c, files, response.RequestBundleUpload.Wanted, o)
	})
	if err != nil {
		return nil, err
	}
	response, err := client.Retry(ctx, c, func() (*generated.PublishBundleResponse, error) {
		return generated.PublishBundle(ctx, c, id)
	})
	if err != nil {
		return nil, err
	}
	pushed.Version = response.PublishBundle.Version.Name
	pushed.New = response.PublishBundle.Verdict == generated.PublishVerdictCreated
	return pushed, nil
}

// send sends each wanted file to its target.
func (p *PushResult) send(ctx context.Context, c *client.Client, files map[string]*fingerprint.File, targets []generated.BundleTarget, o Options) error {
	if len(targets) == 0 {
		return nil
	}
	var total int64
	for _, target := range targets {
		if files[target.Key] == nil {
			return fault.New(fault.Internal, "the server wants %q, which it was not offered", target.Key)
		}
		total += files[target.Key].Size
	}
	bar := o.Output.Start(fmt.Sprintf("sending %d of %d files", len(targets), len(files)), total)
	defer bar.Done()
	var sent, bytes atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, o.Parallel))
	for _, target := range targets {
		group.Go(func() error {
			f := files[target.Key]
			file := upload.File{Name: target.Key, Size: f.Size, Open: func() (io.ReadCloser, error) {
				source, err := os.Open(f.Path)
				return bar.ReadCloser(source), err
			}}
			if err := c.Put(ctx, target, file); err != nil {
				return err
			}
			sent.Add(1)
			bytes.Add(f.Size)
			return nil
		})
	}
	err := group.Wait()
	p.Sent += int(sent.Load())
	p.Bytes += bytes.Load()
	return err
}
