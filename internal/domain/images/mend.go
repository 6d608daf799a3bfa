package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	stdimage "image"

	"gocloud.dev/blob"

	ent "tagma/ent/generated"
	"tagma/ent/generated/image"
	"tagma/internal/photo/thumbnail"
	"tagma/internal/storage/database"
)

// ErrOriginal is the reason why MakeThumbnails cannot make anything: the original
// is not what the row says.
var ErrOriginal = errors.New("the original is missing or altered too")

// MakeThumbnails makes both small pictures of an image again from its original,
// and notes their SHA-256. The pictures keep their names in the store: they may
// differ in their bytes from the first ones, if another version of Tagma made
// those. The bytes go first and the row second. After a crash in between the row
// has the old SHA-256, and to call MakeThumbnails again does no harm.
func (s *Service) MakeThumbnails(ctx context.Context, one Stored) error {
	original, err := s.bucket.ReadAll(ctx, one.Original)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOriginal, err)
	}
	if sum := sha256.Sum256(original); hex.EncodeToString(sum[:]) != one.SHA256 {
		return ErrOriginal
	}
	p := &photograph{row: &ent.Image{}, files: map[Variant][]byte{}}
	p.files[Original] = original
	// The photograph was accepted, perhaps under a higher limit than today's.
	pixels := max(s.limits.Pixels, int64(one.Width)*int64(one.Height))
	leave, err := s.admit(ctx, p, pixels)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.decode(ctx, p, pixels); err != nil {
		return err
	}
	for n, variant := range OtherVariants {
		// Only the file of this image may have this name: to overwrite it is safe.
		err := s.bucket.Upload(ctx, one.Others[n], bytes.NewReader(p.files[variant]), &blob.WriterOptions{ContentType: "image/jpeg"})
		if err != nil {
			return fmt.Errorf("write %s: %w", one.Others[n], err)
		}
	}
	return s.db.InTx(ctx, func(tx *ent.Tx) error {
		return tx.Image.Update().Where(image.ID(one.ImageID)).
			SetThumbnailSha256(p.row.ThumbnailSha256).SetThumbnailMiniSha256(p.row.ThumbnailMiniSha256).Exec(ctx)
	})
}

// CheckThumbnail reports why the content of a small picture, Others[n] of the
// image, cannot be what Tagma made of the original. It is for a picture whose
// SHA-256 the row does not know.
func CheckThumbnail(ctx context.Context, one Stored, n int, content []byte) error {
	sizes := thumbnail.SizesOf(one.Width, one.Height)
	return thumbnail.Check(ctx, content, []stdimage.Point{sizes.Thumbnail, sizes.Mini}[n])
}

// Sum is the SHA-256 of a small picture, for a row that does not know it.
type Sum struct {
	ImageID int64
	Variant Variant
	SHA256  [sha256.Size]byte
}

// NoteSums writes sums into the rows of their images, in one transaction. A row
// that knows the sum by now stays as it is.
func NoteSums(ctx context.Context, db *database.DB, sums []Sum) error {
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
				return fmt.Errorf("%s is not a small picture", sum.Variant)
			}
			if err := update.Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}
