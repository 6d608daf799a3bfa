package images

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
	"golang.org/x/sync/errgroup"

	ent "tagma/ent/generated"
	"tagma/internal/photo"
	"tagma/internal/storage/blobs"
)

// Variant is a size in which an image is kept.
type Variant string

// The sizes.
const (
	Original      Variant = "ORIGINAL"
	Thumbnail     Variant = "THUMBNAIL"
	ThumbnailMini Variant = "THUMBNAIL_MINI"
)

var suffixes = map[Variant]string{Original: "", Thumbnail: ".thumbnail", ThumbnailMini: ".mini"}

// folder is where the files of images are in the store.
const folder = "images/"

// FileKey is the name under which a size of an image is in the store, such as
// images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.<file id>.jpg. A person
// who looks into the store finds a photograph by it.
func FileKey(i *ent.Image, v Variant) string {
	return FileKeyOf(KeyOf(i), i.FileID, v)
}

// FileKeyOf is FileKey of the image with a key, whose files have that id.
func FileKeyOf(key Key, fileID string, v Variant) string {
	name := strings.TrimSuffix(photo.Name(key).String(), ".jpg")
	month := key.TakenAt.Time().Format("2006-01")
	return fmt.Sprintf("%s%s/%s/%s.%s%s.jpg", folder, key.Device, month, name, fileID, suffixes[v])
}

// parseFileKey reads what FileKeyOf made, and nothing else.
func parseFileKey(key string) (of Key, fileID string, ok bool) {
	parts := strings.Split(key[strings.LastIndexByte(key, '/')+1:], ".")
	if len(parts) < 4 || len(parts[2]) != fileIDLength {
		return Key{}, "", false
	}
	name, err := photo.ParseName(parts[0] + "." + parts[1] + ".jpg")
	if err != nil {
		return Key{}, "", false
	}
	of, fileID = Key(name), parts[2]
	for variant := range suffixes {
		ok = ok || FileKeyOf(of, fileID, variant) == key
	}
	return of, fileID, ok
}

const fileIDLength = 16

func newFileID() string {
	var random [fileIDLength / 2]byte
	_, _ = rand.Read(random[:]) // never fails: see its documentation
	return hex.EncodeToString(random[:])
}

// write puts the files of an image into the store, all at once. When it has
// returned without error they are there for good.
func (s *Service) write(ctx context.Context, key Key, fileID string, files map[Variant][]byte) error {
	group, ctx := errgroup.WithContext(ctx)
	for variant, content := range files {
		group.Go(func() error { return s.writeFile(ctx, FileKeyOf(key, fileID, variant), content) })
	}
	return group.Wait()
}

// writeFile overwrites nothing. If the file is there already, it is our own: a
// store that another machine keeps may have taken it and its answer been lost.
func (s *Service) writeFile(ctx context.Context, file string, content []byte) error {
	err := s.bucket.Upload(ctx, file, bytes.NewReader(content), &blob.WriterOptions{ContentType: "image/jpeg", IfNotExist: true})
	if gcerrors.Code(err) != gcerrors.FailedPrecondition {
		return err
	}
	there, readErr := s.bucket.ReadAll(ctx, file)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if !bytes.Equal(there, content) {
		return err
	}
	return nil
}

// discardTime is how long a request waits for files to go.
const discardTime = 10 * time.Second

// discard takes the files of an image out of the store. Nothing depends on its
// success: what it leaves behind, the sweep clears away.
func (s *Service) discard(ctx context.Context, images ...*ent.Image) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	files := make([]string, 0, len(images)*len(suffixes))
	for _, i := range images {
		for variant := range suffixes {
			files = append(files, FileKey(i, variant))
		}
	}
	_, _ = blobs.Delete(ctx, s.bucket, files)
}
