package images

import (
	"context"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/internal/storage/database"
)

// Deleted says what went, or would go.
type Deleted struct{ Images, Annotations, Files int }

// Delete deletes images with their annotations and files, or with dryRun only
// counts them. The rows go first, all in one transaction; a crash after that
// leaves files without a row to the sweep.
func (s *Service) Delete(ctx context.Context, keys []Key, dryRun bool) (Deleted, error) {
	keys, err := checkKeys("images", keys)
	if err != nil || len(keys) == 0 {
		return Deleted{}, err
	}
	var gone []*ent.Image
	var deleted Deleted
	err = s.db.InTx(ctx, func(tx *ent.Tx) error {
		query := tx.Image.Query().Where(among(keys)).Select(image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldFileID)
		if s.db.Dialect == dialect.Postgres && !dryRun {
			query.ForUpdate() // so that no annotation comes in between
		}
		gone, err = query.All(ctx)
		if err != nil {
			return err
		}
		ofThese := database.AmongNumbers(annotation.FieldImageID, ent.Images(gone).IDs())
		if deleted.Annotations, err = tx.Annotation.Query().Where(ofThese).Count(ctx); err != nil || dryRun {
			return err
		}
		_, err := tx.Image.Delete().Where(database.AmongNumbers(image.FieldID, ent.Images(gone).IDs())).Exec(ctx) // cascades
		return err
	})
	if err != nil {
		return Deleted{}, err
	}
	deleted.Images, deleted.Files = len(gone), len(gone)*len(suffixes)
	if !dryRun {
		s.discard(ctx, gone...)
	}
	return deleted, nil
}
