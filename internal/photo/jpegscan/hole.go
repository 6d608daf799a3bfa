package jpegscan

import "encoding/binary"

// minHole is how many zero bytes in a row are a hole. Files lose whole sectors
// of 512 bytes or more. 128 bytes are more than any photograph has, and enough
// to fill a block even where a zero coefficient takes 16 bits.
const minHole = 128

// hole looks for a run of zero bytes, which is what a file system leaves of
// data that it never wrote.
//
// Zeros decode well: in the usual tables (T.81, annex K.3) they are luminance
// blocks in which each coefficient is −1, which no picture has. Only where the
// shortest AC code of all components is the end of the block, as in files with
// tables of their own that are mostly black, do zeros stand for empty blocks.
func (s *scan) hole() error {
	zerosAreEmptyBlocks := true
	for _, p := range s.planes {
		zerosAreEmptyBlocks = zerosAreEmptyBlocks && p.ac.next(0).advance() > blockEnd
	}
	if zerosAreEmptyBlocks {
		return nil
	}
	data := s.data[s.photo.scan:s.src]
	for at := 0; at+8 <= len(data); at += minHole / 2 { // some step falls into any hole
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
