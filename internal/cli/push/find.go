package push

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"tagma/internal/cli/fingerprint"
	"tagma/internal/photo"
)

// trapForm is the form of a trap's file name, without a check of the date.
var trapForm = regexp.MustCompile(`(?i)^[0-9a-f]{8}\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.jpe?g$`)

// scanResult holds the files found in folders.
type scanResult struct {
	photographs  []*photograph
	skippedFiles int // files with other names
	paths        map[string]bool
}

// find searches for photographs in folders and their subfolders. A path to a
// file counts as a photograph with any name; files in folders count by name.
// Links to files are followed, links to folders are not.
func find(ctx context.Context, paths []string) (*scanResult, error) {
	scan := &scanResult{paths: map[string]bool{}}
	for _, root := range paths {
		info, err := os.Stat(root)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			scan.add(root, info)
			continue
		}
		root, err = filepath.EvalSymlinks(root)
		if err != nil {
			return nil, err
		}
		err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case entry.IsDir():
			case !trapForm.MatchString(entry.Name()):
				scan.skippedFiles++
			default:
				info, err := os.Stat(path)
				if err != nil {
					scan.refuse(path, err.Error())
				} else if info.Mode().IsRegular() {
					scan.add(path, info)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return scan, nil
}

// add adds a file, unless the file was added before.
func (f *scanResult) add(path string, info fs.FileInfo) {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	if f.paths[path] {
		return
	}
	f.paths[path] = true
	name, err := photo.ParseName(filepath.Base(path))
	if err != nil {
		f.refuse(path, err.Error())
		return
	}
	f.photographs = append(f.photographs, &photograph{File: fingerprint.NewFile(path, info), name: name})
}

func (f *scanResult) refuse(path, reason string) {
	f.photographs = append(f.photographs, &photograph{File: fingerprint.File{Path: path}, verdict: Rejected, reason: reason})
}

// photographCount returns a number of photographs, in words.
func photographCount(n int) string {
	if n == 1 {
		return "1 photograph"
	}
	return fmt.Sprintf("%d photographs", n)
}
