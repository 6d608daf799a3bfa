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
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
)

// rowsAtOnce keeps an INSERT below SQLite's 32,766 parameters.
const rowsAtOnce = 1000

// Verdict is what became of an upload.
type Verdict string

// The verdicts.
const (
	Created   Verdict = "CREATED"
	Unchanged Verdict = "UNCHANGED"
)

// Published is the answer to Publish.
type Published struct {
	Verdict Verdict
	Version *ent.BundleVersion
}

// Publish makes the next version of a bundle of an upload of the caller's, once
// the store has every file of it with the right bytes. If that is the same as
// the last version, it is that version. To publish an upload again gives what
// it became.
func (b *Bundles) Publish(ctx context.Context, uploadID int64) (*Published, error) {
	upload, err := b.open(ctx, uploadID)
	if err != nil {
		return nil, err
	}
	if upload.VersionID != nil {
		return b.became(ctx, *upload.VersionID)
	}
	m, err := decode(upload)
	if err != nil {
		return nil, err
	}
	have, err := b.have(ctx, upload, m)
	if err != nil {
		return nil, err
	}
	parts, err := b.gather(ctx, upload, m, have)
	if err != nil {
		return nil, err
	}
	for {
		published, err := b.record(ctx, upload, parts)
		if !database.IsUnique(err) { // else another has just published: look again
			return published, err
		}
	}
}

// open gives an upload of the caller's.
func (b *Bundles) open(ctx context.Context, id int64) (*ent.BundleUpload, error) {
	by := caller.From(ctx)
	if by == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to publish a bundle")
	}
	found, err := b.db.BundleUpload.Query().
		Where(bundleupload.ID(id), bundleupload.CreatedByID(by.UserID), bundleupload.ExpiresAtGT(b.clock())).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, errCleared
	}
	return found, err
}

var errCleared = fault.New(fault.NotFound, "no upload of yours has this id: ask for one with requestBundleUpload; it is kept for a day")

// became is what an upload that was published before has become.
func (b *Bundles) became(ctx context.Context, versionID int64) (*Published, error) {
	version, err := b.db.BundleVersion.Get(ctx, versionID)
	return &Published{Unchanged, version}, err
}

// part is one file of a version, and its bytes.
type part struct {
	NewFile
	sha256   string
	storedAs string
}

// gather finds the bytes of every file. Its error tells of every file whose
// bytes are not there, or not what they should be. What somebody has sent for
// this very upload counts before what others have published.
func (b *Bundles) gather(ctx context.Context, upload *ent.BundleUpload, m manifest, have had) ([]part, error) {
	wrong, err := b.verify(ctx, upload, m, have)
	if err != nil {
		return nil, err
	}
	if len(wrong) > 0 {
		// A name in the store is used once, so the right bytes need another. To
		// remove these could hit the right ones, if others do the same.
		if err := b.db.BundleUpload.DeleteOneID(upload.ID).Exec(ctx); err != nil && !ent.IsNotFound(err) {
			return nil, err
		}
	}
	var problems fault.Problems
	parts := make([]part, 0, len(m))
	for _, f := range m {
		problem := func(code fault.Code, format string, args ...any) {
			problems.Add(code, []any{"upload", f.Key}, "%.80q "+format, append([]any{f.Key}, args...)...)
		}
		arrived := have.arrived[f.MD5]
		content := have.content(f)
		switch {
		case arrived != nil && f.SHA256 != nil && *f.SHA256 != arrived.Sha256:
			problem(fault.BadInput, "has the SHA-256 %s, not %s: ask for an upload with the right one", arrived.Sha256, *f.SHA256)
		case arrived != nil:
			parts = append(parts, part{f, arrived.Sha256, arrived.StoredAs})
		case content != nil:
			parts = append(parts, part{f, content.Sha256, content.StoredAs})
		case wrong[f.MD5] != "":
			problem(fault.BadInput, "came with %s: the upload is given up; ask for another with requestBundleUpload and send its files again", wrong[f.MD5])
		default:
			problem(fault.NotFound, "has not come: ask for a target with requestBundleUpload and send it")
		}
	}
	return parts, problems.Err()
}

