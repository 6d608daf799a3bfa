package bundles

import (
	"context"
	"iter"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlecontent"
	"tagma/ent/generated/bundlefile"
	"tagma/internal/storage/database"
)

// AllStored returns the contents of all versions in a database, the oldest
// first. The files of contents are never deleted.
func AllStored(ctx context.Context, db *database.DB) iter.Seq2[*ent.BundleContent, error] {
	return StoredAfter(ctx, db, 0)
}

// StoredAfter returns the contents with an id greater than lastID, the oldest
// first.
func StoredAfter(ctx context.Context, db *database.DB, lastID int64) iter.Seq2[*ent.BundleContent, error] {
	return func(yield func(*ent.BundleContent, error) bool) {
		const pageSize = 1000
		for {
			rows, err := db.BundleContent.Query().Where(bundlecontent.IDGT(lastID)).Order(bundlecontent.ByID()).Limit(pageSize).All(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range rows {
				lastID = row.ID
				if !yield(row, nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
		}
	}
}

// FilesOf returns the names of the files that have a content, such as
// insects@3 output/model.pth, at most so many.
func FilesOf(ctx context.Context, db *database.DB, contentID int64, limit int) ([]string, error) {
	rows, err := db.BundleFile.Query().Where(bundlefile.ContentID(contentID)).Order(bundlefile.ByID()).Limit(limit).
		WithVersion(func(q *ent.BundleVersionQuery) { q.WithBundle() }).All(ctx)
	names := make([]string, len(rows))
	for n, row := range rows {
		if version := row.Edges.Version; version != nil && version.Edges.Bundle != nil {
			names[n] = VersionName(version.Edges.Bundle, version) + " "
		}
		names[n] += row.Key
	}
	return names, err
}

// DeleteUploads deletes all uploads of a database that no server uses, and
// deletes no files. Call DeleteUploads if the files of uploads are missing, because the
// rows of the uploads would say that the files have arrived.
func DeleteUploads(ctx context.Context, db *database.DB) error {
	_, err := db.BundleUpload.Delete().Exec(ctx)
	return err
}
