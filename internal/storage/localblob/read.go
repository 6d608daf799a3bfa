package localblob

import (
	"context"
	"io"
	"os"

	"gocloud.dev/blob/driver"
)

// reader reads a range of a blob. If the blob is replaced or deleted, reader goes on
// with the bytes of the open file.
type reader struct {
	io.Reader
	file       *os.File
	attributes driver.ReaderAttributes
}

// NewRangeReader implements driver.Bucket.
func (b *bucket) NewRangeReader(_ context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	f, info, a, err := b.openBlob(key)
	if err != nil {
		return nil, err
	}
	if err := call(opts.BeforeRead); err != nil {
		f.Close()
		return nil, err
	}
	if length < 0 {
		length = max(0, info.Size()-offset)
	}
	return &reader{
		Reader: io.NewSectionReader(f, offset, length),
		file:   f,
		attributes: driver.ReaderAttributes{
			ContentType: a.ContentType,
			ModTime:     info.ModTime(),
			Size:        info.Size(),
		},
	}, nil
}

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }

func (r *reader) As(any) bool { return false }

func (r *reader) Close() error { return r.file.Close() }
