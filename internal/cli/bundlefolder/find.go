package bundlefolder

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"tagma/internal/base/fault"
	"tagma/internal/cli/fingerprint"
)

// folderContent is the content of a folder.
type folderContent struct {
	files   map[string]*fingerprint.File // of the bundle, by key
	skipped map[string]string            // reason by key, of the other files
}

// search is one walk of a folder.
type search struct {
	Options
	content folderContent
}

// findFiles returns the content of a folder. findFiles follows links, because weights
// often lie on a larger disk, and a version without weights is published for good. A
// link to nothing is an error. findFiles skips a link back to a parent folder.
func findFiles(ctx context.Context, folder string, o Options) (*folderContent, error) {
	root, err := filepath.Abs(folder)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	s := &search{Options: o, content: folderContent{map[string]*fingerprint.File{}, map[string]string{}}}
	if err := s.walk(ctx, root, "", nil); err != nil {
		return nil, err
	}
	for _, pattern := range o.Include {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(s.content.files)), func(key string) bool { return matches(pattern, key) }) {
			return nil, fault.New(fault.BadInput, "no file matches --include %q: is it misspelt?", pattern)
		}
	}
	return &s.content, nil
}

// walk adds the content of a folder. Parents are the folders above, without links.
func (s *search) walk(ctx context.Context, folder, key string, parents []string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	parents = append(slices.Clip(parents), folder)
	for _, entry := range entries {
		filePath, fileKey := filepath.Join(folder, entry.Name()), path.Join(key, entry.Name())
		info, err := os.Stat(filePath)
		switch {
		case isCache(fileKey):
			s.content.skipped[fileKey] = "a cache"
		case err != nil && entry.Type()&os.ModeSymlink != 0:
			return fmt.Errorf("%s is a link to nothing: mend it or remove it (%w)", fileKey, err)
		case err != nil:
			return err
		case info.IsDir():
			real, err := filepath.EvalSymlinks(filePath)
			if err != nil {
				return err
			}
			if slices.Contains(parents, real) {
				s.content.skipped[fileKey] = "a link back to a folder that holds it"
				continue
			}
			if err := s.walk(ctx, real, fileKey, parents); err != nil {
				return err
			}
		case !info.Mode().IsRegular():
			s.content.skipped[fileKey] = "not a file"
		case !s.includes(fileKey):
			s.content.skipped[fileKey] = "of another kind"
		default:
			f := fingerprint.NewFile(filePath, info)
			s.content.files[fileKey] = &f
		}
	}
	return nil
}

// skippedList returns the skipped files, ordered by key. A folder without a file of the
// bundle is one item, such as ".git/ (1234 files)".
func (c *folderContent) skippedList() []string {
	taken := map[string]bool{} // folders with files of the bundle
	for key := range c.files {
		for folder := path.Dir(key); !taken[folder]; folder = path.Dir(folder) {
			taken[folder] = true
		}
	}
	taken["."] = true
	var list []string
	filesOf := map[string]int{}
	for _, key := range slices.Sorted(maps.Keys(c.skipped)) {
		folder := highestWithout(taken, path.Dir(key))
		if folder == "" {
			list = append(list, key+" ("+c.skipped[key]+")")
		} else {
			filesOf[folder]++
		}
	}
	for folder, files := range filesOf {
		noun := "files"
		if files == 1 {
			noun = "file"
		}
		list = append(list, fmt.Sprintf("%s/ (%d %s)", folder, files, noun))
	}
	slices.Sort(list)
	return list
}

// highestWithout returns the highest parent of folder, or folder itself, outside of
// taken; "" if taken has folder.
func highestWithout(taken map[string]bool, folder string) string {
	highest := ""
	for ; !taken[folder]; folder = path.Dir(folder) {
		highest = folder
	}
	return highest
}

// doubt returns a reason to suspect a wrong folder or missing weights, or "".
func (c *folderContent) doubt() string {
	has := func(keys []string, folder string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, folder) })
	}
	files, skipped := slices.Collect(maps.Keys(c.files)), slices.Collect(maps.Keys(c.skipped))
	switch {
	case !has(files, "data/") && !has(files, "config/") && !has(files, "output/"):
		return "no file is in data/, config/ or output/, so neither training nor inference finds anything"
	case has(skipped, "output/") && !has(files, "output/"):
		return "no file of output/ is taken, so the version has no weights: --include takes them"
	}
	return ""
}
