// Package jpegscan owns the reading of JPEG files: a strict check of every block, which also
// returns the pixels, at full scale or at a quarter of the scale.
//
// The package reads sequential and progressive files in Huffman code with 8 bits a sample and
// any sampling: grey, YCbCr, RGB, and CMYK with Adobe's marker. A file of another kind is an
// Unsupported. Photographs of cameras are ordinary: sequential and in one scan. The package
// is fast for ordinary files at a quarter of the scale. The package does not own encoding,
// filters and limits: package thumbnail compares the size and the Work of a Photo with its
// limits before decoding. AppSegments yields the metadata; the package does not own their
// content.
//
// The format is ITU-T T.81 (1992); comments refer to its sections. The package makes more
// checks than usual decoders. It refuses a file
//   - with more or fewer blocks than the size requires, in a scan or between two restart
//     markers, or with restart markers out of order;
//   - with more than 16 bytes that belong to no block before a marker, or with zeros before
//     EOI, which a file system leaves in place of the last data;
//   - that ends before the last block (bytes after EOI are ignored, because some cameras
//     append raw data of the sensor);
//   - with coefficients beyond the end of a block, or larger than in any 8-bit picture
//     (tables F.1 and F.2);
//   - with a long run of zero bytes where zeros do not stand for empty blocks (see hole);
//   - without a scan for each bit of each coefficient.
//
// A file with all blocks is whole, and what surrounds the blocks is no reason to refuse the
// file: see Warning.
//
// The package cannot detect a change that passes all checks: one flipped bit of a
// coefficient, the loss of fewer bytes than a few blocks, or, in some of a hundred trials,
// a sector with another part of the photograph. In some of a thousand trials, the codes of a
// progressive file fall into step again after a lost sector, at the same block. In a scan of the lowest bits of DC, each bit
// is valid: a hole is found only among blocks of many values (see zeroBits). Only a digest
// detects such changes.
package jpegscan

import (
	"context"
	"errors"
	"fmt"
	"image"
)

// ErrNotJPEG is returned for data that do not begin like a JPEG.
var ErrNotJPEG = errors.New("it is not a JPEG file")

// Damage is an error in the file, described for the sender of the file.
type Damage string

// Error returns the description.
func (d Damage) Error() string { return string(d) }

func damage(format string, args ...any) Damage { return Damage(fmt.Sprintf(format, args...)) }

// Unsupported is a kind of JPEG that is not read, described for the sender of the file. The
// file may be whole.
type Unsupported string

// Error returns the description.
func (u Unsupported) Error() string { return string(u) }

func unsupported(format string, args ...any) Unsupported {
	return Unsupported(fmt.Sprintf(format, args...))
}

// Quarter checks the whole file and returns its pixels at a quarter of the scale: an
// *image.Gray or an *image.YCbCr of ⌈Width/4⌉ × ⌈Height/4⌉. Each 8×8 block becomes 2×2
// pixels. If 4 does not divide the size, the last column and row lie partly outside the
// photograph. RGB and CMYK are converted.
//
// The warnings are in the order of the constants, each once, or nil. The error is a Damage,
// or the error of ctx. Quarter allocates Bytes of a quarter, and about 100 kB.
func (p *Photo) Quarter(ctx context.Context) (image.Image, []Warning, error) {
	return p.read(ctx, quarterSide)
}

// Whole is like Quarter, at full scale: an image of Width × Height. Whole takes several times
// as long.
func (p *Photo) Whole(ctx context.Context) (image.Image, []Warning, error) {
	return p.read(ctx, wholeSide)
}

// read returns the picture with blocks of side × side pixels.
func (p *Photo) read(ctx context.Context, side int) (image.Image, []Warning, error) {
	d := p.newDecoder(side)
	if err := d.run(ctx); err != nil {
		return nil, nil, err
	}
	return d.picture(), d.warnings.list(), nil
}
