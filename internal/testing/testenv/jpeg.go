package testenv

import "encoding/binary"

// FlatJPEG describes a JPEG of a single colour with as few bytes as the format
// allows: most blocks have no bits of their own. A decoder still processes every
// block.
type FlatJPEG struct {
	Width, Height int
	Components    int  // 1, 3 or 4
	Sampling      byte // sampling factors of the first component, such as 0x22; 0 means 0x11
	Adobe         bool // whether the file has Adobe's marker, by which 4 components are CMYK
	Scans         int  // number of scans of a progressive file; 0 means a baseline file
}

// Bytes returns the bytes of the file.
func (f FlatJPEG) Bytes() []byte {
	if f.Sampling == 0 {
		f.Sampling = 0x11
	}
	segment := func(to []byte, marker byte, body ...byte) []byte {
		to = binary.BigEndian.AppendUint16(append(to, 0xFF, marker), uint16(len(body)+2))
		return append(to, body...)
	}
	// table returns a Huffman table with a single code, the bit 0, for symbol.
	table := func(class, symbol byte) []byte {
		return append(append([]byte{class << 4, 1}, make([]byte, 15)...), symbol)
	}
	ones := make([]byte, 65)
	for i := range 64 {
		ones[1+i] = 1
	}
	file := segment([]byte{0xFF, 0xD8}, 0xDB, ones...)
	if f.Adobe {
		file = segment(file, 0xEE, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")...)
	}
	kind, all := byte(0xC2), []byte{byte(f.Components)}
	if f.Scans == 0 {
		kind = 0xC0
	}
	frame := []byte{8, byte(f.Height >> 8), byte(f.Height), byte(f.Width >> 8), byte(f.Width), byte(f.Components)}
	for c := range f.Components {
		frame, all = append(frame, byte(c+1), f.sampling(c), 0), append(all, byte(c+1), 0)
	}
	file = segment(file, kind, frame...)
	if f.Scans == 0 {
		const endOfBlock = 0
		file = segment(segment(file, 0xC4, table(0, 0)...), 0xC4, table(1, endOfBlock)...)
		blocks := 0
		for c := range f.Components {
			blocks += f.blocks(c)
		}
		bits := 2 * blocks // DC as it was, and the end of the block
		file = append(segment(file, 0xDA, append(all, 0, 63, 0)...), make([]byte, bits/8)...)
		if rest := bits % 8; rest > 0 {
			file = append(file, 0xFF>>rest)
		}
		return append(file, 0xFF, 0xD9)
	}
	const endOfBand, run = 0xE0, 32767 // blocks, in 15 bits: a code and 14 ones
	file = segment(file, 0xC4, table(1, endOfBand)...)
	for scan := range f.Scans {
		c := scan % f.Components
		file = segment(file, 0xDA, 1, byte(c+1), 0, 1, 63, 0)
		var bits, n uint64
		put := func(value, size uint64) {
			bits, n = bits<<size|value, n+size
			for ; n >= 8; n -= 8 {
				next := byte(bits >> (n - 8))
				if file = append(file, next); next == 0xFF {
					file = append(file, 0)
				}
			}
		}
		for range (f.blocks(c) + run - 1) / run {
			put(run>>1, 15)
		}
		if n > 0 {
			put(1<<(8-n)-1, 8-n)
		}
	}
	return append(file, 0xFF, 0xD9)
}

func (f FlatJPEG) sampling(component int) byte {
	if component == 0 {
		return f.Sampling
	}
	return 0x11
}

// blocks returns the number of blocks of a component, in whole MCUs.
func (f FlatJPEG) blocks(component int) int {
	if f.Components == 1 {
		return (f.Width + 7) / 8 * ((f.Height + 7) / 8)
	}
	across, down := 8*int(f.Sampling>>4), 8*int(f.Sampling&15)
	own := f.sampling(component)
	return (f.Width + across - 1) / across * ((f.Height + down - 1) / down) * int(own>>4) * int(own&15)
}
