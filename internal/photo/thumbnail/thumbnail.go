// Package thumbnail owns the small pictures of a photograph, and the check that the whole
// photograph can be decoded, because both must read every block.
//
// The package does not own the storage of pictures, nor concurrency: the caller limits the
// work by cores and the memory by Weight.
//
// EXIF does not rotate a photograph: the pixels are used as stored, because annotations
// refer to these pixels.
package thumbnail

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"

	"tagma/internal/base/fault"
	"tagma/internal/photo/jpegscan"
	"tagma/internal/photo/jpegwrite"
)

// Largest sizes of the two pictures, in pixels.
const (
	Width      = 512
	Height     = 384
	MiniWidth  = 128
	MiniHeight = 96
)

// quality of both pictures, on libjpeg's scale.
const quality = 85

// Set holds the pictures made of a photograph. Both pictures are JPEG, keep the
// aspect ratio, and are never larger than the photograph.
type Set struct {
	Width, Height int    // of the photograph, in pixels as stored
	Thumbnail     []byte // within Width × Height
	Mini          []byte // within MiniWidth × MiniHeight

	// Warnings are what a whole photograph has other than ITU-T T.81 says, in the order of
	// the constants of package jpegscan, each once, or nil.
	Warnings []jpegscan.Warning
}

// The bounds of a photograph with several scans. A progressive file of libjpeg has 10
// scans, which visit each block of the picture 4 to 6 times. A short file can cause much more
// work: a scan of a picture of 64 megapixels may have 60 bytes.
const (
	MaxScans  = 100
	maxVisits = 40 // of each block of the picture, on average
)

// Make checks the whole photograph and makes its small pictures, on one core. It
// ends soon after ctx, with the error of ctx.
//
// Other errors are *fault.Error: the errors of Weigh, and BAD_USER_INPUT for a cut off or
// damaged file.
func Make(ctx context.Context, data []byte, maxPixels int64) (*Set, error) {
	photo, err := open(data, maxPixels)
	if err != nil {
		return nil, err
	}
	source, warnings, err := decode(ctx, photo)
	if ended := ctx.Err(); ended != nil {
		return nil, ended
	}
	if err != nil {
		return nil, inputError(err)
	}
	sizes := SizesOf(photo.Width, photo.Height)
	large := source.resize(sizes.Thumbnail.X, sizes.Thumbnail.Y)
	small := large.resize(sizes.Mini.X, sizes.Mini.Y)

	set := &Set{Width: photo.Width, Height: photo.Height, Warnings: warnings}
	if set.Thumbnail, err = jpegwrite.Encode(large.image(), quality); err != nil {
		return nil, err
	}
	if set.Mini, err = jpegwrite.Encode(small.image(), quality); err != nil {
		return nil, err
	}
	return set, nil
}

// Weight is the cost of Make for a photograph.
type Weight struct {
	// Bytes is the most memory that Make allocates, without the data themselves.
	Bytes int64

	// Slow is set if the photograph has several scans. The time for several scans does not
	// depend on the number of bytes.
	Slow bool
}

// Weigh returns the weight of a photograph. It reads markers and decodes nothing.
//
// Errors are *fault.Error: TOO_LARGE for more than maxPixels pixels, or for more scans or
// visited blocks than the limits; and BAD_USER_INPUT for a file that is no JPEG or of an
// unsupported kind.
func Weigh(data []byte, maxPixels int64) (Weight, error) {
	photo, err := open(data, maxPixels)
	if err != nil {
		return Weight{}, err
	}
	const tablesAndPictures = 2 << 20
	width, height := int64(photo.Width), int64(photo.Height)
	quarter := canUseQuarter(photo)
	bytes := tablesAndPictures + photo.Bytes(!quarter)
	if quarter {
		bytes += (width + 32) * (height + 32) * 3 / 8 // whole MCUs
	} else {
		bytes += 128 * (width + height) // the filters of resize
	}
	return Weight{Bytes: bytes, Slow: !photo.Ordinary}, nil
}

