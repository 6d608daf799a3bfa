package bundles

import (
	"context"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/blobs"
	"tagma/internal/database"
)

// gracePeriod is how old a file that nothing speaks of must be before it is cleared
// away. A request that might still record it has ended by then.
const gracePeriod = time.Hour

// Sweep clears away uploads that nobody has published within their time, and
// the files that neither an upload nor a version speaks of. It tells how many
// files. Several servers may sweep at once.
func (b *Bundles) Sweep(ctx context.Context) (int, error) {
	if _, err := b.db.BundleUpload.Delete().Where(bundleupload.ExpiresAtLTE(b.clock())).Exec(ctx); err != nil {
		return 0, err
	}
	limit := b.clock().Add(-gracePeriod).Time()
	removed := 0
	for _, prefix := range []string{folder, incoming} {
		count, err := b.sweep(ctx, prefix, limit)
		removed += count
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (b *Bundles) sweep(ctx context.Context, prefix string, limit time.Time) (removed int, err error) {
	for files, err := range blobs.Old(ctx, b.bucket, prefix, limit) {
		if err != nil {
			return removed, err
		}
		orphans, err := Orphans(ctx, b.db, files)
		if err != nil {
			return removed, err
		}
		deleted, err := blobs.Delete(ctx, b.bucket, orphans)
		removed += deleted
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Orphans are those of the files in the store that nothing in the database
// speaks of. A name that this package did not give is nobody's orphan.
func Orphans(ctx context.Context, db *database.DB, files []string) ([]string, error) {
	var fileIDs []string
	for _, file := range files {
		if loc, ok := parseLocation(file); ok {
			fileIDs = append(fileIDs, loc.fileID)
		}
	}
	if len(fileIDs) == 0 {
		return nil, nil
	}
	// Uploads first: one that is gone now has been published before, and then
	// its contents are found, or never will be.
	uploads, err := db.BundleUpload.Query().Where(database.AmongTexts(bundleupload.FieldFileID, fileIDs)).
		Select(bundleupload.FieldFileID, bundleupload.FieldVersionID).All(ctx)
	if err != nil {
		return nil, err
	}
	contentNames, err := db.BundleContent.Query().Where(database.AmongTexts(bundlecontent.FieldStoredAs, files)).
		Select(bundlecontent.FieldStoredAs).Strings(ctx)
	if err != nil {
		return nil, err
	}
	uploadByFileID := map[string]*ent.BundleUpload{}
	for _, upload := range uploads {
		uploadByFileID[upload.FileID] = upload
	}
	isContent := map[string]bool{}
	for _, name := range contentNames {
		isContent[name] = true
	}
	var orphans []string
	for _, file := range files {
		loc, ok := parseLocation(file)
		if !ok || isContent[file] {
			continue
		}
		// What has come to the store itself was copied before it was published.
		if upload := uploadByFileID[loc.fileID]; upload == nil || loc.incoming && upload.VersionID != nil {
			orphans = append(orphans, file)
		}
	}
	return orphans, nil
}
