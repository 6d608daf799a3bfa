package images

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	ent "tagma/ent/generated"
	"tagma/internal/photo"
	"tagma/internal/storage/bucket"
)

// Variant is the size of a file of an image.
type Variant string

// Sizes of files.
const (
	Original      Variant = "ORIGINAL"
	Thumbnail     Variant = "THUMBNAIL"
	ThumbnailMini Variant = "THUMBNAIL_MINI"
)

// suffixes are the parts of file names that tell variants apart.
var suffixes = map[Variant]string{Original: "", Thumbnail: ".thumbnail", ThumbnailMini: ".mini"}

// folder is the folder of all files of images in the bucket.
const folder = "images/"

// FileKey returns the name of a file of an image in the bucket, such as
// images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.<file id>.jpg. A person who
// looks into the bucket finds a photograph by device and time.
func FileKey(i *ent.Image, v Variant) string {
	return FileKeyOf(KeyOf(i), i.FileID, v)
}

// FileKeyOf returns the name of a file with the given file id of the image with the
// given key.
func FileKeyOf(key Key, fileID string, v Variant) string {
	name := strings.TrimSuffix(photo.Name(key).String(), ".jpg")
	month := key.TakenAt.Time().Format("2006-01")
	return fmt.Sprintf("%s%s/%s/%s.%s%s.jpg", folder, key.Device, month, name, fileID, suffixes[v])
}

// parseFileKey parses a name that FileKeyOf returned, and no other name.
func parseFileKey(file string) (key Key, fileID string, ok bool) {
	parts := strings.Split(file[strings.LastIndexByte(file, '/')+1:], ".")
	if len(parts) < 4 || len(parts[2]) != fileIDLength {
		return Key{}, "", false
	}
	name, err := photo.ParseName(parts[0] + "." + parts[1] + ".jpg")
	if err != nil {
		return Key{}, "", false
	}
	key, fileID = Key(name), parts[2]
	for variant := range suffixes {
		ok = ok || FileKeyOf(key, fileID, variant) == file
	}
	return key, fileID, ok
}

const fileIDLength = 16

func newFileID() string {
	var random [fileIDLength / 2]byte
	_, _ = rand.Read(random[:]) // never fails: see its documentation
	return hex.EncodeToString(random[:])
}

// write writes files of an image to the bucket concurrently. After write returns nil,
// the files survive a crash.
func (s *Service) write(ctx context.Context, key Key, fileID string, files map[Variant][]byte) error {
	group, ctx := errgroup.WithContext(ctx)
	for variant, content := range files {
		group.Go(func() error { return s.writeFile(ctx, FileKeyOf(key, fileID, variant), content) })
	}
	return group.Wait()
}

// writeFile writes a file and overwrites no other file. An existing file of the same
// content is no error: an earlier attempt over the network may have succeeded without
// an answer.
func (s *Service) writeFile(ctx context.Context, file string, content []byte) error {
	err := s.bucket.Create(ctx, file, bytes.NewReader(content))
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	existing, readErr := bucket.ReadAll(ctx, s.bucket, file)
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	if !bytes.Equal(existing, content) {
		return err
	}
	return nil
}

// discardTime is the longest time that a request waits for files to be deleted.
const discardTime = 10 * time.Second

// discard deletes the files of images. Failures are ignored, because Sweep deletes the
// remaining files.
func (s *Service) discard(ctx context.Context, images ...*ent.Image) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	files := make([]string, 0, len(images)*len(suffixes))
	for _, i := range images {
		for variant := range suffixes {
			files = append(files, FileKey(i, variant))
		}
	}
	_, _ = bucket.Delete(ctx, s.bucket, files)
}
