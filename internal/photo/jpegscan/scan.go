package jpegscan

import (
	"context"
	"encoding/binary"
	"image"
)

// kept is the last coefficient, in zigzag order, that a quarter of the scale
// needs: 0, 1, 2 and 4 are the four lowest frequencies.
const lastCoefficient = 4

// block is the coefficients of a block up to kept. Behind them is room for what
// comes after a run of zeros that began before.
type block [32]int

// scan is one pass over the entropy-coded data.
type scan struct {
	reader
	photo      *Photo
	planes     []plane
	mcu        []mcuBlock // the blocks of one MCU, in their order (A.2.3)
	cols, rows int        // of MCUs
	mcuHeight  int        // in pixels
}

// plane is one component at a quarter of the scale.
type plane struct {
	dc, ac *huffman
	scale  [lastCoefficient + 1]int // what a coefficient weighs
	prevDC int                      // DC of the block before

	h, v   int // blocks of an MCU
	stride int
	pix    []byte
}

// place is where in the MCU a block lies.
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

// run reads every MCU and every marker up to EOI. It ends with ctx.
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

// finish checks that the data end here, with the marker.
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

// broken tells what is wrong and where it was seen, which with damage is often
// later than where it is.
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

// readBlock reads one block (F.2.2) and keeps the coefficients up to kept, of
// which DC is a difference. It reports whether all codes make sense.
//
// It is where most of the time of an upload goes. As little as can be is asked
// on the way, and more looked up: of a photograph's noise a processor guesses the
// answers wrong, which takes it as long as two or three codes. bits has at least
// 56 that are right after each refill: enough for DC (27) and a coefficient (26),
// and for three entries of skip.
func (s *scan) readBlock(dc, ac *huffman, c *block) bool {
	// In variables of its own, because fields would go through memory each time.
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
	// The rest is checked only, two or three coefficients at once. Behind 63 lies
	// the end, as within has it.
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
			// Not even one code is known, or the last one is the next block's.
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

// value is the signed value in the bits that e stands for (F.2.2.1): if the
// first bit of its size is 0, it is negative.
func (e entry) value(bits uint64) int {
	v := int(bits >> (-e.bits() & 63) & (1<<e.size() - 1))
	return v + (v-1<<e.size()>>1)>>63&(1-1<<e.size())
}

// put writes the 2×2 pixels of the block in column x and row y of the plane.
// It reports whether DC, the sum of all differences so far, is within twice
// what 8-bit pixels can have.
func (p *plane) put(c *block, x, y int) bool {
	p.prevDC += c[0]
	dc := p.prevDC * p.scale[0]
	if dc < -2048 || dc > 2048 {
		return false
	}
	// The inverse DCT of the 2×2 lowest frequencies, at the weight they have
	// in the one of 8×8: A.3.3 with cos(π/4)².
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

// picture is what was read, as the standard library has it.
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
