package jpegscan

const (
	// maxSpare is the largest number of bytes between the last block and a marker. Some
	// cameras fill up to a word; more bytes are a part of a picture.
	maxSpare = 16

	// minLostTail is the least number of zero bytes before EOI that are not taken for zero
	// padding after a last block that happens to be of zero bits: the two blocks of
	// chrominance at the end have 9 zero bits with the tables of K.3.
	minLostTail = 3
)

// The kinds of damage that several checks find.
const (
	noBlock         = "there are data that belong to no block"
	misplacedMarker = "a marker is missing or out of turn"
)

// finish checks that the entropy-coded data end after the last block of an interval, except
// for less than a byte of padding and a few spare bytes. If last is set, the interval is the
// last of the scan, and the file may end. Row is a row of MCUs.
func (d *decoder) finish(row int, last bool) error {
	d.ensureMCU()
	if !d.closed {
		return d.damageAt(row, noBlock)
	}
	if d.eof && !last {
		return d.damageAt(row, "")
	}
	spare, padding := d.remainingBits()/8, d.remainingBits()%8
	d.refill()
	ones := ^d.bits>>(64-padding) == 0
	if ones && spare == 0 {
		return nil
	}
	switch {
	case last && (d.eof || d.marker == eoi) && d.lostTail(spare):
		return damage("the file is damaged at its end: there are zeros instead of the last data")
	case spare > 0 && d.eof:
		return damage("the file has data after its last block, and no EOI marker")
	case d.bytesOf(spare) > maxSpare:
		return d.damageAt(row, noBlock)
	}
	d.warnings.padding = d.warnings.padding || !ones
	d.warnings.spareBytes = d.warnings.spareBytes || spare > 0
	return nil
}

// lostTail reports whether zeros before the end of the data may stand in the place of lost
// data: if all spare bytes are zeros, or if there are more zeros than a last block has.
func (d *decoder) lostTail(spare int) bool {
	at, zeros := d.dataEnd, 0
	for ; at > d.scan.start && d.data[at-1] == 0; at-- {
		zeros++
	}
	if zeros > 0 && at > d.scan.start && d.data[at-1] == 0xFF {
		zeros-- // a stuffed zero
	}
	return spare > 0 && zeros >= spare || zeros >= minLostTail && !d.zerosAreEmptyBlocks()
}

// bytesOf returns the number of bytes in the file, with stuffed zeros, of the last n bytes of
// the entropy-coded data.
func (d *decoder) bytesOf(n int) int {
	at := d.dataEnd
	for range n {
		at--
		if d.data[at] == 0 && d.data[at-1] == 0xFF {
			at--
		}
	}
	return d.dataEnd - at
}
