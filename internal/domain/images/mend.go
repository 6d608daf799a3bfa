package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	stdimage "image"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/internal/photo/thumbnail"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
)

// ErrOriginal is the error of MakeThumbnails if the original is missing or its SHA-256
// differs from the row.
var ErrOriginal = errors.New("the original is missing or altered too")

// MakeThumbnails makes both thumbnails of an image again from the original, and stores
// their SHA-256 and the orientation in the row. The thumbnails keep their names in the bucket. Their bytes
// may differ from the first thumbnails, if another version of Tagma made the first
// thumbnails. MakeThumbnails writes the files first and the row second. After a crash
// in between, the row has the old SHA-256; call MakeThumbnails again.
func (s *Service) MakeThumbnails(ctx context.Context, stored Stored) error {
	original, err := bucket.ReadAll(ctx, s.bucket, stored.Original)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOriginal, err)
	}
	if sum := sha256.Sum256(original); hex.EncodeToString(sum[:]) != stored.SHA256 {
		return ErrOriginal
	}
	p := &photograph{row: &ent.Image{}, files: map[Variant][]byte{}}
	p.files[Original] = original
	// The limit may have been higher when the photograph was uploaded.
	pixels := max(s.limits.Pixels, int64(stored.Width)*int64(stored.Height))
	release, err := s.admit(ctx, p, pixels)
	if err != nil {
		return err
	}
	defer release()
	if err := s.decode(ctx, p, pixels); err != nil {
		return err
	}
	for n, variant := range ThumbnailVariants {
		// No other image has a file of this name, so overwriting is safe.
		err := bucket.WriteAll(ctx, s.bucket, stored.Thumbnails[n], p.files[variant])
		if err != nil {
			return fmt.Errorf("write %s: %w", stored.Thumbnails[n], err)
		}
	}
	return s.db.InTx(ctx, func(tx *ent.Tx) error {
		return tx.Image.Update().Where(image.ID(stored.ImageID)).
			SetThumbnailSha256(p.row.ThumbnailSha256).SetThumbnailMiniSha256(p.row.ThumbnailMiniSha256).
			SetOrientation(p.row.Orientation).Exec(ctx) // the thumbnails have the orientation
	})
}

// CheckThumbnail returns an error if content cannot be the thumbnail Thumbnails[n] that
// Tagma made of the original. CheckThumbnail is for images whose row has no SHA-256 of
// the thumbnail.
func CheckThumbnail(ctx context.Context, stored Stored, n int, content []byte) error {
	sizes := thumbnail.SizesOf(stored.Width, stored.Height)
	return thumbnail.Check(ctx, content, []stdimage.Point{sizes.Thumbnail, sizes.Mini}[n])
}

// Sum is the SHA-256 of a thumbnail, for a row without that SHA-256.
type Sum struct {
	ImageID int64
	Variant Variant
	SHA256  [sha256.Size]byte
}

// StoreSums writes sums into the rows of their images, in one transaction. A row that
// has a sum already does not change.
func StoreSums(ctx context.Context, db *database.DB, sums []Sum) error {
	if len(sums) == 0 {
		return nil
	}
	return db.InTx(ctx, func(tx *ent.Tx) error {
		for _, sum := range sums {
			update := tx.Image.Update()
			switch sum.Variant {
			case Thumbnail:
				update.Where(image.ID(sum.ImageID), image.ThumbnailSha256IsNil()).SetThumbnailSha256(sum.SHA256[:])
			case ThumbnailMini:
				update.Where(image.ID(sum.ImageID), image.ThumbnailMiniSha256IsNil()).SetThumbnailMiniSha256(sum.SHA256[:])
			default:
				return fmt.Errorf("%s is not a thumbnail", sum.Variant)
			}
			if err := update.Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
