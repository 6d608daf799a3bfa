package localblob

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gocloud.dev/blob/driver"
)

// defaultPageSize is large because each page reads the whole folder that the page
// begins in.
const defaultPageSize = 10_000

// listing makes one page.
//
// An item of a page is a key, or a prefix of keys up to the delimiter. Items are
// sorted, so the last item is the only state between two pages.
type listing struct {
	ctx       context.Context
	bucket    *bucket
	prefix    string
	delimiter string
	size      int
	last      string // the last item, of this page or of the page before
	page      driver.ListPage
}

var errPageFull = errors.New("the page is full")

// ListPaged implements driver.Bucket. A blob created or deleted during the call may
// be listed or not.
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	if err := call(opts.BeforeList); err != nil {
		return nil, err
	}
	if err := b.checkMoved(); err != nil {
		return nil, err
	}
	l := &listing{
		ctx:       ctx,
		bucket:    b,
		prefix:    opts.Prefix,
		delimiter: opts.Delimiter,
		size:      cmp.Or(opts.PageSize, defaultPageSize),
		last:      string(opts.PageToken),
	}
	err := l.walk(".", "")
	if errors.Is(err, errPageFull) {
		l.page.NextPageToken = []byte(l.last)
		err = nil
	}
	return &l.page, err
}

// entry is a file or folder. For a file, key is the blob's key; for a folder, key is
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
		switch {
		case !l.mayContain(e): // asked again, as l.last went on
		case e.folder:
			err = l.walk(e.path, e.key)
		default:
			err = l.add(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// entries returns the entries of a folder that may be on this page, sorted by key.
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
		if l.mayContain(e) {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.key, b.key) })
	return entries, nil
}

// mayContain reports whether an entry is, or may contain, an item of this page.
func (l *listing) mayContain(e entry) bool {
	if !strings.HasPrefix(e.key, l.prefix) {
		return e.folder && strings.HasPrefix(l.prefix, e.key)
	}
	item, collapsed := l.item(e.key)
	return item > l.last || e.folder && !collapsed && strings.HasPrefix(l.last, e.key)
}

// item returns the item for key. Collapsed reports whether the item is a prefix.
func (l *listing) item(key string) (item string, collapsed bool) {
	if l.delimiter == "" {
		return key, false
	}
	i := strings.Index(key[len(l.prefix):], l.delimiter)
	if i < 0 {
		return key, false
	}
	return key[:len(l.prefix)+i+len(l.delimiter)], true
}

// add appends a file to the page, unless the file is no blob.
func (l *listing) add(e entry) error {
	if fileName(e.key) != e.path {
		return nil // a file that someone else put there
	}
	info, err := l.bucket.root.Lstat(e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(l.page.Objects) == l.size {
		return errPageFull
	}
	item, collapsed := l.item(e.key)
	object := &driver.ListObject{Key: item, IsDir: collapsed}
	if !collapsed {
		object.ModTime, object.Size = info.ModTime(), info.Size()
	}
	l.page.Objects = append(l.page.Objects, object)
	l.last = item
	return nil
}
