// Package jpegscan owns the check of every block of an ordinary JPEG file in one pass,
// which also returns the pixels at a quarter of the scale.
//
// Ordinary files are the files of cameras: sequential, Huffman-coded, 8 bits, grey or
// YCbCr, in one scan. Open reports whether a file is ordinary. The caller decodes other
// files by the standard library, which is strict but overlooks holes; Work counts the work
// of image/jpeg in advance. The package does not own encoding, filters and limits: package
// thumbnail compares the size and the Work of a Photo with its limits before decoding.
//
// The format is ITU-T T.81 (1992); comments refer to its sections. The package makes more
// checks than usual decoders. It refuses a file
//   - with more or fewer blocks than the size requires, in the file or between two restart
//     markers, or with restart markers out of order;
//   - with entropy-coded bits that belong to no block, except for less than a byte of ones
//     before a marker (F.1.2.3);
//   - without EOI at the end (bytes after EOI are ignored, because some cameras append raw
//     data of the sensor);
//   - with coefficients beyond the end of a block, or larger than in any 8-bit picture
//     (tables F.1 and F.2);
//   - with a long run of zero bytes where zeros do not stand for empty blocks (see hole).
//
// The package cannot detect a change that passes all checks: one flipped bit of a
// coefficient, the loss of fewer bytes than a few blocks, or, in some of a hundred trials,
// a sector with another part of the photograph. Only a digest detects such changes.
package jpegscan

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// ErrNotJPEG is returned for data that do not begin like a JPEG.
var ErrNotJPEG = errors.New("it is not a JPEG file")

// ErrNotOrdinary is returned by Quarter for a photograph that is not Ordinary.
var ErrNotOrdinary = errors.New("it is not a sequential 8-bit JPEG of one scan")

// Damage is an error in the file, described for the sender of the file.
type Damage string

// Error returns the description.
func (d Damage) Error() string { return string(d) }

func damage(format string, args ...any) Damage { return Damage(fmt.Sprintf(format, args...)) }

// Quarter checks the whole file and returns its pixels at a quarter of the scale: an
// *image.Gray or an *image.YCbCr of ⌈Width/4⌉ × ⌈Height/4⌉. Each 8×8 block becomes 2×2
// pixels. If 4 does not divide the size, the last column and row lie partly outside the
// photograph.
//
// Quarter allocates the returned pixels, a sixteenth of the photograph's, and about 100 kB.
// The error is a Damage, ErrNotOrdinary, or the error of ctx.
func (p *Photo) Quarter(ctx context.Context) (image.Image, error) {
	if !p.Ordinary {
		return nil, ErrNotOrdinary
	}
	s, err := p.newScan()
	if err != nil {
		return nil, err
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s.picture(), nil
}
