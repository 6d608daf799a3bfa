package localblob

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"gocloud.dev/blob/driver"
)

// writer writes a temporary file. Close turns the file into a blob.
type writer struct {
	bucket    *bucket
	ctx       context.Context // driver.Bucket lets its end cancel the write
	file      *os.File
	temporary string
	target    string
	onlyNew   bool
	failed    error // the first error of Write
}

// NewTypedWriter implements driver.Bucket.
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	if key == "" {
		return nil, errNoKey
	}
	target := fileName(key)
	file, temporary, err := b.createTemporary(target)
	if err != nil {
		return nil, b.wrapWrite(err)
	}
	err = attributesOf(key, contentType, opts).save(file)
	if err == nil {
		err = call(opts.BeforeWrite)
	}
	if err != nil {
		file.Close()
		b.discard(temporary)
		return nil, b.wrapWrite(err)
	}
	return &writer{bucket: b, ctx: ctx, file: file, temporary: temporary, target: target, onlyNew: opts.IfNotExist}, nil
}

// Write implements driver.Writer.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	err = w.wrapFile(err)
	w.failed = cmp.Or(w.failed, err)
	return n, err
}

// wrapFile returns an error of the temporary file as a WriteError, and an error of
// the source as it is.
func (w *writer) wrapFile(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok && failed.Path == w.file.Name() {
		return w.bucket.wrapWrite(err)
	}
	return err
}

// Upload implements driver.Uploader. Without Upload, gocloud.dev/blob would close the
// writer after an error of the source, and publish an incomplete blob.
func (w *writer) Upload(r io.Reader) error {
	_, err := io.Copy(w.file, r)
	err = w.wrapFile(err)
	w.failed = cmp.Or(w.failed, err)
	return err
}

// Close implements driver.Writer. After an error the old blob is unchanged and no
// file is left, with one exception: if the last flush of the folder fails, the new
// blob can be read but may be lost when the power fails.
func (w *writer) Close() error {
	// gocloud.dev/blob calls Close after a failed Write too. The file is then
	// incomplete.
	err := cmp.Or(w.failed, w.ctx.Err())
	if err == nil {
		// Flush once: after a failed fsync, Linux reports success for the next
		// fsync although the bytes are lost.
		err = w.bucket.flush(w.file)
	}
	err = cmp.Or(err, w.file.Close())
	if err == nil {
		err = w.bucket.checkMoved()
	}
	if err != nil {
		w.bucket.discard(w.temporary)
		return w.bucket.wrapWrite(err)
	}
	err = w.publish()
	if err == nil || errors.Is(err, errExists) {
		// The folder may have been moved in the meantime. An acknowledged blob
		// must be at the bucket's path after its flush.
		err = cmp.Or(w.bucket.checkMoved(), err)
	}
	return w.bucket.wrapWrite(err)
}

// publish gives the complete file its name.
func (w *writer) publish() error {
	root := w.bucket.root
	if !w.onlyNew {
		if err := root.Rename(w.temporary, w.target); err != nil {
			w.bucket.discard(w.temporary)
			return err
		}
		return w.bucket.flushFolder(path.Dir(w.target))
	}
	// Unlike a rename, a link fails if the name exists, also if another process
	// created the name.
	err := root.Link(w.temporary, w.target)
	w.bucket.discard(w.temporary)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Flush the folder for an existing name too: a caller relies on errExists, and
	// the other writer may not have flushed the folder yet.
	if flushErr := w.bucket.flushFolder(path.Dir(w.target)); flushErr != nil {
		return flushErr
	}
	if err != nil {
		return errExists
	}
	return nil
}

// discard removes a temporary file. If this fails, Sweep removes the file later.
func (b *bucket) discard(temporary string) { _ = b.root.Remove(temporary) }

// createTemporary creates an empty temporary file in the folder of target, and
// returns the open file and its name. It creates the folder if needed.
func (b *bucket) createTemporary(target string) (*os.File, string, error) {
	folder := path.Dir(target)
	temporary := path.Join(folder, temporaryPrefix+rand.Text())
	for again := false; ; again = true {
		if err := b.makeFolder(folder); err != nil {
			return nil, "", err
		}
		file, err := b.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrNotExist) && !again {
			b.durable.Clear() // a known folder was removed
			continue
		}
		return file, temporary, err
	}
}

// makeFolder creates folder and its parents if needed. When it returns, all their
// names are on the disk, also if another process created a folder: a flushed file is
// lost if the name of its folder is lost.
func (b *bucket) makeFolder(folder string) error {
	if folder == "." {
		return nil
	}
	if _, ok := b.durable.Load(folder); ok {
		return nil
	}
	above := path.Dir(folder)
	if err := b.makeFolder(above); err != nil {
		return err
	}
	if err := b.root.Mkdir(folder, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := b.flushFolder(above); err != nil {
		return err
	}
	b.durable.Store(folder, true)
	return nil
}

// flushFolder flushes the names in folder, or adds folder to the set that OpenCopies
// flushes later.
func (b *bucket) flushFolder(folder string) error {
	if b.unflushed != nil {
		b.unflushed.add(folder)
		return nil
	}
	return b.syncFolder(folder)
}

func (b *bucket) syncFolder(folder string) error {
	f, err := b.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.flush(f)
}

// Copy implements driver.Bucket.
func (b *bucket) Copy(ctx context.Context, to, from string, opts *driver.CopyOptions) error {
	source, _, a, err := b.openBlob(from)
	if err != nil {
		return err
	}
	defer source.Close()
	w, err := b.NewTypedWriter(ctx, to, a.ContentType, &driver.WriterOptions{
		CacheControl:       a.CacheControl,
		ContentDisposition: a.ContentDisposition,
		ContentEncoding:    a.ContentEncoding,
		ContentLanguage:    a.ContentLanguage,
		Metadata:           a.Metadata,
		BeforeWrite:        opts.BeforeCopy,
	})
	if err != nil {
		return err
	}
	cw := w.(*writer)
	_, err = io.Copy(cw.file, source)
	cw.failed = cw.wrapFile(err)
	return cw.Close()
}
