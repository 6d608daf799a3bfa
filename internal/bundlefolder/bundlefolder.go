// Package bundlefolder owns a bundle as a folder on somebody's machine: which
// files of it are the bundle's, how they get to a server as its next version,
// and how a version comes down into a folder.
//
// It does not own what a bundle is, nor which keys it may have: that is the
// server's to say. What a server says is not trusted as a path all the same.
package bundlefolder

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"tagma/internal/fingerprint"
	"tagma/internal/progress"
)

// Options of Push and Pull.
type Options struct {
	All      bool // of Push: files of any kind
	Parallel int  // transfers at once
	Cache    string
	Output   *progress.Output
}

// kinds is how the names end of the files that training and inference need.
var kinds = []string{".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db"}

// wanted says whether a file belongs to a bundle, by its key.
func (o Options) includes(key string) bool {
	if slices.Contains(strings.Split(key, "/"), ".cache") || strings.HasSuffix(key, ".cache") {
		return false
	}
	return o.All || slices.ContainsFunc(kinds, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(key), suffix) })
}

// findFiles finds the files of a bundle in a folder, by key, and how many others
// there are.
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
		f := fingerprint.Of(path, info)
		files[key] = &f
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return files, otherCount, computeFingerprints(ctx, files, o)
}

// computeFingerprints takes the fingerprints of files.
func computeFingerprints(ctx context.Context, files map[string]*fingerprint.File, o Options) error {
	var list []*fingerprint.File
	for _, f := range files {
		list = append(list, f)
	}
	if err := fingerprint.Take(ctx, list, fingerprint.Options{Cache: o.Cache, Output: o.Output}); err != nil {
		return err
	}
	for _, f := range list {
		if f.Err != nil {
			return f.Err
		}
	}
	return nil
}
