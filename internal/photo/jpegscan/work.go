package jpegscan

// Work is the work of decoding a photograph, counted from markers without decoding a block.
type Work struct {
	Scans int // in the file

	// Blocks is the number of blocks that all scans visit, and Picture the number of blocks
	// of the picture. A scan may visit a block without bits in the file: 15 bits can stand
	// for 32,767 empty blocks (G.1.2.2).
	Blocks, Picture int64
}

// Work counts the work. It reads the headers of all scans up to EOI, or up to a marker at
// which decoding stops.
func (p *Photo) Work() Work {
	w := Work{Picture: p.picture()}
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

// picture returns the number of blocks of the picture.
func (p *Photo) picture() (blocks int64) {
	for _, c := range p.components {
		blocks += p.blocks(c)
	}
	return blocks
}

// Bytes returns the memory that Quarter or Whole allocates, without about 100 kB: a byte for
// each pixel of a component, 2 bytes for each coefficient of a progressive file, and a byte for
// each pixel of a plane if no subsampling of package image fits or the colours are converted.
func (p *Photo) Bytes(whole bool) int64 {
	const block = 64 // samples
	side := int64(quarterSide)
	if whole {
		side = wholeSide
	}
	bytes := p.picture() * side * side
	if p.frame == sof2 {
		bytes += p.picture() * block * 2
	}
	if _, ok := p.ratio(); p.colours() != grey && (!ok || p.colours() != yCbCr) {
		width, height := ceil(p.Width*int(side), 8), ceil(p.Height*int(side), 8)
		bytes += int64(len(p.components)) * int64(width) * int64(height)
	}
	return bytes
}

// blocks returns the number of blocks of a component in all MCUs of the picture.
func (p *Photo) blocks(c component) int64 {
	h, v := p.largest()
	if len(p.components) == 1 {
		c = component{h: 1, v: 1}
	}
	cols, rows := ceil(p.Width, 8*h), ceil(p.Height, 8*v)
	return int64(cols) * int64(rows) * int64(c.h*c.v)
}

// scanBlocks returns the number of blocks that a scan with a header visits.
func (p *Photo) scanBlocks(header []byte) (blocks int64) {
	if len(header) < 1 || len(header) < 1+2*int(header[0]) {
		return 0 // decoding stops
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
