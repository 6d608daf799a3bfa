package jpegscan

import (
	"bytes"
	"encoding/binary"
)

const (
	window = 64 << 10
	// maxMCU is more than the bytes of any MCU: 6 blocks of a DC code (16 + 11
	// bits) and 63 AC codes (16 + 10 bits) are 1,249.
	maxMCU = 1280
)

// reader gives the bits between two markers. It takes the stuffed zeros out
// (T.81, B.1.1.5) a window at a time, so that the inner loops need not ask.
type reader struct {
	data []byte
	src  int // of data, what comes into the window next

	// The next n bits are the top of bits. What lies below them is not zero but
	// what will come next anyway.
	bits uint64
	n    uint
	pos  int // of window, what comes into bits next
	end  int // of window, where its bytes end

	closed bool // the last byte before a marker is in the window
	marker byte // which marker, or 0 if the file ends without

	// Blocks may be read past the end, and are checked afterwards: hence the
	// slack.
	window [window + maxMCU + 16]byte
}

// open begins with the data at src.
func (r *reader) open(src int) {
	r.src, r.bits, r.n, r.pos, r.end, r.closed = src, 0, 0, 0, 0, false
	r.fill()
}

// ready sees to it that the window holds one whole MCU, if the data do.
func (r *reader) ensureMCU() {
	if r.end-r.pos < maxMCU && !r.closed {
		r.fill()
	}
}

func (r *reader) fill() {
	r.bits &= ^(^uint64(0) >> r.n) // below lies what was in the window's slack
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
			r.closed, r.marker = true, 0
			return
		case clean == len(rest):
			return
		case r.src+1 < len(r.data) && r.data[r.src+1] == 0:
			r.window[r.end] = 0xFF
			r.end++
			r.src += 2
		default:
			// Any number of 0xFF may stand before a marker (B.1.1.2).
			for r.src < len(r.data) && r.data[r.src] == 0xFF {
				r.src++
			}
			r.closed, r.marker = true, 0
			if r.src < len(r.data) {
				r.marker = r.data[r.src]
				r.src++
			}
			return
		}
	}
}

// left is how many bits are left in the window, negative if blocks were read
// past its end.
func (r *reader) remainingBits() int { return (r.end-r.pos)*8 + int(r.n) }

// padded reports whether nothing is left but less than a byte of ones.
func (r *reader) endsWithPadding() bool {
	r.ensureMCU()
	remainingBits := r.remainingBits()
	if !r.closed || remainingBits < 0 || remainingBits > 7 {
		return false
	}
	r.refill()
	return ^r.bits>>(64-remainingBits) == 0
}

// refill leaves at least 56 bits.
func (r *reader) refill() {
	r.bits |= binary.BigEndian.Uint64(r.window[r.pos:]) >> r.n
	r.pos += int(63-r.n) >> 3
	r.n |= 56
}
