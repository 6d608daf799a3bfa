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

// writer writes a temporary file, and makes it a blob when it is closed.
type writer struct {
	bucket    *bucket
	ctx       context.Context // which may end a write, says driver.Bucket
	file      *os.File
	temporary string
	target    string
	onlyNew   bool
	failed    error // the first of Write
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

// wrote makes a WriteError of an error of the file, and leaves an error of the
// source as it is.
func (w *writer) wrapFile(err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok && failed.Path == w.file.Name() {
		return w.bucket.wrapWrite(err)
	}
	return err
}

// Upload implements driver.Uploader. Without it the portable layer would close
// the writer after its source has failed, and make a part of a blob a blob.
func (w *writer) Upload(r io.Reader) error {
	_, err := io.Copy(w.file, r)
	err = w.wrapFile(err)
	w.failed = cmp.Or(w.failed, err)
	return err
}

// Close implements driver.Writer. After an error the blob is as it was, and
// nothing is left behind, but in one case: if the last flush of the folder
// fails, the new blob can be read but may not outlive a loss of power.
func (w *writer) Close() error {
	// The portable layer closes after a failed Write too: what is then in the
	// file is a part of the blob.
	err := cmp.Or(w.failed, w.ctx.Err())
	if err == nil {
		// Once only: after a failed fsync, Linux says that the next one went
		// well although the bytes are gone.
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
		// The folder may have been moved away meanwhile. What is acknowledged is
		// at the bucket's path after it was flushed.
		err = cmp.Or(w.bucket.checkMoved(), err)
	}
	return w.bucket.wrapWrite(err)
}

// publish gives the finished file its name.
func (w *writer) publish() error {
	root := w.bucket.root
	if !w.onlyNew {
		if err := root.Rename(w.temporary, w.target); err != nil {
			w.bucket.discard(w.temporary)
			return err
		}
		return w.bucket.flushFolder(path.Dir(w.target))
	}
	// Unlike a rename, a link fails if the name is taken, in whichever process
	// the other writer is.
	err := root.Link(w.temporary, w.target)
	w.bucket.discard(w.temporary)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// It is flushed for a name that is taken too, because a caller takes "it
	// exists" as a promise, and the other writer may not have come that far.
	if flushErr := w.bucket.flushFolder(path.Dir(w.target)); flushErr != nil {
		return flushErr
	}
	if err != nil {
		return errExists
	}
	return nil
}

// discard removes a temporary file. One that cannot be removed is left to Sweep.
func (b *bucket) discard(temporary string) { _ = b.root.Remove(temporary) }

// createBeside makes an empty temporary file in target's folder, and that
// folder too if it is missing.
func (b *bucket) createTemporary(target string) (*os.File, string, error) {
	folder := path.Dir(target)
	temporary := path.Join(folder, temporaryPrefix+rand.Text())
	for again := false; ; again = true {
		if err := b.makeFolder(folder); err != nil {
			return nil, "", err
		}
		file, err := b.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if errors.Is(err, fs.ErrNotExist) && !again {
			b.durable.Clear() // someone removed a folder that we knew
			continue
		}
		return file, temporary, err
	}
}

// makeFolder makes folder, and those above it, where they are missing. When it
// returns, their names are on the disk, whoever made them: a file that was
// flushed is lost all the same if the name of its folder was not.
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

// flushFolder puts the names in folder on the disk, or notes folder for the
// flush of OpenCopies.
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
