package jpegscan

const (
	lookupBits = 10 // nearly all codes are no longer
	skipBits   = 12 // two or three codes of a photograph fit
)

// What a coefficient's size may be at 8 bits: T.81, tables F.1 and F.2.
const (
	maxSizeDC = 11
	maxSizeAC = 10
)

// huffman reads one of the file's codes (T.81, annex C).
type huffman struct {
	// look is indexed by the next bits. It holds 0 where the code is longer or
	// means nothing.
	lookup [1 << lookupBits]entry
	// For longer codes: of each length, the first 16-bit value that is past
	// its codes, and what leads from a code to the index of its symbol.
	limit   [17]uint32
	offset  [17]int32
	symbols []byte
	entryOf func(length uint, symbol byte) entry

	// skip serves coefficients whose values nobody needs. It is indexed by the
	// next bits and tells of all the AC symbols whose codes lie in them
	// entirely, as an entry without a size does. If not even one is known, it
	// leads past the end of the block, from wherever.
	skip [1 << skipBits]uint16
}

// entry is what a symbol does:
//
//	bits 0–5    how many bits it takes, code and value
//	bits 6–13   how far it leads in the block; ended + 1 for its end
//	bits 14–    of the bits, how many are the value
//
// It is 0 for no symbol.
type entry uint32

const (
	entryBits    = 1<<6 - 1
	entryAdvance = 1<<8 - 1 // after a shift by 6

	blockEnd = 128 // is added to a place in a block when the block ends there
	skipMost = 18  // bits that skip takes at once, so that three go into 56
)

func (e entry) bits() uint   { return uint(e & entryBits) }
func (e entry) advance() int { return int(e >> 6 & entryAdvance) }
func (e entry) size() uint   { return uint(e >> 14 & 15) }

// entryDC is the entry of a DC code, whose symbol is the size of the difference
// (F.1.2.1).
func entryDC(length uint, symbol byte) entry {
	size := uint(symbol)
	if size > maxSizeDC {
		return 0
	}
	return entry(size<<14 | (length + size))
}

// entryAC is the entry of an AC code, whose symbol is a run of zeros and the
// size of the coefficient behind it (F.1.2.2). An 8-bit picture has no other
// symbols than these.
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

const (
	endOfBlock = 0x00
	zeroRun    = 0xF0 // sixteen zeros and no value
)

// newHuffman builds a table of what DHT holds: 16 counts, then the symbols.
func newHuffman(table []byte, entryOf func(length uint, symbol byte) entry) (*huffman, error) {
	if table == nil {
		return nil, damage("a Huffman table is missing")
	}
	h := &huffman{symbols: table[16:], entryOf: entryOf}
	code, index := 0, 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = int32(index - code)
		for range table[length-1] {
			if code >= 1<<length {
				return nil, damage("a Huffman table has more codes than there can be")
			}
			if length <= lookupBits {
				e, first := entryOf(uint(length), h.symbols[index]), code<<(lookupBits-length)
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

// next is what the symbol at the top of bits does.
func (h *huffman) next(bits uint64) entry {
	if e := h.lookup[bits>>(64-lookupBits)]; e != 0 {
		return e
	}
	return h.nextLong(bits)
}

// long is next of any code.
func (h *huffman) nextLong(bits uint64) entry {
	code := uint32(bits >> 48)
	for length := uint(1); length <= 16; length++ {
		if code < h.limit[length] {
			return h.entryOf(length, h.symbols[int32(code>>(16-length))+h.offset[length]])
		}
	}
	return 0
}

// within reports whether a place in a block, of which to is where the last
// symbol has led, is behind its end without being past it: all 64 coefficients
// have come, or fewer and then the end. To is at most 255.
//
// That is 64, and what is from ended + 1 to ended + 64; less 65, just these have
// the bit of 64.
func atBlockEnd(to int) bool { return (to-65)&64 != 0 }

// buildSkip fills skip.
func (h *huffman) buildSkip() {
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
			advance = 64 // and there is at least one coefficient before it, DC
		}
		h.skip[window] = uint16(uint(advance)<<6 | used)
	}
}
