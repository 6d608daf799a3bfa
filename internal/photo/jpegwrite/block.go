package jpegwrite

import (
	"math"
	"math/bits"

	"tagma/internal/photo/internal/swar"
)

// plane is a component of the picture (luminance or a chrominance) with the
// tables for writing the component.
type plane struct {
	pix           []byte
	stride        int
	width, height int
	blocks        int // blocks per MCU, horizontally and vertically

	scale  *[64]int64 // factors of the coefficients: see scaleTable
	dc, ac *[256]code
	prevDC int // DC of the previous block
}

const (
	cosBits      = 13 // fraction bits of a cosine
	fractionBits = 3  // fraction bits after the transform in one direction
	scaleBits    = 24 // fraction bits of a scale
)

// The cosines of A.3.3: cosN is cos(Nπ/16).
const (
	cos1 = 8035 // multiplied by 2¹³
	cos2 = 7568
	cos3 = 6811
	cos4 = 5793
	cos5 = 4551
	cos6 = 3135
	cos7 = 1598
)

// zigzag holds the position of each coefficient in the order of figure A.6, by
// row and column.
var zigzag = func() (order [64]uint8) { //nolint:gochecknoglobals // a table
	n := uint8(0)
	for diagonal := range 15 {
		for i := range diagonal + 1 {
			row, column := i, diagonal-i
			if diagonal%2 == 0 { // upwards
				row, column = column, row
			}
			if row < 8 && column < 8 {
				order[8*row+column] = n
				n++
			}
		}
	}
	return order
}()

// scaleTable returns the factors that turn the results of dct into quantized
// coefficients (A.3.4): the factor of A.3.3 divided by the quantization step.
func scaleTable(quant []byte) *[64]int64 {
	var scale [64]int64
	for i, z := range zigzag {
		factor := 1.0 / 4
		if i/8 == 0 {
			factor *= math.Sqrt2 / 2
		}
		if i%8 == 0 {
			factor *= math.Sqrt2 / 2
		}
		scale[i] = int64(math.Round(factor / float64(quant[z]) * (1 << scaleBits)))
	}
	return &scale
}

// dct replaces 8 pairs (package swar) by the forward transform of the pairs
// (A.3.3), without the factors of A.3.3 and times 2^cosBits: the sums of
// v[x]·cos((2x+1)uπ/16).
func dct(v *[8]int64) {
	s0, s1, s2, s3 := v[0]+v[7], v[1]+v[6], v[2]+v[5], v[3]+v[4]
	d0, d1, d2, d3 := v[0]-v[7], v[1]-v[6], v[2]-v[5], v[3]-v[4]
	v[0] = (s0 + s1 + s2 + s3) << cosBits
	v[1] = d0*cos1 + d1*cos3 + d2*cos5 + d3*cos7
	v[2] = (s0-s3)*cos2 + (s1-s2)*cos6
	v[3] = d0*cos3 - d1*cos7 - d2*cos1 - d3*cos5
	v[4] = (s0 - s1 - s2 + s3) * cos4
	v[5] = d0*cos5 - d1*cos1 + d2*cos7 + d3*cos3
	v[6] = (s0-s3)*cos6 - (s1-s2)*cos2
	v[7] = d0*cos7 - d1*cos5 + d2*cos3 - d3*cos1
}

// write writes the block whose first pixel is at x, y. A pixel outside the
// plane has the value of the nearest pixel of the plane.
func (p *plane) write(w *writer, x, y int) {
	var rows [8][]byte
	var edge [8][8]byte
	if x+8 <= p.width && y+8 <= p.height {
		for i := range rows {
			rows[i] = p.pix[(y+i)*p.stride+x:][:8]
		}
	} else {
		for i := range rows {
			row := p.pix[min(y+i, p.height-1)*p.stride:]
			for j := range edge[i] {
				edge[i][j] = row[min(x+j, p.width-1)]
			}
			rows[i] = edge[i][:]
		}
	}

	// Transform two rows at once, then transpose to transform two columns at
	// once.
	var half [4][8]int64
	for i := 0; i < 8; i += 2 {
		a, b := (*[8]byte)(rows[i]), (*[8]byte)(rows[i+1])
		var v [8]int64
		for j := range v {
			v[j] = swar.Pack2(int64(a[j]), int64(b[j]))
		}
		dct(&v)
		for j := 0; j < 8; j += 2 {
			a0, b0 := swar.Unpack2(v[j])
			a1, b1 := swar.Unpack2(v[j+1])
			half[j/2][i] = swar.Pack2(roundToFraction(a0), roundToFraction(a1))
			half[j/2][i+1] = swar.Pack2(roundToFraction(b0), roundToFraction(b1))
		}
	}
	var c [64]int32
	nonZero := uint64(0) // bit set of the coefficients that are not 0
	for j := range half {
		dct(&half[j])
		if j == 0 {
			half[0][0] -= 128 * 64 << (fractionBits + cosBits) // A.3.1
		}
		for row, columns := range half[j] {
			i := 8*row + 2*j
			v0, v1 := swar.Unpack2(columns)
			v0, v1 = quantize(v0*p.scale[i]), quantize(v1*p.scale[i+1])
			z0, z1 := zigzag[i]&63, zigzag[i+1]&63
			c[z0], c[z1] = int32(v0), int32(v1)
			nonZero |= uint64(v0|-v0)>>63<<z0 | uint64(v1|-v1)>>63<<z1
		}
	}
	p.encode(w, &c, nonZero)
}

func roundToFraction(v int64) int64 {
	return (v + 1<<(cosBits-fractionBits-1)) >> (cosBits - fractionBits)
}

// quantize returns a scaled coefficient, rounded.
func quantize(v int64) int64 {
	const shift = fractionBits + cosBits + scaleBits
	return (v + 1<<(shift-1)) >> shift
}

// encode writes the coefficients (F.1.2). Nonzero is the bit set of the
// coefficients that are not 0.
func (p *plane) encode(w *writer, c *[64]int32, nonZero uint64) {
	dc := int(c[0])
	put(w, p.dc, 0, dc-p.prevDC)
	p.prevDC = dc
	lastIndex := 0
	for nonZero &^= 1; nonZero != 0; nonZero &= nonZero - 1 {
		i := bits.TrailingZeros64(nonZero)
		run := i - lastIndex - 1
		for ; run > 15; run -= 16 {
			w.put(uint64(p.ac[0xF0].bits), uint(p.ac[0xF0].length))
		}
		put(w, p.ac, run, int(c[i&63]))
		lastIndex = i
	}
	if lastIndex < 63 {
		w.put(uint64(p.ac[0].bits), uint(p.ac[0].length))
	}
}

// put writes the code for a run of zeros and the size of a value, followed by
// the value (F.1.2.1.1). A negative value is written less 1, so the first bit
// is 0.
func put(w *writer, codes *[256]code, run, value int) {
	negative := value >> 63
	size := uint(bits.Len(uint((value ^ negative) - negative)))
	symbol := codes[(uint(run)<<4|size)&255]
	low := uint64(value+negative) & (1<<(size&15) - 1)
	w.put(uint64(symbol.bits)<<(size&15)|low, uint(symbol.length)+size)
}
