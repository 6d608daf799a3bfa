package jpegscan

import (
	"bytes"
	"encoding/binary"
)

const (
	window = 64 << 10
	// maxMCU is more than the bytes of any MCU: 10 blocks of a DC code (16 + 11 bits) and
	// 63 AC codes (16 + 10 bits) have 2,082 bytes.
	maxMCU = 2112
)

// reader reads the bits between two markers. It removes the stuffed zeros (T.81, B.1.1.5)
// in a window at a time, so that the inner loops need no check for stuffed zeros.
type reader struct {
	data []byte
	src  int // offset in data of the next byte for the window

	// bits holds the next n bits at its top. The bits below are not zero: they are the
	// bits that follow.
	bits uint64
	n    uint
	pos  int // offset in window of the next byte for bits
	end  int // offset in window of the end of its bytes

	closed  bool // reports whether the window holds the last byte before a marker
	marker  byte // the marker after the last byte, or 0 at the end of the file
	eof     bool // reports whether the file ends, instead of a marker
	dataEnd int  // offset in data after the last byte, if closed

	// The window has extra space, because a block may be read past the end before the
	// check.
	window [window + maxMCU + 16]byte
}

// open starts reading at an offset of the data.
func (r *reader) open(src int) {
	r.src, r.bits, r.n, r.pos, r.end, r.closed, r.eof = src, 0, 0, 0, 0, false, false
	r.fill()
}

// ensureMCU fills the window until it holds a whole MCU or all data.
func (r *reader) ensureMCU() {
	if r.end-r.pos < maxMCU && !r.closed {
		r.fill()
	}
}

func (r *reader) fill() {
	r.bits &= ^(^uint64(0) >> r.n) // clear the bits from the extra space of the window
	r.end = copy(r.window[:], r.window[r.pos:r.end])
	r.pos = 0
	for r.end < window {
		rest := r.data[r.src:]
		rest = rest[:min(len(rest), window-r.end)]
		clean := bytes.IndexByte(rest, 0xFF)
		if clean < 0 {
			clean = len(rest)
		}
		r.end += copy(r.window[r.end:], rest[:clean])
		r.src += clean
		switch {
		case r.src == len(r.data):
			r.closed, r.marker, r.eof, r.dataEnd = true, 0, true, r.src
			return
		case clean == len(rest):
			return
		case r.src+1 < len(r.data) && r.data[r.src+1] == 0:
			r.window[r.end] = 0xFF
			r.end++
			r.src += 2
		default:
			r.closed, r.dataEnd = true, r.src
			// Any number of bytes 0xFF may precede a marker (B.1.1.2).
			for r.src < len(r.data) && r.data[r.src] == 0xFF {
				r.src++
			}
			r.marker, r.eof = 0, r.src == len(r.data)
			if !r.eof {
				r.marker = r.data[r.src]
				r.src++
			}
			return
		}
	}
}

// remainingBits returns the number of unread bits in the window. It is negative if a block
// was read past the end.
func (r *reader) remainingBits() int { return (r.end-r.pos)*8 + int(r.n) }

// refill fills bits to at least 56 bits.
func (r *reader) refill() {
	r.bits |= binary.BigEndian.Uint64(r.window[r.pos:]) >> r.n
	r.pos += int(63-r.n) >> 3
	r.n |= 56
}

// drop removes n read bits.
func (r *reader) drop(n uint) {
	r.bits <<= n
	r.n -= n
}

// bit reads a bit.
func (r *reader) bit() bool {
	if r.n == 0 {
		r.refill()
	}
	isSet := r.bits>>63 != 0
	r.drop(1)
	return isSet
}
