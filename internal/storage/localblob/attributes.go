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

// attributes are what a blob has besides its bytes, as far as it differs from
// the defaults. A photograph has none.
//
// They are kept as JSON in one extended attribute of the blob's own file, set
// before that file gets its name. So they come and go with the bytes in one
// step, and a reader who has the file open sees the two of one write.
//
// A copy of the folder that leaves out extended attributes (cp without -a,
// rsync without -X) loses them, and the defaults hold again.
type attributes struct {
	ContentType        string            `json:"contentType,omitempty"`
	CacheControl       string            `json:"cacheControl,omitempty"`
	ContentDisposition string            `json:"contentDisposition,omitempty"`
	ContentEncoding    string            `json:"contentEncoding,omitempty"`
	ContentLanguage    string            `json:"contentLanguage,omitempty"`
	Metadata           map[string]string `json:"metadata,omitempty"`
}

// defaultContentType goes by the end of the key. It is a short list of our own
// because that of package mime differs from machine to machine.
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

// save keeps a with f. Where the file system cannot, that is an error, for to
// lose them in silence would be worse.
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

// loadAttributes is what was saved with f, with the defaults for key filled in.
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

// openBlob opens the blob of key. The caller closes it.
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

// Attributes implements driver.Bucket. There is no MD5: it would cost a read
// of the whole file, and what Tagma knows of a file is in the database.
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
