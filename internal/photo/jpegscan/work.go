package jpegscan

// Work is the work of image/jpeg for a photograph, counted from markers without decoding a
// block.
type Work struct {
	Scans int // in the file

	// Blocks is the number of blocks that all scans visit, and Picture the number of blocks
	// of the picture. A scan may visit a block without bits in the file: 15 bits can stand
	// for 32,767 empty blocks (G.1.2.2).
	Blocks, Picture int64

	// Bytes is the memory that the decoder allocates: a byte for each sample, 4 bytes more
	// for each coefficient of a progressive file, and 4 bytes for each pixel if the picture
	// is Converted.
	Bytes int64

	Converted bool // to RGB or CMYK
}

// Work counts the work of image/jpeg. It reads the headers of all scans up to EOI, or up to
// the marker at which image/jpeg stops.
func (p *Photo) Work() Work {
	const block = 64 // samples
	var w Work
	for _, c := range p.components {
		w.Picture += p.blocks(c)
	}
	w.Bytes = w.Picture * block
	if p.frame == sof2 {
		w.Bytes += w.Picture * block * 4
	}
	w.Converted = p.rgb || len(p.components) == 4 || p.namedRGB()
	if w.Converted {
		w.Bytes += 4 * int64(p.Width) * int64(p.Height)
	}
	for at := p.firstSOS; ; {
		marker, body, next, err := segment(p.data, at)
		switch {
		case err != nil, marker < sof0, marker == soi, marker == eoi:
			return w
		case marker == sos:
			w.Scans++
			w.Blocks += p.scanBlocks(body)
		}
		at = next
	}
}

// blocks returns the number of blocks of a component in all MCUs of the picture.
func (p *Photo) blocks(c component) int64 {
	first := p.components[0]
	if len(p.components) == 1 { // the MCU of one component is one block (A.2.2)
		c, first = component{h: 1, v: 1}, component{h: 1, v: 1}
	}
	cols, rows := ceil(p.Width, 8*first.h), ceil(p.Height, 8*first.v)
	return int64(cols) * int64(rows) * int64(c.h*c.v)
}

// scanBlocks returns the number of blocks that a scan with a header visits.
func (p *Photo) scanBlocks(header []byte) (blocks int64) {
	if len(header) < 1 || len(header) < 1+2*int(header[0]) {
		return 0 // image/jpeg refuses the scan
	}
	for i := range int(header[0]) {
		for _, c := range p.components {
			if c.id == header[1+2*i] {
				blocks += p.blocks(c)
			}
		}
	}
	return blocks
}

// namedRGB reports whether the ids of the components are R, G and B.
func (p *Photo) namedRGB() bool {
	c := p.components
	return len(c) == 3 && c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B'
}
