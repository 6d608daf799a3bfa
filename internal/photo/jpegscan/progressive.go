package jpegscan

import "math/bits"

// progression holds, for each coefficient of a component, the lowest bit that the scans have
// had so far, or absent.
type progression [64]int8

const absent = -1

func newProgression() (p progression) {
	for k := range p {
		p[k] = absent
	}
	return p
}

// add adds a scan of the bits from high − 1 down to low of some coefficients, or of all bits
// down to low if high is 0. It reports whether the scan follows the scans before (G.1.1.1.2).
// A scan may repeat a whole coefficient.
func (p *progression) add(from, to, high, low int) bool {
	for k := from; k <= to; k++ {
		if high != int(max(p[k], 0)) {
			return false
		}
		p[k] = int8(low)
	}
	return true
}

// complete reports whether the scans have had each coefficient down to bit 0.
func (p *progression) complete() bool { return *p == progression{} }

// readProgressive reads what the scan has of the block in column x and row y of a plane (G.2).
// It reports whether all codes are valid.
func (d *decoder) readProgressive(p *plane, x, y int) bool {
	b := (*[64]int16)(p.coefficients[64*(y*p.blocks+x):])
	switch d.scan.mode {
	case firstDC:
		return d.readFirstDC(p, b)
	case refinedDC:
		return d.readRefinedDC(b)
	case firstAC:
		return d.readFirstAC(p.ac, b)
	default:
		return d.readRefinedAC(p.ac, b)
	}
}

func (d *decoder) readFirstDC(p *plane, b *[64]int16) bool {
	d.refill()
	e := p.dc.next(d.bits)
	p.prevDC += e.value(d.bits)
	d.drop(e.bits())
	value := p.prevDC << d.scan.low
	b[0] = int16(value)
	return e != 0 && value == int(b[0])
}

func (d *decoder) readRefinedDC(b *[64]int16) bool {
	isSet := d.bit()
	d.scan.zeroBits.add(isSet, int(b[0])>>(d.scan.low+1))
	if isSet {
		b[0] |= 1 << d.scan.low
	}
	return true
}

// readFirstAC reads the highest bits of the band (G.1.2.2).
func (d *decoder) readFirstAC(ac *huffman, b *[64]int16) bool {
	s := &d.scan
	if s.endOfBand > 0 {
		s.endOfBand--
		return true
	}
	for k := s.from; k <= s.to; {
		d.refill()
		e := ac.next(d.bits)
		if e == 0 {
			return false
		}
		if e.advance() > blockEnd {
			s.endOfBand = e.run(d.bits) - 1
			d.drop(e.bits())
			return true
		}
		if k += e.advance(); k > s.to+1 {
			return false
		}
		if value := e.value(d.bits); value != 0 {
			b[k-1] = int16(value << s.low)
		}
		d.drop(e.bits())
	}
	return true
}

// readRefinedAC reads a further bit of the band (G.1.2.3): of coefficients that were zero by
// codes, and of the others by one bit each in between.
func (d *decoder) readRefinedAC(ac *huffman, b *[64]int16) bool {
	s := &d.scan
	k := s.from
	for s.endOfBand == 0 && k <= s.to {
		d.refill()
		e := ac.next(d.bits)
		if e == 0 {
			return false
		}
		if e.advance() > blockEnd {
			s.endOfBand = e.run(d.bits)
			d.drop(e.bits())
			break
		}
		value := int16(e.value(d.bits)) << s.low
		d.drop(e.bits())
		if k = d.refine(b, k, e.advance()-1); k > s.to {
			return false
		}
		b[k] = value
		k++
	}
	if s.endOfBand > 0 {
		d.refine(b, k, 64)
		s.endOfBand--
	}
	return true
}

// refine reads a bit of each coefficient from k that was not zero, passes by a number of
// zeros, and returns the position of the zero after them, or one after the band.
func (d *decoder) refine(b *[64]int16, k, zeros int) int {
	for ; k <= d.scan.to; k++ {
		switch {
		case b[k] == 0 && zeros == 0:
			return k
		case b[k] == 0:
			zeros--
		case !d.bit():
		case b[k] > 0:
			b[k] += 1 << d.scan.low
		default:
			b[k] -= 1 << d.scan.low
		}
	}
	return k
}

// draw writes the pixels of a block of coefficients. It reports whether DC is possible.
func (p *plane) draw(coefficients *[64]int16, x, y, side int) bool {
	p.prevDC = 0
	if side == quarterSide {
		var c block
		for k := range lastCoefficient + 1 {
			c[k] = int(coefficients[k])
		}
		return p.put(&c, x, y)
	}
	var c wholeBlock
	for k, value := range coefficients {
		c[k] = int(value)
	}
	return p.putWhole(&c, x, y)
}

// zeroBits finds a hole in a scan of the lowest bits of DC, where each bit is a block: a long
// run of zeros while the higher bits have many values. Zeros alone are an even surface, and
// zeros of few values are a drawing.
type zeroBits struct {
	run    int
	values uint64 // bit set of the higher bits, modulo 64
	isHole bool
}

// minValues is the least number of values that make a run of zeros a hole.
const minValues = 16

// add adds the bit of a block with its higher bits.
func (z *zeroBits) add(isSet bool, higher int) {
	if isSet {
		z.run, z.values = 0, 0
		return
	}
	z.run++
	z.values |= 1 << (higher & 63)
	z.isHole = z.isHole || z.run >= 8*minHole && bits.OnesCount64(z.values) >= minValues
}
