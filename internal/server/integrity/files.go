package integrity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/ownership"
)

// maxNotes is the largest number of thumbnails' sums in one transaction.
const maxNotes = 200

// ImagesAfter checks the files of the images with ids above id. Done, if set, is called with
// the id of each image after the check of the image.
func (c *Checker) ImagesAfter(ctx context.Context, id int64, done func(id int64) error) error {
	return c.reportDamage("images", c.imagesAfter(ctx, id, done))
}

func (c *Checker) imagesAfter(ctx context.Context, id int64, done func(id int64) error) error {
	for image, err := range images.StoredAfter(ctx, c.DB, id) {
		if err != nil {
			return errors.Join(err, c.flushNotes(ctx))
		}
		if err := c.image(ctx, image); err != nil {
			return err
		}
		if len(c.notes) >= maxNotes {
			if err := c.flushNotes(ctx); err != nil {
				return err
			}
		}
		if done != nil {
			if err := done(image.ImageID); err != nil {
				return err
			}
		}
	}
	return c.flushNotes(ctx)
}

func (c *Checker) flushNotes(ctx context.Context) error {
	notes := c.notes
	c.notes = nil
	return images.StoreSums(ctx, c.DB, notes)
}

// image checks the files of an image, and reports the findings.
func (c *Checker) image(ctx context.Context, image images.Stored) error {
	for {
		findings, err := c.filesOf(ctx, image)
		if err != nil {
			return err
		}
		if len(findings) > 0 {
			// The image may have been deleted, or mended, while the files were read.
			now, found, err := images.StoredByID(ctx, c.DB, image.ImageID)
			if err != nil {
				return err
			}
			if !found {
				return nil
			}
			if !slices.Equal(now.ThumbnailSums, image.ThumbnailSums) {
				image = now
				continue
			}
			if c.Mend {
				c.makeThumbnails(ctx, image, findings)
			}
		}
		c.right += 1 + len(image.Thumbnails) - len(findings)
		for _, f := range findings {
			c.Found(f)
		}
		return c.ended(ctx)
	}
}

// filesOf reads the files of an image, and returns the findings. For a thumbnail without a
// SHA-256 in the row, filesOf checks the picture itself and notes the SHA-256: see
// flushNotes.
func (c *Checker) filesOf(ctx context.Context, image images.Stored) (findings []Finding, err error) {
	about := func(what string) string {
		return fmt.Sprintf("%s of the image of %s at %s", what, image.Key.Device, image.Key.TakenAt)
	}
	sum, _, err := c.read(ctx, image.Original, false)
	if f, wrong := compareSum(image.Original, about("original"), sum, image.SHA256, err); wrong {
		findings = append(findings, f)
	}
	var notes []images.Sum
	for n, key := range image.Thumbnails {
		if err := c.ended(ctx); err != nil {
			return nil, err
		}
		what := about([]string{"thumbnail", "smaller thumbnail"}[n])
		want := image.ThumbnailSums[n]
		sum, content, err := c.read(ctx, key, want == "")
		if want == "" && err == nil {
			if err := images.CheckThumbnail(ctx, image, n, content); err != nil {
				findings = append(findings, Finding{Kind: Altered, Key: key, About: what, Err: err})
				continue
			}
			notes = append(notes, images.Sum{ImageID: image.ImageID, Variant: images.ThumbnailVariants[n], SHA256: sha256.Sum256(content)})
			want = sum
		}
		if f, wrong := compareSum(key, what, sum, want, err); wrong {
			findings = append(findings, f)
		}
	}
	c.notes = append(c.notes, notes...)
	return findings, c.ended(ctx)
}

// compareSum returns the finding for a file, and whether there is a fault.
func compareSum(key, about, sum, want string, err error) (Finding, bool) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Finding{Kind: Missing, Key: key, About: about}, true
	case err != nil:
		return Finding{Kind: Unreadable, Key: key, About: about, Err: err}, true
	case sum != want:
		return Finding{Kind: Altered, Key: key, About: about}, true
	}
	return Finding{}, false
}

