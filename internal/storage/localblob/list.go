package localblob

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"tagma/internal/storage/bucket"
)

// listing is one call of List.
type listing struct {
	ctx    context.Context
	bucket *Bucket
	prefix string
	yield  func(bucket.Info, error) bool
}

var errStopped = errors.New("the caller of List wants no more files")

// List implements bucket.Bucket. The files are sorted by key. List holds the names in
// the folders on the way to the current file in memory, and nothing else.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[bucket.Info, error] {
	return func(yield func(bucket.Info, error) bool) {
		l := &listing{ctx, b, prefix, yield}
		err := b.checkMoved()
		if err == nil {
			err = l.walk(".", "")
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(bucket.Info{}, err)
		}
	}
}

// entry is a file or folder. For a file, key is the file's key; for a folder, key is
// the prefix of all keys in the folder.
type entry struct {
	path, key string
	folder    bool
}

// walk visits a folder in the order of the keys.
func (l *listing) walk(folder, key string) error {
	entries, err := l.entries(folder, key)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.folder {
			err = l.walk(e.path, e.key)
		} else {
			err = l.visit(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries returns the entries of a folder that have the prefix or may contain a file
// with the prefix, sorted by key.
func (l *listing) entries(folder, key string) ([]entry, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	f, err := l.bucket.root.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // removed since its name was read
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dirEntries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for _, d := range dirEntries {
		part, cut, ok := keyPart(d.Name())
		if !ok || !d.IsDir() && !d.Type().IsRegular() {
			continue
		}
		e := entry{path: path.Join(folder, d.Name()), key: key + part, folder: d.IsDir()}
		if e.folder && !cut {
			e.key += "/"
		}
		if strings.HasPrefix(e.key, l.prefix) || e.folder && strings.HasPrefix(l.prefix, e.key) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries, nil
}

// visit yields a file, unless no write of this package made the file.
func (l *listing) visit(e entry) error {
	if fileName(e.key) != e.path || bucket.CheckKey(e.key) != nil {
		return nil // a file that someone else put there
	}
	info, err := l.bucket.root.Lstat(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !l.yield(infoOf(e.key, info), nil) {
		return errStopped
	}
	return nil
}
