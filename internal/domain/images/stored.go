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

// Stored describes the files of one image according to its row.
type Stored struct {
	ImageID  int64
	Key      Key
	Width    int    // of the original, in pixels
	Height   int    // of the original, in pixels
	Original string // name of the original in the bucket
	SHA256   string // of the original, hex
	Size     int64  // of the original, in bytes

	// Thumbnails are the names of the thumbnails in the bucket, in the order of
	// ThumbnailVariants.
	Thumbnails []string
	// ThumbnailSums are the SHA-256 of each of Thumbnails, hex. A sum is empty if the
	// image is older than the column.
	ThumbnailSums []string
}

// ThumbnailVariants are the sizes of Stored.Thumbnails, in order.
var ThumbnailVariants = []Variant{Thumbnail, ThumbnailMini}

// storedColumns are the columns for storedOf.
var storedColumns = []string{
	image.FieldID, image.FieldDeviceID, image.FieldTakenAt, image.FieldFileID, image.FieldWidth, image.FieldHeight,
	image.FieldSha256, image.FieldSize, image.FieldThumbnailSha256, image.FieldThumbnailMiniSha256,
}

func storedOf(row *ent.Image) Stored {
	return Stored{
		ImageID: row.ID, Key: KeyOf(row), Width: row.Width, Height: row.Height,
		Original: FileKey(row, Original), SHA256: row.Sha256, Size: row.Size,
		Thumbnails:    []string{FileKey(row, Thumbnail), FileKey(row, ThumbnailMini)},
		ThumbnailSums: []string{hex.EncodeToString(row.ThumbnailSha256), hex.EncodeToString(row.ThumbnailMiniSha256)},
	}
}

// AllStored returns the files of all images in a database, the oldest image first.
func AllStored(ctx context.Context, db *database.DB) iter.Seq2[Stored, error] {
	return StoredAfter(ctx, db, 0)
}

// StoredAfter returns the files of the images with an id greater than lastID, the
// oldest image first.
func StoredAfter(ctx context.Context, db *database.DB, lastID int64) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		const pageSize = 1000
		for {
			rows, err := db.Image.Query().Where(image.IDGT(lastID)).Order(image.ByID()).Limit(pageSize).
				Select(storedColumns...).All(ctx)
			if err != nil {
				yield(Stored{}, err)
				return
			}
			for _, row := range rows {
				lastID = row.ID
				if !yield(storedOf(row), nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
		}
	}
}

// StoredByID returns the files of the image with the given id, and reports whether
// there is such an image.
func StoredByID(ctx context.Context, db *database.DB, id int64) (stored Stored, exists bool, err error) {
	row, err := db.Image.Query().Where(image.ID(id)).Select(storedColumns...).Only(ctx)
	if ent.IsNotFound(err) {
		return Stored{}, false, nil
	}
	if err != nil {
		return Stored{}, false, err
	}
	return storedOf(row), true, nil
}

// DeleteRow deletes the rows of an image and its annotations from a database that no
// server uses, and deletes no files.
func DeleteRow(ctx context.Context, db *database.DB, id int64) error {
	return db.InTx(ctx, func(tx *ent.Tx) error {
		if _, err := tx.Annotation.Delete().Where(annotation.ImageID(id)).Exec(ctx); err != nil {
			return err
		}
		return tx.Image.DeleteOneID(id).Exec(ctx)
	})
}
