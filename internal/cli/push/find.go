package push

import (
	"context"
	"errors"
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
	photographs []*photograph
	skipped     []place // files with other names, and links to folders
	unreadable  []place // folders
	paths       map[string]bool
}

// place is a path with the reason why nothing below the path was sent.
type place struct{ path, reason string }

// find searches for photographs in folders and their subfolders. A path to a
// file counts as a photograph with any name; files in folders count by name.
// Links to files are followed, links to folders are not. An unreadable folder does not
// end the search. find returns an error if all paths are unreadable.
func find(ctx context.Context, paths []string) (*scanResult, error) {
	scan := &scanResult{paths: map[string]bool{}}
	var pathErrors []error
	for _, root := range paths {
		info, err := os.Stat(root)
		if err == nil && !info.IsDir() {
			scan.add(root, info)
			continue
		}
		if err == nil {
			root, err = filepath.EvalSymlinks(root)
		}
		if err == nil {
			err = tryOpen(root)
		}
		if err != nil {
			pathErrors = append(pathErrors, err)
			scan.passBy(root, err)
			continue
		}
		err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			scan.visit(path, entry, err)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(pathErrors) == len(paths) {
		return nil, errors.Join(pathErrors...)
	}
	return scan, nil
}

// tryOpen returns the error of opening a folder.
func tryOpen(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return f.Close()
}

// visit adds an entry of a folder. An error means an unreadable folder.
func (f *scanResult) visit(path string, entry fs.DirEntry, err error) {
	switch {
	case err != nil:
		f.passBy(path, err)
	case entry.IsDir():
	case !trapForm.MatchString(entry.Name()):
		f.skip(path, entry)
	default:
		info, err := os.Stat(path)
		switch {
		case err != nil:
			f.refuse(path, err.Error())
		case info.Mode().IsRegular():
			f.add(path, info)
		default:
			f.skipped = append(f.skipped, place{path, "not a file"})
		}
	}
}

func (f *scanResult) skip(path string, entry fs.DirEntry) {
	reason := "not the name of a photograph"
	if entry.Type()&fs.ModeSymlink != 0 {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			reason = "links to folders are not followed: name the folder"
		}
	}
	f.skipped = append(f.skipped, place{path, reason})
}

// passBy adds an unreadable folder.
func (f *scanResult) passBy(path string, err error) {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok { // the path is told already
		err = pathErr.Err
	}
	f.unreadable = append(f.unreadable, place{path, err.Error()})
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
