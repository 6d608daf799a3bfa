package images

import (
	"context"
	"encoding/hex"
	"iter"

	ent "tagma/ent/generated"
	"tagma/ent/generated/annotation"
	"tagma/ent/generated/image"
	"tagma/internal/storage/database"
)

// Stored is the files of one image, as the row speaks of them.
type Stored struct {
	ImageID  int64
	Key      Key
	Width    int      // of the original, in pixels
	Height   int      // of the original, in pixels
	Original string   // its key in the store
	SHA256   string   // of the original, hex
	Size     int64    // of the original, in bytes
	Others   []string // the keys of the thumbnail and of the smaller one

	// OtherSums are the SHA-256 of each of Others, hex. One that the row does not
	// know yet is empty: the image is older than the column.
	OtherSums []string
}

// OtherVariants are the sizes whose files Stored has in Others, in their order.
var OtherVariants = []Variant{Thumbnail, ThumbnailMini}

// storedColumns are the columns that Stored is made of.
var storedColumns = []string{
	image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldFileID, image.FieldWidth, image.FieldHeight,
	image.FieldSha256, image.FieldSize, image.FieldThumbnailSha256, image.FieldThumbnailMiniSha256,
}

func storedOf(row *ent.Image) Stored {
	return Stored{
		ImageID: row.ID, Key: KeyOf(row), Width: row.Width, Height: row.Height,
		Original: FileKey(row, Original), SHA256: row.Sha256, Size: row.Size,
		Others:    []string{FileKey(row, Thumbnail), FileKey(row, ThumbnailMini)},
		OtherSums: []string{hex.EncodeToString(row.ThumbnailSha256), hex.EncodeToString(row.ThumbnailMiniSha256)},
	}
}

// AllStored is the files of all images in a database, by the images' age.
func AllStored(ctx context.Context, db *database.DB) iter.Seq2[Stored, error] {
	return StoredAfter(ctx, db, 0)
}

// StoredAfter is the files of the images whose ids are above an id, by the
// images' age.
func StoredAfter(ctx context.Context, db *database.DB, last int64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		const part = 1000
		for {
			rows, err := db.Image.Query().Where(image.IDGT(last)).Order(image.ByID()).Limit(part).
				Select(storedColumns...).All(ctx)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, row := range rows {
				last = row.ID
				if !yield(storedOf(row), nil) {
					return
				}
			}
			if len(rows) < part {
				return
			}
		}
	}
}

// StoredByID returns the files of the image with an id. Found is false if there
// is no such image.
func StoredByID(ctx context.Context, db *database.DB, id int64) (one Stored, found bool, err error) {
	row, err := db.Image.Query().Where(image.ID(id)).Select(storedColumns...).Only(ctx)
	if ent.IsNotFound(err) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, err
	}
	return storedOf(row), true, nil
}

// DeleteRow takes an image and its annotations out of a database that is not a
// server's, and leaves files alone.
func DeleteRow(ctx context.Context, db *database.DB, id int64) error {
	return db.InTx(ctx, func(tx *ent.Tx) error {
		if _, err := tx.Annotation.Delete().Where(annotation.ImageID(id)).Exec(ctx); err != nil {
			return err
		}
		return tx.Image.DeleteOneID(id).Exec(ctx)
	})
}
