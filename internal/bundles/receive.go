package bundles

import (
	"context"
	"crypto/md5" //nolint:gosec // a fingerprint that clients know, not a defence
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	stdsql "database/sql"

	"entgo.io/ent/dialect/sql"
	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/database"
	"tagma/internal/fault"
)

// bufferSize is what a file takes of memory on its way, however large it is.
const bufferSize = 256 << 10

var errUsed = fault.New(fault.Conflict, "this file is here already: there is nothing more to send")

// Receive takes the bytes of a file that was wanted, of that size, into the
// store. They are there as a whole or not at all, and only if their MD5 is the
// one that the name in the store has. A file is taken once.
func (b *Bundles) Receive(ctx context.Context, name string, size int64, body io.Reader) error {
	at, ok := placeOf(name)
	if !ok || at.incoming || at.copied {
		return fault.New(fault.NotFound, "there is no such file to send")
	}
	upload, err := b.db.BundleUpload.Query().
		Where(bundleupload.FileID(at.fileID), bundleupload.VersionIDIsNil(), bundleupload.ExpiresAtGT(b.clock())).
		Select(bundleupload.FieldID).Only(ctx)
	if ent.IsNotFound(err) {
		return fault.New(fault.NotFound, "this upload is published or cleared away: ask for a new one with requestBundleUpload")
	}
	if err != nil {
		return err
	}
	// Before the bytes are read: they may be many.
	if there, err := b.bucket.Exists(ctx, name); err != nil {
		return err
	} else if there {
		return errUsed
	}
	came, err := b.store(ctx, name, body, func(came *fingerprint) error {
		if came.size != size || came.md5() != at.md5 {
			return fault.New(fault.BadInput, "%d bytes came with the MD5 %s, not %d with %s: send the file as the manifest says", came.size, came.md5(), size, at.md5)
		}
		return nil
	})
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return errUsed // another request was faster
	}
	if err != nil {
		return err
	}
	return b.arrived(ctx, &ent.BundleArrival{UploadID: upload.ID, Md5: at.md5, Sha256: came.sha256(), StoredAs: name})
}

// store writes a body into the store under a name that must be free, if what
// came passes the check.
func (b *Bundles) store(ctx context.Context, name string, body io.Reader, check func(*fingerprint) error) (*fingerprint, error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	w, err := b.bucket.NewWriter(ctx, name, &blob.WriterOptions{ContentType: "application/octet-stream", IfNotExist: true})
	if err != nil {
		return nil, err
	}
	reading, came := &noting{Reader: body}, newFingerprint()
	_, err = io.CopyBuffer(io.MultiWriter(w, came), reading, make([]byte, bufferSize))
	if reading.err != nil {
		err = fault.Because(reading.err, fault.BadInput, "the body broke off after %d bytes: send the file again", came.size)
	}
	if err == nil {
		err = check(came)
	}
	if err != nil {
		giveUp() // then nothing of it is kept
		_ = w.Close()
		return nil, err
	}
	return came, w.Close()
}

// arrived records that the store has a file of an upload.
func (b *Bundles) arrived(ctx context.Context, a *ent.BundleArrival) error {
	err := b.db.BundleArrival.Create().SetUploadID(a.UploadID).SetMd5(a.Md5).SetSha256(a.Sha256).SetStoredAs(a.StoredAs).
		OnConflict(sql.ConflictColumns(bundlearrival.FieldUploadID, bundlearrival.FieldMd5), sql.DoNothing()).Exec(ctx)
	switch {
	case errors.Is(err, stdsql.ErrNoRows): // it is recorded already
		return nil
	case database.IsForeignKey(err):
		return fault.New(fault.NotFound, "this upload was cleared away meanwhile: ask for a new one with requestBundleUpload")
	}
	return err
}

// noting remembers what went wrong with reading, to tell it from what went
// wrong with writing.
type noting struct {
	io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	count, err := n.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return count, err
}

// fingerprint takes both hashes of what is written to it.
type fingerprint struct {
	size      int64
	sum5, sum hash.Hash
}

func newFingerprint() *fingerprint {
	return &fingerprint{sum5: md5.New(), sum: sha256.New()} //nolint:gosec // see above
}

func (f *fingerprint) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	_, _ = f.sum5.Write(p) // never fails: see hash.Hash
	return f.sum.Write(p)
}

func (f *fingerprint) md5() string    { return hex.EncodeToString(f.sum5.Sum(nil)) }
func (f *fingerprint) sha256() string { return hex.EncodeToString(f.sum.Sum(nil)) }
