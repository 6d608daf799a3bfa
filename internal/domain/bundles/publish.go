package bundles

import (
	"context"
	"errors"
	"maps"
	"slices"

	stdsql "database/sql"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundle"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundlefile"
	"tagma/ent/generated/bundleupload"
	"tagma/ent/generated/bundleversion"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/storage/database"
)

// rowsAtOnce keeps an INSERT below SQLite's 32,766 parameters.
const rowsAtOnce = 1000

// Verdict is the result of publishing an upload.
type Verdict string

// Results of publishing.
const (
	Created   Verdict = "CREATED"
	Unchanged Verdict = "UNCHANGED"
)

// PublishResult is the result of Publish.
type PublishResult struct {
	Verdict Verdict
	Version *ent.BundleVersion
}

// Publish makes the next version of a bundle from an upload of the caller, if
// the store has the right bytes of every file. If the files equal the last
// version, Publish returns the last version. A second call for an upload
// returns the version of the first call.
func (s *Service) Publish(ctx context.Context, uploadID int64) (*PublishResult, error) {
	upload, err := s.openUpload(ctx, uploadID)
	if err != nil {
		return nil, err
	}
	if upload.VersionID != nil {
		return s.publishedVersion(ctx, *upload.VersionID)
	}
	m, err := decode(upload)
	if err != nil {
		return nil, err
	}
	inv, err := s.inventory(ctx, upload, m)
	if err != nil {
		return nil, err
	}
	files, err := s.locateFiles(ctx, upload, m, inv)
	if err != nil {
		return nil, err
	}
	var published *PublishResult
	err = database.RetryConflict(ctx, func() (err error) { // another publication may be faster
		published, err = s.record(ctx, upload, files)
		return err
	})
	return published, err
}

// openUpload returns an upload of the caller.
func (s *Service) openUpload(ctx context.Context, id int64) (*ent.BundleUpload, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to publish a bundle")
	}
	upload, err := s.db.BundleUpload.Query().
		Where(bundleupload.ID(id), bundleupload.CreatedByID(c.UserID), bundleupload.ExpiresAtGT(s.clock())).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, errCleared
	}
	return upload, err
}

var errCleared = fault.New(fault.NotFound, "no upload of yours has this id: ask for one with requestBundleUpload; it is kept for a day")

// publishedVersion returns the version of a published upload.
func (s *Service) publishedVersion(ctx context.Context, versionID int64) (*PublishResult, error) {
	version, err := s.db.BundleVersion.Get(ctx, versionID)
	return &PublishResult{Unchanged, version}, err
}

// storedFile is one file of a version, with the location of its bytes.
type storedFile struct {
	NewFile
	sha256   string
	storedAs string
}

// locateFiles returns the stored bytes of every file. The error reports every
// file whose bytes are missing or wrong. A file sent for this upload takes
// precedence over a published file.
func (s *Service) locateFiles(ctx context.Context, upload *ent.BundleUpload, m manifest, inv inventory) ([]storedFile, error) {
	mismatches, err := s.verify(ctx, upload, m, inv)
	if err != nil {
		return nil, err
	}
	if len(mismatches) > 0 {
		// A name in the store is used only once, so the right bytes need a new
		// upload. Deleting the wrong files could hit the right files of a
		// concurrent request.
		if err := s.db.BundleUpload.DeleteOneID(upload.ID).Exec(ctx); err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
	}
	var problems fault.Problems
	files := make([]storedFile, 0, len(m))
	for _, f := range m {
		problem := func(code fault.Code, format string, args ...any) {
			problems.Add(code, []any{"upload", f.Key}, "%.80q "+format, append([]any{f.Key}, args...)...)
		}
		arrival := inv.arrivals[f.MD5]
		content := inv.content(f)
		switch {
		case arrival != nil && f.SHA256 != nil && *f.SHA256 != arrival.Sha256:
			problem(fault.BadInput, "has the SHA-256 %s, not %s: ask for an upload with the right one", arrival.Sha256, *f.SHA256)
		case arrival != nil:
			files = append(files, storedFile{f, arrival.Sha256, arrival.StoredAs})
		case content != nil:
			files = append(files, storedFile{f, content.Sha256, content.StoredAs})
		case mismatches[f.MD5] != "":
			problem(fault.BadInput, "came with %s: the upload is given up; ask for another with requestBundleUpload and send its files again", mismatches[f.MD5])
		default:
			problem(fault.NotFound, "has not come: ask for a target with requestBundleUpload and send it")
		}
	}
	return files, problems.Err()
}

