package jpegscan

import (
	"context"
	"encoding/binary"
	"image"
)

// lastCoefficient is the index, in zigzag order, of the last coefficient needed at a quarter
// of the scale: coefficients 0, 1, 2 and 4 are the four lowest frequencies.
const lastCoefficient = 4

// block holds the coefficients of a block up to lastCoefficient. Its extra space receives a
// coefficient after a run of zeros that began before.
type block [32]int

// scan is one pass over the entropy-coded data.
type scan struct {
	reader
	photo      *Photo
	planes     []plane
	mcu        []mcuBlock // the blocks of an MCU, in order (A.2.3)
	cols, rows int        // of MCUs
	mcuHeight  int        // in pixels
}

// plane is one component at a quarter of the scale.
type plane struct {
	dc, ac *huffman
	scale  [lastCoefficient + 1]int // the quantization steps
	prevDC int                      // DC of the previous block

	h, v   int // blocks per MCU, horizontally and vertically
	stride int
	pix    []byte
}

// mcuBlock is a block of the MCU, by plane and position.
type mcuBlock struct {
	plane *plane
	x, y  int
}

func (p *Photo) newScan() (*scan, error) {
	s := &scan{photo: p, planes: make([]plane, len(p.components))}
	s.data = p.data
	hMax, vMax := p.components[0].h, p.components[0].v
	if len(p.components) == 1 {
		hMax, vMax = 1, 1 // the MCU of one component is one block (A.2.2)
	}
	s.mcuHeight = 8 * vMax
	s.cols = ceil(p.Width, 8*hMax)
	s.rows = ceil(p.Height, 8*vMax)

	tables := map[*byte]*huffman{}
	huffmanOf := func(table []byte, ac bool) (*huffman, error) {
		if len(table) > 0 && tables[&table[0]] != nil {
			return tables[&table[0]], nil
		}
		entryOf := entryDC
		if ac {
			entryOf = entryAC
		}
		h, err := newHuffman(table, entryOf)
		if err != nil {
			return nil, err
		}
		if ac {
			h.buildSkip()
		}
		tables[&table[0]] = h
		return h, nil
	}
	for i, c := range p.components {
		if p.quant[c.quant] == nil {
			return nil, damage("a quantization table is missing")
		}
		pl := &s.planes[i]
		pl.h, pl.v = c.h, c.v
		if len(p.components) == 1 {
			pl.h, pl.v = 1, 1
		}
		for k := range pl.scale {
			pl.scale[k] = int(p.quant[c.quant][k])
		}
		var err error
		if pl.dc, err = huffmanOf(p.dc[c.dc], false); err != nil {
			return nil, err
		}
		if pl.ac, err = huffmanOf(p.ac[c.ac], true); err != nil {
			return nil, err
		}
		pl.stride = 2 * pl.h * s.cols
		pl.pix = make([]byte, pl.stride*2*pl.v*s.rows)
		for y := range pl.v {
			for x := range pl.h {
				s.mcu = append(s.mcu, mcuBlock{pl, x, y})
			}
		}
	}
	return s, nil
}

func ceil(a, b int) int { return (a + b - 1) / b }

// run reads every MCU and every marker up to EOI. It returns the error of ctx when ctx ends.
func (s *scan) run(ctx context.Context) error {
	s.open(s.photo.scan)
	mcusToRestart, restarts := s.photo.interval, 0
	for row := range s.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		for col := range s.cols {
			if mcusToRestart == 0 && s.photo.interval > 0 {
				if err := s.restart(rst0+byte(restarts&7), row); err != nil {
					return err
				}
				mcusToRestart = s.photo.interval
				restarts++
			}
			mcusToRestart--
			if err := s.readMCU(col, row); err != nil {
				return err
			}
		}
	}
	if err := s.finish(eoi, s.rows); err != nil {
		return err
	}
	return s.hole()
}

func (s *scan) restart(marker byte, row int) error {
	if err := s.finish(marker, row); err != nil {
		return err
	}
	for i := range s.planes {
		s.planes[i].prevDC = 0
	}
	s.open(s.src)
	return nil
}

// finish checks that the data end here, with the given marker.
func (s *scan) finish(marker byte, row int) error {
	switch endsWithPadding := s.endsWithPadding(); {
	case s.closed && s.marker == 0:
		return s.damageAt(row, "")
	case !endsWithPadding:
		return s.damageAt(row, "there are data that belong to no block")
	case s.marker != marker:
		return s.damageAt(row, "a marker is missing or out of turn")
	}
	return nil
}

// damageAt returns a Damage with its kind and the pixel row at which it was detected. Damage
// is often detected after its place.
func (s *scan) damageAt(row int, what string) error {
	at := min(row*s.mcuHeight, s.photo.Height)
	if s.closed && s.marker == 0 {
		return damage("the file is cut off: it ends at pixel row %d of %d", at, s.photo.Height)
	}
	return damage("the file is damaged, seen at pixel row %d of %d: %s", at, s.photo.Height, what)
}

func (s *scan) readMCU(col, row int) error {
	s.ensureMCU()
	for i := range s.mcu {
		b := &s.mcu[i]
		var c block
		if !s.readBlock(b.plane.dc, b.plane.ac, &c) {
			return s.damageAt(row, "there is a code that means nothing")
		}
		if !b.plane.put(&c, col*b.plane.h+b.x, row*b.plane.v+b.y) {
			return s.damageAt(row, "a block is brighter or darker than can be")
		}
	}
	if s.remainingBits() < 0 {
		return s.damageAt(row, "there are fewer blocks than the size asks for")
	}
	return nil
}

