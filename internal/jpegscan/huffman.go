package jpegscan

const (
	lookBits = 9  // most codes are no longer
	skipBits = 12 // two or three codes of a photograph fit
)

// What a coefficient's size may be at 8 bits: T.81, tables F.1 and F.2.
const (
	maxSizeDC = 11
	maxSizeAC = 10
)

// huffman reads one of the file's codes (T.81, annex C).
type huffman struct {
	// look is indexed by the next bits and holds length<<8 | symbol, or 0
	// where the code is longer or there is none.
	look [1 << lookBits]uint16
	// For longer codes: of each length, the first 16-bit value that is past
	// its codes, and what leads from a code to the index of its symbol.
	limit   [17]uint32
	offset  [17]int32
	symbols []byte

	// skip serves coefficients that need no value. It is indexed by the next
	// bits and tells of all the AC symbols whose codes lie in them entirely:
	//
	//	bits 0–4   how many bits they take with the values that follow them
	//	bits 5–11  how far they lead in the block, an end-of-block counting 1
	//	bit 12     the last one is the end of the block
	//
	// It is 0 if not even one symbol is known for certain.
	skip [1 << skipBits]uint16
}

const (
	skipLength  = 1<<5 - 1
	skipAdvance = 1<<7 - 1 // after a shift by 5
	skipEnd     = 1 << 12
)

// newHuffman builds a table of what DHT holds: 16 counts, then the symbols.
func newHuffman(table []byte) (*huffman, error) {
	if table == nil {
		return nil, damage("a Huffman table is missing")
	}
	h := &huffman{symbols: table[16:]}
	code, index := 0, 0
	for length := 1; length <= 16; length++ {
		h.offset[length] = int32(index - code)
		for range table[length-1] {
			if code >= 1<<length {
				return nil, damage("a Huffman table has more codes than there can be")
			}
			if length <= lookBits {
				first := code << (lookBits - length)
				for i := range 1 << (lookBits - length) {
					h.look[first+i] = uint16(length)<<8 | uint16(h.symbols[index])
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

// next is the symbol at the top of bits and the length of its code, which is 0
// if there is no such code.
func (h *huffman) next(bits uint64) (length uint, symbol byte) {
	if e := h.look[bits>>(64-lookBits)]; e != 0 {
		return uint(e >> 8), byte(e)
	}
	code := uint32(bits >> 48)
	for length := uint(lookBits + 1); length <= 16; length++ {
		if code < h.limit[length] {
			return length, h.symbols[int32(code>>(16-length))+h.offset[length]]
		}
	}
	return 0, 0
}

// buildSkip fills skip.
func (h *huffman) buildSkip() {
	for window := range h.skip {
		var used, advance uint
		var end uint16
		for end == 0 && used < skipBits {
			length, symbol := h.next(uint64(window) << (64 - skipBits) << used)
			run, size := uint(symbol>>4), uint(symbol&15)
			if length == 0 || used+length > skipBits || !validAC(symbol) ||
				advance+run+1 > 64 || used+length+size > skipLength {
				break
			}
			if symbol == endOfBlock {
				end = skipEnd
			}
			used += length + size
			advance += run + 1
		}
		h.skip[window] = end | uint16(advance<<5) | uint16(used)
	}
}

const (
	endOfBlock = 0x00
	zeroRun    = 0xF0 // sixteen zeros and no value
)

// validAC reports whether a sequential 8-bit picture uses the symbol at all.
func validAC(symbol byte) bool {
	size := symbol & 15
	return size <= maxSizeAC && (size != 0 || symbol == endOfBlock || symbol == zeroRun)
}
