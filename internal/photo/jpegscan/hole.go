package jpegscan

import "encoding/binary"

// minHole is the least number of zero bytes in a row that is a hole. Files lose sectors of
// 512 bytes or more. No photograph has 128 zero bytes in a row, and 128 bytes fill a block
// even if a zero coefficient takes 16 bits.
const minHole = 128

// hole returns a Damage for a run of zero bytes, which a file system leaves in place of
// data that were never written.
//
// Zeros decode without an error: with the usual tables (T.81, annex K.3) zeros are luminance
// blocks in which each coefficient is −1, as in no picture. But zeros stand for empty blocks
// if the shortest AC code of each component is the end of the block, as in mostly black files
// with their own tables. hole then returns nil.
func (d *decoder) hole() error {
	if d.scan.zeroBits.isHole {
		return damage("the file has a hole in scan %d: the lowest bits of many blocks are zeros", d.scanNumber)
	}
	if d.zerosAreEmptyBlocks() {
		return nil
	}
	if from, n := longZeros(d.data[d.scan.start:d.dataEnd]); n > 0 {
		return damage("the file has a hole: there are %d zeros from byte %d", n, d.scan.start+from)
	}
	return nil
}

// zerosAreEmptyBlocks reports whether a code of zero bits is an empty block in the scan: the
// end of the block, or no difference of DC. A scan of the lowest bits of DC has no codes.
func (d *decoder) zerosAreEmptyBlocks() bool {
	for _, p := range d.scan.planes {
		switch d.scan.mode {
		case firstDC:
			if e := p.dc.next(0); e == 0 || e.size() > 0 {
				return false
			}
		case refinedDC:
		default:
			if e := p.ac.next(0); e.advance() <= blockEnd || e.size() > 0 {
				return false
			}
		}
	}
	return true
}

// longZeros returns the offset and the length of the first run of at least minHole zero bytes,
// or a length of 0.
func longZeros(data []byte) (from, n int) {
	for at := 0; at+8 <= len(data); at += minHole / 2 { // at least one step falls into each hole
		if binary.NativeEndian.Uint64(data[at:]) != 0 {
			continue
		}
		from, to := at, at+8
		for from > 0 && data[from-1] == 0 {
			from--
		}
		for to < len(data) && data[to] == 0 {
			to++
		}
		if to-from >= minHole {
			return from, to - from
		}
	}
	return 0, 0
}
