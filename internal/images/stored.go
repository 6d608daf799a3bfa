package images

import (
	"context"
	"iter"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/internal/database"
)

// Stored is the files of one image.
type Stored struct {
	ImageID  int64
	Original string // its key in the store
	SHA256   string // of the original, hex
	Size     int64  // of the original, in bytes
	Others   []string
}

// AllStored is the files of all images in a database, by the images' age.
func AllStored(ctx context.Context, db *database.DB) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		const part = 1000
		for last := int64(0); ; {
			rows, err := db.Image.Query().Where(image.IDGT(last)).Order(image.ByID()).Limit(part).
				Select(image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldFileID, image.FieldSha256, image.FieldSize).All(ctx)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, row := range rows {
				last = row.ID
				one := Stored{row.ID, FileKey(row, Original), row.Sha256, row.Size, []string{FileKey(row, Thumbnail), FileKey(row, ThumbnailMini)}}
				if !yield(one, nil) {
					return
				}
			}
			if len(rows) < part {
				return
			}
		}
	}
}

// Forget takes an image and its annotations out of a database that is not a
// server's, and leaves files alone.
func Forget(ctx context.Context, db *database.DB, id int64) error {
	return db.InTx(ctx, func(tx *ent.Tx) error {
		if _, err := tx.Annotation.Delete().Where(annotation.ImageID(id)).Exec(ctx); err != nil {
			return err
		}
		return tx.Image.DeleteOneID(id).Exec(ctx)
	})
}
