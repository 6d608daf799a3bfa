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
func (s *scan) hole() error {
	zerosAreEmptyBlocks := true
	for _, p := range s.planes {
		zerosAreEmptyBlocks = zerosAreEmptyBlocks && p.ac.next(0).advance() > blockEnd
	}
	if zerosAreEmptyBlocks {
		return nil
	}
	data := s.data[s.photo.scan:s.src]
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
			return damage("the file has a hole: there are %d zeros from byte %d", to-from, s.photo.scan+from)
		}
	}
	return nil
}
