package bundles

import (
	"context"
	"iter"

	ent "tagma/ent/generated"
	"tagma/ent/generated/bundlecontent"
	"tagma/internal/database"
)

// AllStored returns the contents of all versions in a database, the oldest
// first. The files of contents are never deleted.
func AllStored(ctx context.Context, db *database.DB) iter.Seq2[*ent.BundleContent, error] {
	return func(yield func(*ent.BundleContent, error) bool) {
		const pageSize = 1000
		for lastID := int64(0); ; {
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

// ForgetUploads deletes all uploads of a database that no server uses, and
// leaves files alone. Use it if the files of uploads are missing, because the
// uploads would claim otherwise.
func ForgetUploads(ctx context.Context, db *database.DB) error {
	_, err := db.BundleUpload.Delete().Exec(ctx)
	return err
}
