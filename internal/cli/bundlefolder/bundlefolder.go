// Package bundlefolder owns a bundle as a local folder: selecting the files of the
// bundle, pushing the files to a server as the next version, and pulling a version
// into a folder.
//
// Package bundlefolder does not own the rules of bundles and keys: the server
// does. But no path from a server is trusted.
package bundlefolder

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"tagma/internal/cli/fingerprint"
	"tagma/internal/cli/progress"
)

// Options of Push and Pull.
type Options struct {
	All      bool     // of Push: include files of any kind
	Include  []string // of Push: patterns of further files, by name or key, as path.Match reads them
	Force    bool     // of Pull: overwrite files that were changed locally
	Parallel int      // concurrent transfers
	Cache    string
	Output   *progress.Output

	// Confirm asks whether Push shall publish a folder in spite of a doubt. An error
	// ends Push.
	Confirm func(doubt string) error
}

// kinds lists the name endings of the files that training and inference need.
var kinds = []string{".yaml", ".yml", "model_final.pth", ".svg", ".jpeg", ".jpg", ".txt", ".db"}

// CheckInclude returns an error for an invalid pattern.
func (o Options) CheckInclude() error {
	for _, pattern := range o.Include {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("--include %q is no pattern: write a name such as weights.pt, or *.pt", pattern)
		}
	}
	return nil
}

// includes reports whether the file of the given key belongs to a bundle.
func (o Options) includes(key string) bool {
	if isCache(key) {
		return false
	}
	return o.All || slices.ContainsFunc(kinds, func(suffix string) bool { return strings.HasSuffix(strings.ToLower(key), suffix) }) ||
		slices.ContainsFunc(o.Include, func(pattern string) bool { return matches(pattern, key) })
}

// matches reports whether a pattern of Options.Include matches the name or the key of a
// file.
func matches(pattern, key string) bool {
	byName, _ := path.Match(pattern, path.Base(key))
	byKey, _ := path.Match(pattern, key)
	return byName || byKey
}

// isCache reports whether a file or folder is a cache. No bundle includes caches.
func isCache(key string) bool {
	return slices.Contains(strings.Split(key, "/"), ".cache") || strings.HasSuffix(key, ".cache")
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
