package localblob

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"

	"gocloud.dev/blob/driver"
)

// attributes are the properties of a blob that differ from the defaults. A
// photograph has none.
//
// attributes are stored as JSON in one extended attribute of the blob's file. The
// extended attribute is set before the file gets its name, so attributes and bytes
// change in one step, and an open file shows the attributes of its own write.
//
// A copy of the folder without extended attributes (cp without -a, rsync without
// -X) loses the attributes. The defaults apply again.
type attributes struct {
	ContentType        string            `json:"contentType,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// defaultContentType returns the content type for the extension of a key. The list
// is fixed, because the list of package mime differs between machines.
func defaultContentType(key string) string {
	switch path.Ext(key) {
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	case ".json":
		return "application/json"
	case ".zip":
		return "application/zip"
	}
	return "application/octet-stream"
}

func attributesOf(key, contentType string, opts *driver.WriterOptions) attributes {
	if contentType == defaultContentType(key) {
		contentType = ""
	}
	return attributes{
		ContentType:        contentType,
		CacheControl:       opts.CacheControl,
		ContentDisposition: opts.ContentDisposition,
		ContentEncoding:    opts.ContentEncoding,
		ContentLanguage:    opts.ContentLanguage,
		Metadata:           opts.Metadata,
	}
}

// save stores a with f. It returns an error if the file system has no extended
// attributes: silent loss would be worse.
func (a attributes) save(f *os.File) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if string(text) == "{}" {
		return nil
	}
	if err := setAttribute(f, text); err != nil {
		return fmt.Errorf("keep %d bytes of attributes: %w", len(text), err)
	}
	return nil
}

// loadAttributes returns the attributes saved with f, and the default content type
// of key if none was saved.
func loadAttributes(f *os.File, key string) (attributes, error) {
	var a attributes
	text, err := getAttribute(f)
	if err != nil {
		return a, fmt.Errorf("read the attributes: %w", err)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a); err != nil {
			return a, fmt.Errorf("read the attributes: %w", err)
		}
	}
	if a.ContentType == "" {
		a.ContentType = defaultContentType(key)
	}
	return a, nil
}

// openBlob opens the blob of key, and returns its file, info and attributes. The
// caller closes the file.
func (b *bucket) openBlob(key string) (*os.File, fs.FileInfo, attributes, error) {
	f, err := b.root.Open(fileName(key))
	if err != nil {
		return nil, nil, attributes{}, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	var a attributes
	if err == nil {
		a, err = loadAttributes(f, key)
	}
	if err != nil {
		f.Close()
		return nil, nil, attributes{}, err
	}
	return f, info, a, nil
}

// Attributes implements driver.Bucket. It returns no MD5, which would cost a read
// of the whole file; the database holds the MD5 of each file.
func (b *bucket) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	f, info, a, err := b.openBlob(key)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return &driver.Attributes{
		CacheControl:       a.CacheControl,
		ContentDisposition: a.ContentDisposition,
		ContentEncoding:    a.ContentEncoding,
		ContentLanguage:    a.ContentLanguage,
		ContentType:        a.ContentType,
		Metadata:           a.Metadata,
		ModTime:            info.ModTime(),
		Size:               info.Size(),
		ETag:               fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()),
	}, nil
}
