// Package jpegscan owns one pass over an ordinary JPEG file that checks every
// block of it and yields its pixels at a quarter of the scale.
//
// Ordinary is what cameras write: sequential, Huffman-coded, 8 bits, grey or
// YCbCr, in one scan. Open says whether a file is that. What is not, belongs to
// the standard library, which is strict but overlooks holes; Work counts
// beforehand what image/jpeg will have to do. Nothing here encodes, filters or
// limits: thumbnail does, and it compares Photo's size and Work with its limits
// before it asks for pixels.
//
// The format is ITU-T T.81 (1992); the comments name its sections. Beyond what
// decoders commonly check, a file is refused here
//   - whose blocks are not exactly as many as its size asks for, in the file
//     and between any two restart markers, which come in their order;
//   - that holds entropy-coded bits which no block uses, but for less than a
//     byte before a marker, and those all ones (F.1.2.3);
//   - that does not end in EOI (what lies behind EOI is nobody's business:
//     some cameras append the sensor's raw data);
//   - whose coefficients run past the end of a block, or are larger than any
//     8-bit picture has (tables F.1 and F.2);
//   - that has a long run of zero bytes where zeros do not stand for empty
//     blocks (see hole).
//
// It cannot see a change that leaves all this in order: one flipped bit of a
// coefficient, the loss of fewer bytes than a few blocks take, or, in some
// trials of a hundred, a sector with another part of the photograph in it. Only
// a digest tells of that.
package jpegscan

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// ErrNotJPEG says that the data do not begin as a JPEG does.
var ErrNotJPEG = errors.New("it is not a JPEG file")

// ErrNotOrdinary is what Quarter says of a photograph that is not Ordinary.
var ErrNotOrdinary = errors.New("it is not a sequential 8-bit JPEG of one scan")

// Damage is an error of the file, in words fit for whoever sent it.
type Damage string

// Error is the damage.
func (d Damage) Error() string { return string(d) }

func damage(format string, args ...any) Damage { return Damage(fmt.Sprintf(format, args...)) }

// Quarter checks the whole file and gives its pixels at a quarter of the scale:
// an *image.Gray or an *image.YCbCr of ⌈Width/4⌉ × ⌈Height/4⌉. Each 8×8 block
// becomes 2×2 pixels. Where 4 does not divide the size, the last column and row
// lie partly outside the photograph.
//
// It takes as much memory as these pixels, which is a sixteenth of the
// photograph's, and some 100 kB. The error is a Damage, ErrNotOrdinary, or that
// of ctx, which ends the reading.
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
