package jpegscan

import (
	"context"
	"encoding/binary"
)

// decoder reads the scans of a photograph.
type decoder struct {
	reader
	photo    Photo // a copy, because tables may change between scans
	planes   []plane
	side     int // pixels of a block in the picture: quarterSide or wholeSide
	warnings warnings

	scan       scan
	scanNumber int // from 1
}

// The pixels of a block, horizontally and vertically, in a picture at a scale.
const (
	quarterSide = 2
	wholeSide   = 8
)

// plane is one component at the scale of the picture.
type plane struct {
	h, v   int // sampling factors: blocks per MCU of all components
	stride int
	pix    []byte

	dc, ac *huffman
	scale  *[64]uint16 // the quantization steps of the first scan
	prevDC int         // DC of the previous block

	progression  progression
	coefficients []int16 // of a progressive file: 64 for each block, in zigzag order
	blocks       int     // of a row of blocks
}

// newDecoder allocates the picture.
func (p *Photo) newDecoder(side int) *decoder {
	d := &decoder{photo: *p, planes: make([]plane, len(p.components)), side: side}
	d.data = p.data
	d.warnings.standardTables = p.standardTables
	hMax, vMax := p.largest()
	cols, rows := ceil(p.Width, 8*hMax), ceil(p.Height, 8*vMax)
	for i, c := range p.components {
		pl := &d.planes[i]
		pl.h, pl.v = c.h, c.v
		if len(p.components) == 1 {
			pl.h, pl.v = 1, 1
		}
		pl.blocks = pl.h * cols
		pl.stride = side * pl.blocks
		pl.pix = make([]byte, pl.stride*side*pl.v*rows)
		pl.progression = newProgression()
		if p.frame == sof2 {
			pl.coefficients = make([]int16, 64*pl.blocks*pl.v*rows)
		}
	}
	return d
}

func ceil(a, b int) int { return (a + b - 1) / b }

// run reads all scans and segments up to EOI. It returns the error of ctx when ctx ends.
func (d *decoder) run(ctx context.Context) error {
	for at := d.photo.firstSOS; ; {
		if at == len(d.data) {
			d.warnings.noEOI = true
			return d.complete(ctx, "the file is cut off: it ends before its last scan")
		}
		marker := d.markerAt(at)
		if marker == eoi {
			return d.complete(ctx, "the file is damaged: its scans end before the picture is complete")
		}
		if d.scanNumber > 0 && !followsScan(marker) {
			return d.damageAt(d.scan.rows, misplacedMarker)
		}
		marker, body, next, err := segment(d.data, at)
		if err != nil {
			return err
		}
		switch marker {
		case sos:
			next, err = d.readScan(ctx, body, next)
		case dnl:
			err = d.photo.checkDNL(body)
		default:
			err = d.photo.readSegment(marker, body)
		}
		if err != nil {
			return err
		}
		at = next
	}
}

// followsScan reports whether a segment with a marker may follow a scan (B.2.1).
func followsScan(marker byte) bool {
	switch marker {
	case sos, dht, dqt, dri, dnl, com:
		return true
	}
	return marker >= app0 && marker <= appF
}

// markerAt returns the marker at an offset, or 0 if there is none.
func (d *decoder) markerAt(at int) byte {
	if d.data[at] != 0xFF {
		return 0
	}
	for at < len(d.data) && d.data[at] == 0xFF {
		at++
	}
	if at == len(d.data) {
		return 0
	}
	return d.data[at]
}

// checkDNL compares the height in a DNL segment with the frame header (B.2.5).
func (p *Photo) checkDNL(body []byte) error {
	if len(body) != 2 {
		return damage("the file has a DNL segment of %d bytes, not 2", len(body))
	}
	if height := int(binary.BigEndian.Uint16(body)); height != p.Height {
		return damage("the file has %d pixel rows by its frame header, and %d by its DNL segment", p.Height, height)
	}
	return nil
}

// complete checks that the scans have all bits of all coefficients, and draws a progressive
// picture. Incomplete is the damage otherwise.
func (d *decoder) complete(ctx context.Context, incomplete string) error {
	for i := range d.planes {
		if p := &d.planes[i]; !p.progression.complete() {
			return Damage(incomplete)
		}
	}
	for i := range d.planes {
		p := &d.planes[i]
		for n := 0; n < len(p.coefficients); n += 64 {
			x, y := n/64%p.blocks, n/64/p.blocks
			if x == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			if !p.draw((*[64]int16)(p.coefficients[n:]), x, y, d.side) {
				return damage("the file is damaged: a block is brighter or darker than can be")
			}
		}
	}
	return nil
}
