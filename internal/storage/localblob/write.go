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

	"tagma/internal/storage/bucket"
)

// Create implements bucket.Bucket.
func (b *Bucket) Create(ctx context.Context, key string, r io.Reader) error {
	return b.write(ctx, key, r, b.link)
}

// Write implements bucket.Bucket.
func (b *Bucket) Write(ctx context.Context, key string, r io.Reader) error {
	return b.write(ctx, key, r, b.rename)
}

// Copy implements bucket.Bucket.
func (b *Bucket) Copy(ctx context.Context, to, from string) error {
	source, err := b.Open(ctx, from)
	if err != nil {
		return err
	}
	defer source.Close()
	return b.Write(ctx, to, source)
}

// write writes r to a temporary file, and has publish give the complete file its name.
// After an error the old file is unchanged and no temporary file is left, with one
// exception: if the last flush of the folder fails, the new file can be read but may
// be lost when the power fails.
func (b *Bucket) write(ctx context.Context, key string, r io.Reader, publish func(temporary, target string) error) error {
	if err := bucket.CheckKey(key); err != nil {
		return err
	}
	target := fileName(key)
	file, temporary, err := b.createTemporary(target)
	if err != nil {
		return b.wrapWrite(err)
	}
	err = b.fill(ctx, file, r)
	if err == nil {
		// Flush once: after a failed fsync, Linux reports success for the next
		// fsync although the bytes are lost.
		err = b.wrapWrite(b.flush(file))
	}
	err = cmp.Or(err, b.wrapWrite(file.Close()))
	if err == nil {
		err = b.wrapWrite(b.checkMoved())
	}
	if err != nil {
		b.discard(temporary)
		return err
	}
	err = publish(temporary, target)
	if err == nil || errors.Is(err, fs.ErrExist) {
		// The folder may have been moved in the meantime. An acknowledged file
		// must be at the bucket's path after its flush.
		err = cmp.Or(b.checkMoved(), err)
	}
	return b.wrapWrite(err)
}

// fill copies r into a file. It returns an error of r unchanged, and an error of the
// file as a WriteError.
func (b *Bucket) fill(ctx context.Context, file *os.File, r io.Reader) error {
	_, err := io.Copy(fileWriter{ctx, b, file}, r)
	return cmp.Or(err, ctx.Err())
}

// fileWriter writes to a file until the end of ctx.
type fileWriter struct {
	ctx    context.Context
	bucket *Bucket
	file   *os.File
}

func (w fileWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	return n, w.bucket.wrapWrite(err)
}

// rename gives the complete file its name, and replaces an existing file.
func (b *Bucket) rename(temporary, target string) error {
	if err := b.root.Rename(temporary, target); err != nil {
		b.discard(temporary)
		return err
	}
	return b.flushFolder(path.Dir(target))
}

// link gives the complete file its name, and returns an error that matches fs.ErrExist
// if the name exists.
func (b *Bucket) link(temporary, target string) error {
	// Unlike a rename, a link fails if the name exists, also if another process
	// created the name.
	err := b.root.Link(temporary, target)
	b.discard(temporary)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Flush the folder for an existing name too: a caller relies on fs.ErrExist, and
	// the other writer may not have flushed the folder yet.
	return cmp.Or(b.flushFolder(path.Dir(target)), err)
}

// discard removes a temporary file. If this fails, Sweep removes the file later.
func (b *Bucket) discard(temporary string) { _ = b.root.Remove(temporary) }

// createTemporary creates an empty temporary file in the folder of target, and
// returns the open file and its name. It creates the folder if needed.
func (b *Bucket) createTemporary(target string) (*os.File, string, error) {
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
func (b *Bucket) makeFolder(folder string) error {
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
func (b *Bucket) flushFolder(folder string) error {
	if b.unflushed != nil {
		b.unflushed.add(folder)
		return nil
	}
	return b.syncFolder(folder)
}

func (b *Bucket) syncFolder(folder string) error {
	f, err := b.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return b.flush(f)
}
