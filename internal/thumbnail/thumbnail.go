// Package thumbnail owns the making of small pictures of a photograph, and with
// it the check that the whole of the photograph decodes.
//
// The two go together because both must read every block, and that is most of
// the work. It owns neither where pictures are kept nor how many are made at
// once: the caller bounds the work by cores and the memory by Weight.
//
// A photograph is taken as its pixels are stored. EXIF does not turn it, because
// annotations are drawn on those pixels.
package thumbnail

import (
	"bytes"
	"errors"
	"image/jpeg"
	"io"
	"math"

	"tagma/internal/fault"
	"tagma/internal/jpegscan"
	"tagma/internal/jpegwrite"
)

// The boxes that the two pictures fit in, in pixels.
const (
	Width      = 512
	Height     = 384
	MiniWidth  = 128
	MiniHeight = 96
)

// quality is that of both pictures, on libjpeg's scale.
const quality = 85

// Set is what is made of a photograph. Both pictures are JPEG, keep its aspect
// and are never larger than it.
type Set struct {
	Width, Height int    // of the photograph, in pixels as stored
	Thumbnail     []byte // within Width × Height
	Mini          []byte // within MiniWidth × MiniHeight
}

// Make checks the whole photograph and makes its small pictures, on one core.
//
// Errors are *fault.Error: TOO_LARGE for more than maxPixels pixels, which the
// header tells before anything is allocated, and BAD_USER_INPUT for what is no
// JPEG, cut off or damaged, or of a kind that nothing here can read.
func Make(data []byte, maxPixels int64) (*Set, error) {
	photo, err := open(data, maxPixels)
	if err != nil {
		return nil, err
	}
	source, err := decode(photo, data)
	if err != nil {
		return nil, inputError(err)
	}
	large := source.resize(fit(photo, Width, Height))
	small := large.resize(fit(photo, MiniWidth, MiniHeight))

	set := &Set{Width: photo.Width, Height: photo.Height}
	if set.Thumbnail, err = jpegwrite.Encode(large.image(), quality); err != nil {
		return nil, err
	}
	if set.Mini, err = jpegwrite.Encode(small.image(), quality); err != nil {
		return nil, err
	}
	return set, nil
}

// Weight is the most memory that Make allocates for the photograph, in bytes
// and without the data themselves. It is known from the header alone. The
// errors are those of Make for a header.
func Weight(data []byte, maxPixels int64) (int64, error) {
	photo, err := open(data, maxPixels)
	if err != nil {
		return 0, err
	}
	const tablesAndPictures = 2 << 20
	pixels := (int64(photo.Width) + 32) * (int64(photo.Height) + 32) // whole MCUs
	switch {
	case canUseQuarter(photo):
		return tablesAndPictures + pixels/2, nil
	case photo.Ordinary:
		return tablesAndPictures + 8*pixels, nil
	default:
		// The standard library holds all coefficients of a progressive file,
		// which is 4 bytes to each of up to four components.
		return tablesAndPictures + 36*pixels, nil
	}
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
	return photo, nil
}

// inputError makes an error of the file fit for whoever sent it.
func inputError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file is cut off")
	}
	return fault.New(fault.BadInput, "the image cannot be read: %v. Send the whole file as the camera wrote it", err)
}

// decode checks the photograph and gives its pixels, at the scale that is
// enough.
func decode(photo *jpegscan.Photo, data []byte) (picture, error) {
	if photo.Ordinary {
		quarter, err := photo.Quarter()
		if err != nil {
			return picture{}, err
		}
		if canUseQuarter(photo) {
			return newPicture(quarter, float64(photo.Width)/4, float64(photo.Height)/4), nil
		}
		// The file is whole, but small, and reading it again is cheap.
	}
	full, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return picture{}, err
	}
	return newPicture(full, float64(photo.Width), float64(photo.Height)), nil
}

// canUseQuarter reports whether the pictures can be had of a quarter. It wants
// some pixels more than the larger of them has: at 4 times its size, not 5, what
// the reduced transform folds into each pixel costs 0.8 dB against Lanczos.
func canUseQuarter(p *jpegscan.Photo) bool {
	return p.Ordinary && (p.Width >= 5*Width || p.Height >= 5*Height)
}

// fit is the largest size of the photograph's aspect within a box, but not
// larger than the photograph.
func fit(p *jpegscan.Photo, width, height int) (w, h int) {
	scale := min(1, float64(width)/float64(p.Width), float64(height)/float64(p.Height))
	w = int(math.Round(float64(p.Width) * scale))
	h = int(math.Round(float64(p.Height) * scale))
	return max(1, w), max(1, h)
}
