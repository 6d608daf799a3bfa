package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"tagma/ent/generated/image"
	"tagma/internal/blobs"
	"tagma/internal/bundles"
	"tagma/internal/database"
	"tagma/internal/images"
)

// Finding is a file that is not as the database says.
type Finding struct {
	What string // missing, altered or orphaned
	Key  string
}

// Verify reads every file that the database speaks of, and looks for files
// that it does not speak of. Those that are younger than a day are left out: an
// upload may be under way. It tells how many files are as they should be.
func Verify(ctx context.Context, db *database.DB, bucket *blob.Bucket, photos *images.Images, now time.Time, found func(Finding)) (right int, err error) {
	for one, err := range images.AllStored(ctx, db) {
		if err != nil {
			return right, err
		}
		findings, err := check(ctx, bucket, one)
		if err != nil {
			return right, err
		}
		if len(findings) > 0 {
			// It may have been deleted while its files were read.
			if still, err := db.Image.Query().Where(image.ID(one.ImageID)).Exist(ctx); err != nil || !still {
				if err != nil {
					return right, err
				}
				continue
			}
		}
		for _, f := range findings {
			found(f)
		}
		right += 1 + len(one.Others) - len(findings)
	}
	of, err := verifyBundles(ctx, db, bucket, found)
	if err != nil {
		return right, err
	}
	return right + of, orphans(ctx, db, bucket, photos, now.Add(-images.Grace), found)
}

// verifyBundles reads the files of all versions of bundles.
func verifyBundles(ctx context.Context, db *database.DB, bucket *blob.Bucket, found func(Finding)) (right int, err error) {
	for content, err := range bundles.AllStored(ctx, db) {
		if err != nil {
			return right, err
		}
		got, err := hashOf(ctx, bucket, content.StoredAs)
		switch {
		case gcerrors.Code(err) == gcerrors.NotFound:
			found(Finding{"missing", content.StoredAs})
		case err != nil:
			return right, fmt.Errorf("%s: %w", content.StoredAs, err)
		case got != content.Sha256:
			found(Finding{"altered", content.StoredAs})
		default:
			right++
		}
	}
	return right, nil
}

// check reads the files of one image.
func check(ctx context.Context, bucket *blob.Bucket, one images.Stored) ([]Finding, error) {
	var findings []Finding
	for n, key := range append([]string{one.Original}, one.Others...) {
		got, err := hashOf(ctx, bucket, key)
		switch {
		case gcerrors.Code(err) == gcerrors.NotFound:
			findings = append(findings, Finding{"missing", key})
		case err != nil:
			return nil, fmt.Errorf("%s: %w", key, err)
		case n == 0 && got != one.SHA256:
			findings = append(findings, Finding{"altered", key})
		}
	}
	return findings, nil
}

// orphans looks for files without a row.
func orphans(ctx context.Context, db *database.DB, bucket *blob.Bucket, photos *images.Images, before time.Time, found func(Finding)) error {
	for files, err := range blobs.Old(ctx, bucket, "", before) {
		if err != nil {
			return err
		}
		ofImages, err := photos.Orphans(ctx, files)
		if err != nil {
			return err
		}
		ofBundles, err := bundles.Orphans(ctx, db, files)
		if err != nil {
			return err
		}
		for _, key := range append(ofImages, ofBundles...) {
			found(Finding{"orphaned", key})
		}
	}
	return nil
}

func hashOf(ctx context.Context, bucket *blob.Bucket, key string) (string, error) {
	r, err := bucket.NewReader(ctx, key, nil)
	if err != nil {
		return "", err
	}
	defer r.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
