// Package bundlefolder owns a bundle as a local folder: selecting the files of the
// bundle, pushing the files to a server as the next version, and pulling a version
// into a folder.
//
// Package bundlefolder does not own the rules of bundles and keys: the server
// does. But no path from a server is trusted.
package bundlefolder

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"tagma/internal/cli/fingerprint"
	"tagma/internal/cli/progress"
)

// Options of Push and Pull.
type Options struct {
	All      bool // of Push: include files of any kind
	Parallel int  // concurrent transfers
	Cache    string
	Output   *progress.Output
}

// kinds lists the name endings of the files that training and inference need.
var kinds = []string{".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db"}

// includes reports whether the file of the given key belongs to a bundle.
func (o Options) includes(key string) bool {
	if slices.Contains(strings.Split(key, "/"), ".cache") || strings.HasSuffix(key, ".cache") {
		return false
	}
	return o.All || slices.ContainsFunc(kinds, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(key), suffix) })
}

// findFiles returns the files of a bundle in a folder, by key, and the number
// of other files.
func findFiles(ctx context.Context, folder string, o Options) (files map[string]*fingerprint.File, otherCount int, err error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, 0, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, 0, err
	}
	files = map[string]*fingerprint.File{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || !o.includes(key) {
			otherCount++
			return nil
		}
		f := fingerprint.NewFile(path, info)
		files[key] = &f
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return files, otherCount, computeFingerprints(ctx, files, o)
}

// computeFingerprints computes the fingerprints of files.
func computeFingerprints(ctx context.Context, files map[string]*fingerprint.File, o Options) error {
	var list []*fingerprint.File
	for _, f := range files {
		list = append(list, f)
	}
	if err := fingerprint.Compute(ctx, list, fingerprint.Options{Cache: o.Cache, Output: o.Output}); err != nil {
		return err
	}
	for _, f := range list {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}