// record writes the rows of a version whose bytes are all in the store, in one
// transaction.
func (b *Bundles) record(ctx context.Context, upload *ent.BundleUpload, parts []part) (*Published, error) {
	published := &Published{Verdict: Created}
	err := b.db.InTx(ctx, func(tx *ent.Tx) error {
		of, err := b.lock(ctx, tx, upload.Name)
		if err != nil {
			return err
		}
		// Whoever else publishes this upload waits at the lock, or was before.
		now, err := tx.BundleUpload.Query().Where(bundleupload.ID(upload.ID)).Only(ctx)
		if ent.IsNotFound(err) {
			return errCleared
		}
		if err != nil {
			return err
		}
		if now.VersionID != nil {
			published.Verdict = Unchanged
			published.Version, err = tx.BundleVersion.Get(ctx, *now.VersionID)
			return err
		}
		contents, err := b.keep(ctx, tx, parts)
		if err != nil {
			return err
		}
		published.Version, err = tx.BundleVersion.Query().Where(bundleversion.BundleID(of)).
			Order(bundleversion.ByNumber(sql.OrderDesc())).First(ctx)
		switch {
		case ent.IsNotFound(err):
			published.Version, err = b.insert(ctx, tx, upload, of, 1, parts, contents)
		case err != nil:
			return err
		default:
			var same bool
			if same, err = isSame(ctx, tx, published.Version, parts, contents); err == nil && same {
				published.Verdict = Unchanged
			} else if err == nil {
				published.Version, err = b.insert(ctx, tx, upload, of, published.Version.Number+1, parts, contents)
			}
		}
		if err != nil {
			return err
		}
		// The sweep must not have taken the upload, and its files, in between.
		updated, err := tx.BundleUpload.Update().Where(bundleupload.ID(upload.ID)).SetVersionID(published.Version.ID).Save(ctx)
		if err == nil && updated == 0 {
			err = errCleared
		}
		return err
	})
	return published, err
}

// lock gives the id of the bundle of that name, which it makes if it is not
// there. Nobody else publishes a version of it until the transaction ends.
func (b *Bundles) lock(ctx context.Context, tx *ent.Tx, name string) (int64, error) {
	err := tx.Bundle.Create().SetName(name).SetCreatedAt(b.clock()).
		OnConflict(sql.ConflictColumns(bundle.FieldName), sql.DoNothing()).Exec(ctx)
	if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // it is there
		return 0, err
	}
	query := tx.Bundle.Query().Where(bundle.Name(name))
	if b.db.Dialect == dialect.Postgres { // SQLite has one writer
		query.ForUpdate()
	}
	return query.OnlyID(ctx)
}

// keep writes rows for the contents that have none, and gives the ids of all by
// SHA-256.
func (b *Bundles) keep(ctx context.Context, tx *ent.Tx, parts []part) (map[string]int64, error) {
	of := map[string]part{}
	for _, p := range parts {
		of[p.sha256] = p
	}
	// All in one order, so that no two transactions wait for each other.
	sums := slices.Sorted(maps.Keys(of))
	contents, err := contentIDs(ctx, tx, sums)
	if err != nil {
		return nil, err
	}
	fresh := slices.DeleteFunc(slices.Clone(sums), func(sum string) bool { return contents[sum] != 0 })
	for chunk := range slices.Chunk(fresh, rowsAtOnce) {
		rows := make([]*ent.BundleContentCreate, len(chunk))
		for n, sum := range chunk {
			p := of[sum]
			rows[n] = tx.BundleContent.Create().SetSha256(sum).SetMd5(p.MD5).SetSize(p.Size).SetStoredAs(p.storedAs).SetCreatedAt(b.clock())
		}
		err := tx.BundleContent.CreateBulk(rows...).
			OnConflict(sql.ConflictColumns(bundlecontent.FieldSha256), sql.DoNothing()).Exec(ctx)
		if err != nil && !errors.Is(err, stdsql.ErrNoRows) { // another has just published them all
			return nil, err
		}
	}
	if len(fresh) == 0 {
		return contents, nil
	}
	return contentIDs(ctx, tx, sums)
}

func contentIDs(ctx context.Context, tx *ent.Tx, sums []string) (map[string]int64, error) {
	found, err := tx.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldSha256, sums)).
		Select(bundlecontent.FieldID, bundlecontent.FieldSha256).All(ctx)
	ids := make(map[string]int64, len(found))
	for _, c := range found {
		ids[c.Sha256] = c.ID
	}
	return ids, err
}

// isSame says whether a version has the same contents under the same keys. When
// files were modified does not count: a copy has other times.
func isSame(ctx context.Context, tx *ent.Tx, version *ent.BundleVersion, parts []part, contents map[string]int64) (bool, error) {
	files, err := tx.BundleFile.Query().Where(bundlefile.VersionID(version.ID)).
		Select(bundlefile.FieldKey, bundlefile.FieldContentID).All(ctx)
	if err != nil || len(files) != len(parts) {
		return false, err
	}
	before := make(map[string]int64, len(files))
	for _, f := range files {
		before[f.Key] = f.ContentID
	}
	for _, p := range parts {
		if before[p.Key] != contents[p.sha256] {
			return false, nil
		}
	}
	return true, nil
}

// insert writes a version and its files.
func (b *Bundles) insert(ctx context.Context, tx *ent.Tx, upload *ent.BundleUpload, of int64, number int, parts []part, contents map[string]int64) (*ent.BundleVersion, error) {
	m := make(manifest, len(parts))
	for n, p := range parts {
		m[n] = p.NewFile
	}
	version, err := tx.BundleVersion.Create().SetBundleID(of).SetNumber(number).SetMd5(m.md5()).
		SetCreatedAt(b.clock()).SetCreatedByID(upload.CreatedByID).Save(ctx)
	if err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(parts, rowsAtOnce) {
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
