package jpegscan

// wholeBlock holds the coefficients of a block in zigzag order. Its extra space receives a
// coefficient after the end of the block.
type wholeBlock [256]int

// readWhole is like readBlock, and stores all coefficients.
func (d *decoder) readWhole(dc, ac *huffman, c *wholeBlock) bool {
	d.refill()
	e := dc.next(d.bits)
	if e == 0 {
		return false
	}
	c[0] = e.value(d.bits)
	d.drop(e.bits())
	for k := 1; k < 64; {
		d.refill()
		if e = ac.next(d.bits); e == 0 {
			return false
		}
		if k += e.advance(); k >= 64 && !atBlockEnd(k) {
			return false
		}
		c[uint8(k-1)] = e.value(d.bits)
		d.drop(e.bits())
	}
	return true
}

// natural holds the position, by row and column, of each coefficient in zigzag order (figure
// A.6).
var natural = func() (order [64]uint8) { //nolint:gochecknoglobals // a table
	n := 0
	for diagonal := range 15 {
		for i := range diagonal + 1 {
			row, column := i, diagonal-i
			if diagonal%2 == 0 { // upwards
				row, column = column, row
			}
			if row < 8 && column < 8 {
				order[n] = uint8(8*row + column)
				n++
			}
		}
	}
	return order
}()

// putWhole writes the 8×8 pixels of the block in column x and row y of the plane. It reports
// whether DC is possible.
func (p *plane) putWhole(c *wholeBlock, x, y int) bool {
	dc, ok := p.addDC(c[0])
	if !ok {
		return false
	}
	var b [8][8]int64
	b[0][0] = int64(dc)
	for k := 1; k < 64; k++ {
		if c[k] != 0 {
			at := natural[k]
			b[at/8][at%8] = int64(c[k]) * int64(p.scale[k])
		}
	}
	for row := range b {
		if b[row] != [8]int64{} {
			inverse(&b[row])
		}
	}
	for column := range 8 {
		var v [8]int64
		for row := range b {
			v[row] = b[row][column]
		}
		inverse(&v)
		at := 8*y*p.stride + 8*x + column
		for _, value := range v {
			// The two transforms leave out a factor of ½ each (A.3.3).
			const shift = 2*cosBits + 2
			p.pix[at] = clamp(128 + int((value+1<<(shift-1))>>shift))
			at += p.stride
		}
	}
	return true
}

const cosBits = 13 // fraction bits of a cosine

// The cosines of A.3.3: cosN is cos(Nπ/16), multiplied by 2¹³.
const (
	cos1 = 8035
	cos2 = 7568
	cos3 = 6811
	cos4 = 5793
	cos5 = 4551
	cos6 = 3135
	cos7 = 1598
)

// inverse replaces 8 coefficients by twice their inverse transform (A.3.3), times 2^cosBits.
// Values of 26 bits leave room for a second transform.
func inverse(v *[8]int64) {
	sum, difference := (v[0]+v[4])*cos4, (v[0]-v[4])*cos4
	high, low := v[2]*cos2+v[6]*cos6, v[2]*cos6-v[6]*cos2
	e0, e1, e2, e3 := sum+high, difference+low, difference-low, sum-high
	o0 := v[1]*cos1 + v[3]*cos3 + v[5]*cos5 + v[7]*cos7
	o1 := v[1]*cos3 - v[3]*cos7 - v[5]*cos1 - v[7]*cos5
	o2 := v[1]*cos5 - v[3]*cos1 + v[5]*cos7 + v[7]*cos3
	o3 := v[1]*cos7 - v[3]*cos5 + v[5]*cos3 - v[7]*cos1
	v[0], v[1], v[2], v[3] = e0+o0, e1+o1, e2+o2, e3+o3
	v[4], v[5], v[6], v[7] = e3-o3, e2-o2, e1-o1, e0-o0
}
