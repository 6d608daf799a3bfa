package images

import (
	"context"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/internal/storage/database"
)

// Deleted is the number of deleted rows and files.
type Deleted struct{ Images, Annotations, Files int }

// Delete deletes images with their annotations and files. With dryRun, Delete only
// counts. All rows are deleted in one transaction, and then the files. After a crash
// in between, Sweep deletes the files.
func (s *Service) Delete(ctx context.Context, keys []Key, dryRun bool) (Deleted, error) {
	keys, err := validateKeys("images", keys)
	if err != nil || len(keys) == 0 {
		return Deleted{}, err
	}
	var rows []*ent.Image
	var deleted Deleted
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		query := tx.Image.Query().Where(hasAnyKey(keys)).Select(image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldFileID)
		if s.db.Dialect == dialect.Postgres && !dryRun {
			query.ForUpdate() // no annotation is added in between
		}
		rows, err = query.All(ctx)
		if err != nil {
			return err
		}
		ofImages := database.AmongNumbers(annotation.FieldImageID, ent.Images(rows).IDs())
		if deleted.Annotations, err = tx.Annotation.Query().Where(ofImages).Count(ctx); err != nil || dryRun {
			return err
		}
		_, err := tx.Image.Delete().Where(database.AmongNumbers(image.FieldID, ent.Images(rows).IDs())).Exec(ctx) // cascades
		return err
	})
	if err != nil {
		return Deleted{}, err
	}
	deleted.Images, deleted.Files = len(rows), len(rows)*len(suffixes)
	if !dryRun {
		s.discard(ctx, rows...)
	}
	return deleted, nil
}
