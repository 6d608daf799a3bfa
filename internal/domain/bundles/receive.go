package bundles

import (
	"context"
	"crypto/md5" //nolint:gosec // a fingerprint that clients know, not a defence
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"io/fs"

	stdsql "database/sql"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlearrival"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/base/fault"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// bufferSize is the memory for the hashes of a stored file of any size.
const bufferSize = 256 << 10

var errAlreadyStored = fault.New(fault.Conflict, "this file is here already: there is nothing more to send")

// Receive stores the bytes of a requested file of the given size. The file is
// stored whole or not at all, and only if its MD5 equals the MD5 in the name. A
// second transfer of a file is refused.
func (s *Service) Receive(ctx context.Context, name string, size int64, body io.Reader) error {
	loc, ok := parseLocation(name)
	if !ok || loc.incoming || loc.copied {
		return fault.New(fault.NotFound, "there is no such file to send")
	}
	upload, err := s.db.BundleUpload.Query().
		Where(bundleupload.FileID(loc.fileID), bundleupload.VersionIDIsNil(), bundleupload.ExpiresAtGT(s.clock())).
		Select(bundleupload.FieldID).Only(ctx)
	if ent.IsNotFound(err) {
		return fault.New(fault.NotFound, "this upload is published or cleared away: ask for a new one with requestBundleUpload")
	}
	if err != nil {
		return err
	}
	// Check before reading the bytes, which may be many.
	if exists, err := bucket.Exists(ctx, s.bucket, name); err != nil {
		return err
	} else if exists {
		return errAlreadyStored
	}
	fp, err := s.storeBody(ctx, name, body, func(fp *fingerprint) error {
		if fp.size != size || fp.md5() != loc.md5 {
			return fault.New(fault.BadInput, "%d bytes came with the MD5 %s, not %d with %s: send the file as the manifest says", fp.size, fp.md5(), size, loc.md5)
		}
		return nil
	})
	if errors.Is(err, fs.ErrExist) {
		return errAlreadyStored // another request was faster
	}
	if err != nil {
		return err
	}
	return s.recordArrival(ctx, &ent.BundleArrival{UploadID: upload.ID, Md5: loc.md5, Sha256: fp.sha256(), StoredAs: name})
}

// storeBody writes a body to the store under an unused name, if the fingerprint
// of the body passes the check.
func (s *Service) storeBody(ctx context.Context, name string, body io.Reader, check func(*fingerprint) error) (*fingerprint, error) {
	source, fp := &errorRecorder{Reader: body}, newFingerprint()
	err := s.bucket.Create(ctx, name, bucket.CheckAtEOF(io.TeeReader(source, fp), func() error { return check(fp) }))
	if source.err != nil {
		err = fault.Wrap(source.err, fault.BadInput, "the body broke off after %d bytes: send the file again", fp.size)
	}
	return fp, err
}

// recordArrival records that the store has a file of an upload.
func (s *Service) recordArrival(ctx context.Context, a *ent.BundleArrival) error {
	err := s.db.BundleArrival.Create().SetUploadID(a.UploadID).SetMd5(a.Md5).SetSha256(a.Sha256).SetStoredAs(a.StoredAs).
		OnConflict(sql.ConflictColumns(bundlearrival.FieldUploadID, bundlearrival.FieldMd5), sql.DoNothing()).Exec(ctx)
	switch {
	case errors.Is(err, stdsql.ErrNoRows): // already recorded
		return nil
	case database.IsForeignKey(err):
		return fault.New(fault.NotFound, "this upload was cleared away meanwhile: ask for a new one with requestBundleUpload")
	}
	return err
}

// errorRecorder records the error of reading, to tell read errors from write
// errors.
type errorRecorder struct {
	io.Reader
	err error
}

func (n *errorRecorder) Read(p []byte) (int, error) {
	count, err := n.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return count, err
}

// fingerprint computes both hashes of the bytes written to it.
type fingerprint struct {
	size                int64
	md5Hash, sha256Hash hash.Hash
}

func newFingerprint() *fingerprint {
	return &fingerprint{md5Hash: md5.New(), sha256Hash: sha256.New()} //nolint:gosec // see above
}

func (f *fingerprint) Write(p []byte) (int, error) {
	f.size += int64(len(p))
	_, _ = f.md5Hash.Write(p) // never fails: see hash.Hash
	return f.sha256Hash.Write(p)
}

func (f *fingerprint) md5() string    { return hex.EncodeToString(f.md5Hash.Sum(nil)) }
func (f *fingerprint) sha256() string { return hex.EncodeToString(f.sha256Hash.Sum(nil)) }
