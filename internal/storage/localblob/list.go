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

// defaultPageSize is large because every page reads the names of the folder
// that it begins in.
const defaultPageSize = 10_000

// listing is the making of one page.
//
// An item is what a page holds: a key, or the beginning of keys up to a
// delimiter. Items come in the order of the keys, so "what comes after the
// last item" is all that one page needs to know of the page before.
type listing struct {
	ctx       context.Context
	bucket    *bucket
	prefix    string
	delimiter string
	size      int
	last      string // the last item there was, on this page or the one before
	page      driver.ListPage
}

var errPageFull = errors.New("the page is full")

// ListPaged implements driver.Bucket. A blob that comes or goes meanwhile may
// be in the list or not.
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

// entry is a file or folder: its path, and its key, or what all keys in it
// begin with.
type entry struct {
	path, key string
	folder    bool
}

// walk goes through a folder in the order of the keys.
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

// entries is what is wanted of a folder, in order.
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

// wanted says whether an entry is, or may hold, something for this page.
func (l *listing) mayContain(e entry) bool {
	if !strings.HasPrefix(e.key, l.prefix) {
		return e.folder && strings.HasPrefix(l.prefix, e.key)
	}
	item, collapsed := l.item(e.key)
	return item > l.last || e.folder && !collapsed && strings.HasPrefix(l.last, e.key)
}

// item is the item that stands for key, and whether it stands for others too.
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

// add puts a file on the page, if it is a blob.
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