// record writes the rows of a version in one transaction. The bytes of all
// files are in the store.
func (s *Service) record(ctx context.Context, upload *ent.BundleUpload, files []storedFile) (*PublishResult, error) {
	published := &PublishResult{Verdict: Created}
	err := s.db.InTx(ctx, func(tx *ent.Tx) error {
		bundleID, err := s.lock(ctx, tx, upload.Name)
		if err != nil {
			return err
		}
		// Any other publication of this upload waits at the lock, or has ended.
		current, err := tx.BundleUpload.Query().Where(bundleupload.ID(upload.ID)).Only(ctx)
		if ent.IsNotFound(err) {
			return errCleared
		}
		if err != nil {
			return err
		}
		if current.VersionID != nil {
			published.Verdict = Unchanged
			published.Version, err = tx.BundleVersion.Get(ctx, *current.VersionID)
			return err
		}
		contents, err := s.storeContents(ctx, tx, files)
		if err != nil {
			return err
		}
		published.Version, err = tx.BundleVersion.Query().Where(bundleversion.BundleID(bundleID)).
			Order(bundleversion.ByNumber(sql.OrderDesc())).First(ctx)
		switch {
		case ent.IsNotFound(err):
			published.Version, err = s.insert(ctx, tx, upload, bundleID, 1, files, contents)
		case err != nil:
			return err
		default:
			var same bool
			if same, err = isSame(ctx, tx, published.Version, files, contents); err == nil && same {
				published.Verdict = Unchanged
			} else if err == nil {
				published.Version, err = s.insert(ctx, tx, upload, bundleID, published.Version.Number+1, files, contents)
			}
		}
		if err != nil {
			return err
		}
		// Fail if the sweep has deleted the upload, and its files, meanwhile.
		updated, err := tx.BundleUpload.Update().Where(bundleupload.ID(upload.ID)).SetVersionID(published.Version.ID).Save(ctx)
		if err == nil && updated == 0 {
			err = errCleared
		}
		return err
	})
	return published, err
}

// lock returns the id of the bundle of the given name, and creates the bundle
// if necessary. Until the transaction ends, nobody else can publish a version
// of the bundle.
func (s *Service) lock(ctx context.Context, tx *ent.Tx, name string) (int64, error) {
	err := tx.Bundle.Create().SetName(name).SetCreatedAt(s.clock()).
		OnConflict(sql.ConflictColumns(bundle.FieldName), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // the bundle exists
		return 0, err
	}
	query := tx.Bundle.Query().Where(bundle.Name(name))
	if s.db.Dialect == dialect.Postgres { // SQLite has one writer
		query.ForUpdate()
	}
	return query.OnlyID(ctx)
}

// storeContents inserts the missing content rows, and returns the ids of all
// contents by SHA-256.
func (s *Service) storeContents(ctx context.Context, tx *ent.Tx, files []storedFile) (map[string]int64, error) {
	fileBySum := map[string]storedFile{}
	for _, p := range files {
		fileBySum[p.sha256] = p
	}
	// A fixed order prevents deadlocks between transactions.
	sums := slices.Sorted(maps.Keys(fileBySum))
	contents, err := contentIDs(ctx, tx, sums)
	if err != nil {
		return nil, err
	}
	newSums := slices.DeleteFunc(slices.Clone(sums), func(sum string) bool { return contents[sum] != 0 })
	for chunk := range slices.Chunk(newSums, rowsAtOnce) {
		rows := make([]*ent.BundleContentCreate, len(chunk))
		for n, sum := range chunk {
			p := fileBySum[sum]
			rows[n] = tx.BundleContent.Create().SetSha256(sum).SetMd5(p.MD5).SetSize(p.Size).SetStoredAs(p.storedAs).SetCreatedAt(s.clock())
		}
		err := tx.BundleContent.CreateBulk(rows...).
			OnConflict(sql.ConflictColumns(bundlecontent.FieldSha256), sql.DoNothing()).Exec(ctx)
		if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // another publication has inserted all of them
			return nil, err
		}
	}
	if len(newSums) == 0 {
		return contents, nil
	}
	return contentIDs(ctx, tx, sums)
}

func contentIDs(ctx context.Context, tx *ent.Tx, sums []string) (map[string]int64, error) {
	rows, err := tx.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldSha256, sums)).
		Select(bundlecontent.FieldID, bundlecontent.FieldSha256).All(ctx)
	ids := make(map[string]int64, len(rows))
	for _, c := range rows {
		ids[c.Sha256] = c.ID
	}
	return ids, err
}

// isSame reports whether a version has the same contents under the same keys.
// Modification times are ignored, because a copy has other times.
func isSame(ctx context.Context, tx *ent.Tx, version *ent.BundleVersion, files []storedFile, contents map[string]int64) (bool, error) {
	rows, err := tx.BundleFile.Query().Where(bundlefile.VersionID(version.ID)).
		Select(bundlefile.FieldKey, bundlefile.FieldContentID).All(ctx)
	if err != nil || len(rows) != len(files) {
		return false, err
	}
	oldContents := make(map[string]int64, len(rows))
	for _, f := range rows {
		oldContents[f.Key] = f.ContentID
	}
	for _, p := range files {
		if oldContents[p.Key] != contents[p.sha256] {
			return false, nil
		}
	}
	return true, nil
}

// insert inserts a version and its files.
func (s *Service) insert(ctx context.Context, tx *ent.Tx, upload *ent.BundleUpload, bundleID int64, number int, files []storedFile, contents map[string]int64) (*ent.BundleVersion, error) {
	m := make(manifest, len(files))
	for n, p := range files {
		m[n] = p.NewFile
	}
	version, err := tx.BundleVersion.Create().SetBundleID(bundleID).SetNumber(number).SetMd5(m.md5()).
		SetCreatedAt(s.clock()).SetCreatedByID(upload.CreatedByID).Save(ctx)
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(files, rowsAtOnce) {
		rows := make([]*ent.BundleFileCreate, len(chunk))
		for n, p := range chunk {
			rows[n] = tx.BundleFile.Create().SetVersionID(version.ID).SetKey(p.Key).
				SetContentID(contents[p.sha256]).SetModifiedAt(p.ModifiedAt)
		}
		if err := tx.BundleFile.CreateBulk(rows...).Exec(ctx); err != nil {
			return nil, err
		}
	}
	return version, nil
}
