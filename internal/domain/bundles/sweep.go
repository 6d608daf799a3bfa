package bundles

import (
	"context"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundleupload"
	"tagma/internal/storage/blobs"
	"tagma/internal/storage/database"
)

// gracePeriod is the age at which an unreferenced file may be deleted. Any
// request that might still record the file has ended by then.
const gracePeriod = time.Hour

// Sweep deletes expired uploads, and the files that neither an upload nor a
// version references. Sweep returns the number of deleted files. Several
// servers may sweep at once.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	if _, err := s.db.BundleUpload.Delete().Where(bundleupload.ExpiresAtLTE(s.clock())).Exec(ctx); err != nil {
		return 0, err
	}
	limit := s.clock().Add(-gracePeriod).Time()
	removed := 0
	for _, prefix := range []string{folder, incoming} {
		count, err := s.sweep(ctx, prefix, limit)
		removed += count
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Service) sweep(ctx context.Context, prefix string, limit time.Time) (removed int, err error) {
	for files, err := range blobs.Old(ctx, s.bucket, prefix, limit) {
		if err != nil {
			return removed, err
		}
		orphans, err := Orphans(ctx, s.db, files)
		if err != nil {
			return removed, err
		}
		deleted, err := blobs.Delete(ctx, s.bucket, orphans)
		removed += deleted
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// Orphans returns the files that no row of the database references. A name that
// this package did not create is never an orphan.
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
	// Query uploads first: an upload missing here was published before, and
	// then its contents are found, or will never exist.
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
		// Publishing copies a file of incoming/, so the original is not needed.
		if upload := uploadByFileID[loc.fileID]; upload == nil || loc.incoming && upload.VersionID != nil {
			orphans = append(orphans, file)
		}
	}
	return orphans, nil
}
