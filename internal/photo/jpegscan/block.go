package jpegscan

import "encoding/binary"

// lastCoefficient is the index, in zigzag order, of the last coefficient needed at a quarter
// of the scale: coefficients 0, 1, 2 and 4 are the four lowest frequencies.
const lastCoefficient = 4

// block holds the coefficients of a block up to lastCoefficient. Its extra space receives a
// coefficient after a run of zeros that began before.
type block [32]int

// readBlock reads one block (F.2.2) and stores the coefficients up to lastCoefficient. DC is
// a difference. It reports whether all codes are valid.
//
// An upload spends most of its time in readBlock. So the code prefers table lookups to
// branches: the noise of a photograph makes branches unpredictable, and a wrong prediction
// costs as much as two or three codes. After each refill bits has at least 56 valid bits:
// enough for DC (27) and a coefficient (26), or for three entries of skip.
func (d *decoder) readBlock(dc, ac *huffman, c *block) bool {
	// Local variables stay in registers; fields would be read from memory each time.
	bits, n, pos := d.bits, d.n, d.pos

	bits |= binary.BigEndian.Uint64(d.window[pos:]) >> (n & 63)
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
		bits |= binary.BigEndian.Uint64(d.window[pos:]) >> (n & 63)
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
			bits |= binary.BigEndian.Uint64(d.window[pos:]) >> (n & 63)
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
		bits |= binary.BigEndian.Uint64(d.window[pos:]) >> (n & 63)
		pos += int(63-n) >> 3
		n |= 56
	}
	d.bits, d.n, d.pos = bits, n, pos
	return true
}

// value returns the signed value in the bits of e (F.2.2.1). The value is negative if its
// first bit is 0.
func (e entry) value(bits uint64) int {
	v := int(bits >> (-e.bits() & 63) & (1<<e.size() - 1))
	return v + (v-1<<e.size()>>1)>>63&(1-1<<e.size())
}

// addDC adds the difference of a block to DC. It returns DC times its quantization step, and
// reports whether the result, the sum of all differences, is within twice the range of 8-bit
// pixels.
func (p *plane) addDC(difference int) (dc int, ok bool) {
	p.prevDC += difference
	dc = p.prevDC * int(p.scale[0])
	return dc, dc >= -2048 && dc <= 2048
}

// put writes the 2×2 pixels of the block in column x and row y of the plane. It reports
// whether DC is possible.
func (p *plane) put(c *block, x, y int) bool {
	dc, ok := p.addDC(c[0])
	if !ok {
		return false
	}
	// The inverse DCT of the 2×2 lowest frequencies, with the weights of the 8×8 transform:
	// A.3.3 with cos(π/4)².
	dc += 128*8 + 4
	h, v, d := c[1]*int(p.scale[1]), c[2]*int(p.scale[2]), c[4]*int(p.scale[4])
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