func open(data []byte, maxPixels int64) (*jpegscan.Photo, error) {
	photo, err := jpegscan.Open(data)
	if err != nil {
		return nil, inputError(err)
	}
	if pixels := int64(photo.Width) * int64(photo.Height); pixels > maxPixels {
		return nil, fault.New(fault.TooLarge,
			"the image has %d × %d = %d pixels, and the limit is %d: send a smaller one",
			photo.Width, photo.Height, pixels, maxPixels)
	}
	if photo.Ordinary {
		return photo, nil
	}
	work := photo.Work()
	if work.Scans > MaxScans {
		return nil, fault.New(fault.TooLarge,
			"the image has %d scans, and the limit is %d: save it as a baseline JPEG", work.Scans, MaxScans)
	}
	if work.Blocks > maxVisits*work.Picture {
		return nil, fault.New(fault.TooLarge,
			"the scans of the image have %d blocks, and the limit is %d, which is %d times as many as the picture has: save it as a baseline JPEG",
			work.Blocks, maxVisits*work.Picture, maxVisits)
	}
	return photo, nil
}

// inputError returns an error about the file for the sender, with what to do.
func inputError(err error) error {
	remedy := "Send the whole file as the camera wrote it"
	if _, ok := errors.AsType[jpegscan.Unsupported](err); ok {
		remedy = "Save it as a baseline JPEG of 8 bits a sample, in grey or YCbCr"
	}
	return fault.New(fault.BadInput, "the image cannot be read: %v. %s", err, remedy)
}

// decode checks the photograph and returns its pixels at a sufficient scale.
func decode(ctx context.Context, photo *jpegscan.Photo) (picture, []jpegscan.Warning, error) {
	read, scale := photo.Whole, 1.0
	if canUseQuarter(photo) {
		read, scale = photo.Quarter, 4
	}
	m, warnings, err := read(ctx)
	if err != nil {
		return picture{}, nil, err
	}
	return newPicture(m, float64(photo.Width)/scale, float64(photo.Height)/scale), warnings, nil
}

// canUseQuarter reports whether a quarter is large enough for the pictures. It
// requires a quarter larger than the larger picture: at 4 times the size of the
// picture instead of 5, the reduced transform costs 0.8 dB against Lanczos.
func canUseQuarter(p *jpegscan.Photo) bool {
	return p.Width >= 5*Width || p.Height >= 5*Height
}

// Sizes holds the sizes of the small pictures of a photograph, in pixels.
type Sizes struct{ Thumbnail, Mini image.Point }

// SizesOf returns the sizes of the small pictures that Make makes of a photograph.
func SizesOf(width, height int) Sizes {
	return Sizes{Thumbnail: within(width, height, Width, Height), Mini: within(width, height, MiniWidth, MiniHeight)}
}

// Check returns an error unless data is a complete JPEG picture of a size, without any
// warning: Tagma writes no picture with one. Check ends soon after ctx, with the error of ctx.
func Check(ctx context.Context, data []byte, size image.Point) error {
	picture, err := open(data, int64(size.X)*int64(size.Y))
	if err != nil {
		return err
	}
	if got := image.Pt(picture.Width, picture.Height); got != size {
		return fmt.Errorf("the picture has %d × %d pixels, and not %d × %d", got.X, got.Y, size.X, size.Y)
	}
	_, warnings, err := decode(ctx, picture)
	if err == nil && warnings != nil {
		err = fmt.Errorf("the picture has the warnings %q, and not none", warnings)
	}
	return err
}

// within returns the largest size with the aspect ratio of a photograph that fits into a box
// and is not larger than the photograph.
func within(width, height, boxWidth, boxHeight int) image.Point {
	scale := min(1, float64(boxWidth)/float64(width), float64(boxHeight)/float64(height))
	return image.Pt(
		max(1, int(math.Round(float64(width)*scale))),
		max(1, int(math.Round(float64(height)*scale))),
	)
}
