package jpegscan

const (
	lookupBits = 10 // nearly all codes are at most this long
	skipBits   = 12 // enough for two or three codes of a photograph
)

// The largest sizes of a coefficient at 8 bits: T.81, tables F.1 and F.2.
const (
	maxSizeDC = 11
	maxSizeAC = 10
)

// huffman decodes one Huffman code of the file (T.81, annex C).
type huffman struct {
	// lookup is indexed by the next bits. It is 0 for a longer code and for an invalid
	// code.
	lookup [1 << lookupBits]entry
	// The following fields decode longer codes. limit[n] is the first 16-bit value after
	// the codes of n bits; code + offset[n] is the index of the symbol of a code of n bits.
	limit   [17]uint32
	offset  [17]int32
	symbols []byte
	meaning meaning

	// skip decodes several AC coefficients without their values. It is indexed by the next
	// bits, and combines all symbols whose codes lie in these bits into one entry with size
	// 0. If no symbol does, the entry leads past the end of the block from every position.
	// It is nil before buildSkip.
	skip *[1 << skipBits]uint16
}

// meaning is what the symbols of a table stand for.
type meaning byte

const (
	meaningDC      meaning = iota
	meaningAC              // of a sequential scan
	meaningFirst           // AC in the first scan of a band
	meaningRefined         // AC in a further scan of a band
)

// entryOf returns the entry of a code of a length, or 0 for a symbol that makes no sense.
func (m meaning) entryOf(length uint, symbol byte) entry {
	switch m {
	case meaningDC:
		return entryDC(length, symbol)
	case meaningAC:
		return entryAC(length, symbol)
	case meaningRefined:
		if symbol&15 > 1 {
			return 0
		}
	}
	return entryBand(length, symbol)
}

// entry is the effect of a symbol:
//
//	bits 0–5    number of bits of code and value
//	bits 6–13   advance of the position in the block; blockEnd + 1 at the end of the block
//	bits 14–    number of bits of the value
//
// An entry of 0 means that there is no symbol.
type entry uint32

const (
	entryBits    = 1<<6 - 1
	entryAdvance = 1<<8 - 1 // after a shift by 6

	blockEnd = 128 // is added to the position in a block at the end of the block
	skipMost = 18  // most bits of an entry of skip, so that three entries fit into 56 bits
)

func (e entry) bits() uint   { return uint(e & entryBits) }
func (e entry) advance() int { return int(e >> 6 & entryAdvance) }
func (e entry) size() uint   { return uint(e >> 14 & 15) }

// entryDC returns the entry of a DC code. The symbol is the size of the difference
// (F.1.2.1).
func entryDC(length uint, symbol byte) entry {
	size := uint(symbol)
	if size > maxSizeDC {
		return 0
	}
	return entry(size<<14 | (length + size))
}

// entryAC returns the entry of an AC code. The symbol is a run of zeros and the size of the
// next coefficient (F.1.2.2). It returns 0 for a symbol that no 8-bit picture has.
func entryAC(length uint, symbol byte) entry {
	run, size := uint(symbol>>4), uint(symbol&15)
	advance := run + 1
	switch {
	case symbol == endOfBlock:
		advance = blockEnd + 1
	case size > maxSizeAC || size == 0 && symbol != zeroRun:
		return 0
	}
	return entry(size<<14 | advance<<6 | (length + size))
}

// entryBand returns the entry of an AC code of a progressive scan (G.1.2.2). A symbol of size 0
// is the end of the band in a number of blocks, except for zeroRun.
func entryBand(length uint, symbol byte) entry {
	if symbol&15 == 0 && symbol != zeroRun {
		size := uint(symbol >> 4)
		return entry(size<<14 | (blockEnd+1)<<6 | (length + size))
	}
	return entryAC(length, symbol)
}

// run returns the number of blocks of an end of a band (figure G.4).
func (e entry) run(bits uint64) int {
	return 1<<e.size() + int(bits>>(-e.bits()&63)&(1<<e.size()-1))
}

const (
	endOfBlock = 0x00
	zeroRun    = 0xF0 // sixteen zeros without a value
)

// newHuffman returns the decoder of a table in DHT: 16 counts, then the symbols.
func newHuffman(table []byte, m meaning) (*huffman, error) {
	h := &huffman{symbols: table[16:], meaning: m}
	code, index := 0, 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = int32(index - code)
		for range table[length-1] {
			if code >= 1<<length {
				return nil, damage("a Huffman table has more codes than there can be")
			}
			if length <= lookupBits {
				e, first := m.entryOf(uint(length), h.symbols[index]), code<<(lookupBits-length)
				for i := range 1 << (lookupBits - length) {
					h.lookup[first+i] = e
				}
			}
			code++
			index++
		}
		h.limit[length] = uint32(code) << (16 - length)
		code <<= 1
	}
	return h, nil
}

// next returns the entry of the symbol at the top of bits.
func (h *huffman) next(bits uint64) entry {
	if e := h.lookup[bits>>(64-lookupBits)]; e != 0 {
		return e
	}
	return h.nextLong(bits)
}

// nextLong returns the same as next, without the lookup table.
func (h *huffman) nextLong(bits uint64) entry {
	code := uint32(bits >> 48)
	for length := uint(1); length <= 16; length++ {
		if code < h.limit[length] {
			return h.meaning.entryOf(length, h.symbols[int32(code>>(16-length))+h.offset[length]])
		}
	}
	return 0
}

// atBlockEnd reports whether a position at or after 64 is a valid end of a block: the position
// is 64 after all coefficients, or blockEnd + 1 to blockEnd + 64 after an end-of-block symbol.
// To is at most 255.
//
// After the subtraction of 65, exactly these values have bit 6 set.
func atBlockEnd(to int) bool { return (to-65)&64 != 0 }

// buildSkip fills h.skip.
func (h *huffman) buildSkip() {
	h.skip = new([1 << skipBits]uint16)
	for window := range h.skip {
		var used uint
		advance := 0
		for advance < blockEnd && used < skipBits {
			e := h.next(uint64(window) << (64 - skipBits) << used)
			if e == 0 || used+e.bits()-e.size() > skipBits || used+e.bits() > skipMost {
				break
			}
			if to := advance + e.advance(); to > 64 && !atBlockEnd(to) {
				break
			}
			used += e.bits()
			advance += e.advance()
		}
		if used == 0 {
			advance = 64 // past the end, because the position is at least 1 after DC
		}
		h.skip[window] = uint16(uint(advance)<<6 | used)
	}
}