// readBlock reads one block (F.2.2) and stores the coefficients up to lastCoefficient. DC is
// a difference. It reports whether all codes are valid.
//
// An upload spends most of its time in readBlock. So the code prefers table lookups to
// branches: the noise of a photograph makes branches unpredictable, and a wrong prediction
// costs as much as two or three codes. After each refill bits has at least 56 valid bits:
// enough for DC (27) and a coefficient (26), or for three entries of skip.
func (s *scan) readBlock(dc, ac *huffman, c *block) bool {
	// Local variables stay in registers; fields would be read from memory each time.
	bits, n, pos := s.bits, s.n, s.pos

	bits |= binary.BigEndian.Uint64(s.window[pos:]) >> (n & 63)
	pos += int(63-n) >> 3
	n |= 56
	e := dc.next(bits)
	if e == 0 {
		return false
	}
	c[0] = e.value(bits)
	bits <<= e.bits()
	n -= e.bits()
	k := 1
	for k <= lastCoefficient {
		if e = ac.next(bits); e == 0 {
			return false
		}
		k += e.advance()
		c[uint(k-1)%uint(len(c))] = e.value(bits)
		bits <<= e.bits()
		n -= e.bits()
		bits |= binary.BigEndian.Uint64(s.window[pos:]) >> (n & 63)
		pos += int(63-n) >> 3
		n |= 56
	}
	// The rest of the block is checked without values, two or three coefficients at once.
	for k < 64 {
		e := entry(ac.skip[bits>>(64-skipBits)])
		to := k + int(e>>6)
		if to < 64 {
			bits <<= e.bits()
			n -= e.bits()
			k = to
			e = entry(ac.skip[bits>>(64-skipBits)])
			if to = k + int(e>>6); to < 64 {
				bits <<= e.bits()
				n -= e.bits()
				k = to
				e = entry(ac.skip[bits>>(64-skipBits)])
				to = k + int(e>>6)
			}
		}
		if to >= 64 && !atBlockEnd(to) {
			// The next code is too long for skip, or skip reads into the next block.
			bits |= binary.BigEndian.Uint64(s.window[pos:]) >> (n & 63)
			pos += int(63-n) >> 3
			n |= 56
			if e = ac.next(bits); e == 0 {
				return false
			}
			if to = k + e.advance(); to >= 64 && !atBlockEnd(to) {
				return false
			}
		}
		bits <<= e.bits()
		n -= e.bits()
		k = to
		bits |= binary.BigEndian.Uint64(s.window[pos:]) >> (n & 63)
		pos += int(63-n) >> 3
		n |= 56
	}
	s.bits, s.n, s.pos = bits, n, pos
	return true
}

// value returns the signed value in the bits of e (F.2.2.1). The value is negative if its
// first bit is 0.
func (e entry) value(bits uint64) int {
	v := int(bits >> (-e.bits() & 63) & (1<<e.size() - 1))
	return v + (v-1<<e.size()>>1)>>63&(1-1<<e.size())
}

// put writes the 2×2 pixels of the block in column x and row y of the plane. It reports
// whether DC, the sum of all differences, is within twice the range of 8-bit pixels.
func (p *plane) put(c *block, x, y int) bool {
	p.prevDC += c[0]
	dc := p.prevDC * p.scale[0]
	if dc < -2048 || dc > 2048 {
		return false
	}
	// The inverse DCT of the 2×2 lowest frequencies, with the weights of the 8×8 transform:
	// A.3.3 with cos(π/4)².
	dc += 128*8 + 4
	h, v, d := c[1]*p.scale[1], c[2]*p.scale[2], c[4]*p.scale[4]
	at := 2*y*p.stride + 2*x
	top, bottom := p.pix[at:at+2], p.pix[at+p.stride:at+p.stride+2]
	top[0] = clamp((dc + h + v + d) >> 3)
	top[1] = clamp((dc - h + v - d) >> 3)
	bottom[0] = clamp((dc + h - v - d) >> 3)
	bottom[1] = clamp((dc - h - v + d) >> 3)
	return true
}

func clamp(v int) byte {
	return byte(min(max(v, 0), 255))
}

// picture returns the pixels as an image of the standard library.
func (s *scan) picture() image.Image {
	rect := image.Rect(0, 0, ceil(s.photo.Width, 4), ceil(s.photo.Height, 4))
	y := &s.planes[0]
	if len(s.planes) == 1 {
		return &image.Gray{Pix: y.pix, Stride: y.stride, Rect: rect}
	}
	ratio := image.YCbCrSubsampleRatio444
	switch {
	case y.h == 2 && y.v == 2:
		ratio = image.YCbCrSubsampleRatio420
	case y.h == 2:
		ratio = image.YCbCrSubsampleRatio422
	case y.v == 2:
		ratio = image.YCbCrSubsampleRatio440
	}
	return &image.YCbCr{
		Y: y.pix, Cb: s.planes[1].pix, Cr: s.planes[2].pix,
		YStride: y.stride, CStride: s.planes[1].stride,
		SubsampleRatio: ratio, Rect: rect,
	}
}