// makeThumbnails makes the thumbnails of an image again, if findings has a thumbnail, and
// sets Mended or Err of the thumbnails' findings.
func (c *Checker) makeThumbnails(ctx context.Context, image images.Stored, findings []Finding) {
	small := func(f Finding) bool { return f.Key != image.Original }
	if !slices.ContainsFunc(findings, small) {
		return
	}
	err := c.Images.MakeThumbnails(ctx, image)
	for n := range findings {
		if !small(findings[n]) {
			continue
		}
		findings[n].Mended = err == nil
		if err != nil {
			findings[n].Err = fmt.Errorf("cannot be made again: %w", err)
		}
	}
}

// BundlesAfter checks the contents of bundles with ids above id. Done, if set, is called
// with the id of each content after the check of the content.
func (c *Checker) BundlesAfter(ctx context.Context, id int64, done func(id int64) error) error {
	return c.reportDamage("bundles", c.bundlesAfter(ctx, id, done))
}

func (c *Checker) bundlesAfter(ctx context.Context, id int64, done func(id int64) error) error {
	for content, err := range bundles.StoredAfter(ctx, c.DB, id) {
		if err != nil {
			return err
		}
		if err := c.bundleFile(ctx, content); err != nil {
			return err
		}
		if done != nil {
			if err := done(content.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Checker) bundleFile(ctx context.Context, content *ent.BundleContent) error {
	sum, _, err := c.read(ctx, content.StoredAs, false)
	if c.ended(ctx) != nil {
		return c.ended(ctx)
	}
	f, wrong := compareSum(content.StoredAs, "", sum, content.Sha256, err)
	if !wrong {
		c.right++
		return nil
	}
	const shown = 3
	names, err := bundles.FilesOf(ctx, c.DB, content.ID, shown+1)
	if err != nil {
		return err
	}
	if len(names) > shown {
		names = append(names[:shown], "and others")
	}
	f.About = "file of the bundle " + strings.Join(names, ", ")
	c.Found(f)
	return nil
}

// Orphans reports files without a row, if last modified before a moment.
func (c *Checker) Orphans(ctx context.Context, before time.Time) error {
	return c.reportDamage("files without a row", c.orphans(ctx, before))
}

func (c *Checker) orphans(ctx context.Context, before time.Time) error {
	for files, err := range bucket.ListBefore(ctx, c.Bucket, "", before) {
		if c.ended(ctx) != nil {
			return c.ended(ctx)
		}
		if err != nil { // always the last element of the list
			c.Found(Finding{Kind: Unreadable, Key: "files", About: "list of the files in the store", Err: err})
			return nil
		}
		ofImages, err := c.Images.Orphans(ctx, files)
		if err != nil {
			return err
		}
		ofBundles, err := bundles.Orphans(ctx, c.DB, files)
		if err != nil {
			return err
		}
		for _, key := range append(ofImages, ofBundles...) {
			c.Found(Finding{Kind: Orphaned, Key: key})
		}
	}
	return nil
}

// PairingFile compares the pairing file of the bucket with the database.
func (c *Checker) PairingFile(ctx context.Context) error {
	err := c.reportDamage("pairing", c.Pairing.Check(ctx))
	switch {
	case err == nil, c.ended(ctx) != nil:
		return c.ended(ctx)
	case errors.Is(err, ownership.ErrApart):
		c.Found(Finding{Kind: Foreign, Key: "pairing", Err: err})
	default:
		c.Found(Finding{Kind: Unreadable, Key: "pairing", Err: err})
	}
	return nil
}

// read reads a file, and returns the SHA-256 in hex. If keep is set, read also returns the
// content, up to longestPicture bytes, for the check of a thumbnail.
func (c *Checker) read(ctx context.Context, key string, keep bool) (sum string, content []byte, err error) {
	in, err := c.Bucket.Open(ctx, key)
	if err != nil {
		return "", nil, err
	}
	defer in.Close()
	const longestPicture = 16 << 20 // many times the size of a thumbnail
	hash := sha256.New()
	var picture bytes.Buffer
	buffer := make([]byte, 256<<10)
	for {
		n, err := in.Read(buffer)
		hash.Write(buffer[:n])
		if keep && picture.Len() < longestPicture {
			picture.Write(buffer[:n])
		}
		if err := c.pace(ctx, int64(n)); err != nil {
			return "", nil, err
		}
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)), picture.Bytes(), nil
		}
		if err != nil {
			return "", nil, err
		}
	}
}
