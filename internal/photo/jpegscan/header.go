package jpegscan

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// Photo is a JPEG file whose header up to the first scan is read. It refers to the bytes
// passed to Open, which must not change.
type Photo struct {
	Width, Height int  // in pixels as stored; EXIF does not rotate
	Ordinary      bool // reports whether Quarter can read the file

	data       []byte
	firstSOS   int // offset at which the search for the first scan header begins
	scan       int // offset of the entropy-coded data
	frame      byte
	components []component
	quant      [4]*[64]uint16 // in zigzag order
	dc, ac     [4][]byte      // Huffman tables as in the file
	interval   int            // MCUs between restart markers, or 0
	adobe, rgb bool
}

// component is one component of the picture, such as luminance.
type component struct {
	id, quant, dc, ac byte
	h, v              int // sampling factors
}

// Open reads the header. It allocates little memory, whatever size the header claims. The
// error is ErrNotJPEG or a Damage. Open ignores metadata, because odd metadata is no reason
// to refuse a photograph.
func Open(data []byte) (*Photo, error) {
	if len(data) < 3 || data[0] != 0xFF || data[1] != soi || data[2] != 0xFF {
		return nil, ErrNotJPEG
	}
	p := &Photo{data: data}
	for at := 2; ; {
		marker, body, next, err := segment(data, at)
		switch {
		case err != nil:
		case marker == sos:
			p.firstSOS, p.scan = at, next
			return p, p.start(body)
		case marker == eoi:
			err = damage("the file holds no picture")
		default:
			err = p.readSegment(marker, body)
		}
		if err != nil {
			return nil, err
		}
		at = next
	}
}

// start completes p by the header of the first scan.
func (p *Photo) start(scan []byte) error {
	switch {
	case p.frame == 0:
		return damage("the file has no frame header")
	case len(p.components) == 4 && !p.adobe:
		return damage("the file has four components and no Adobe marker that tells their colours")
	}
	p.Ordinary = p.readScan(scan) && p.ordinary()
	return nil
}

// readSegment reads one segment of the header. It refuses an unexpected marker, because
// image/jpeg and libjpeg stop reading at such a marker.
func (p *Photo) readSegment(marker byte, body []byte) error {
	switch {
	case marker == dqt:
		return p.readQuant(body)
	case marker == dht:
		return p.readHuffman(body)
	case marker == dri && len(body) == 2:
		p.interval = int(binary.BigEndian.Uint16(body))
	case marker == dri:
		return damage("the file has a restart interval of %d bytes, not 2", len(body))
	case marker == adob && bytes.HasPrefix(body, []byte("Adobe")) && len(body) >= 12:
		p.adobe = true
		p.rgb = p.rgb || body[11] == 0
	case marker >= app0 && marker <= appF || marker == com:
	case marker == sof0 || marker == sof1 || marker == sof2:
		if p.frame != 0 {
			return damage("the file has two frame headers")
		}
		p.frame = marker
		return p.readFrame(body)
	case marker > sof2 && marker <= 0xCF && marker != jpg && marker != dac:
		return damage("the frame of the file is of the kind SOF%d: baseline, extended sequential and progressive files in Huffman code can be read", marker-sof0)
	default:
		return damage("the header of the file has the marker FF%02X, which no photograph has there", marker)
	}
	return nil
}

// readQuant reads quantization tables (B.2.4.1).
func (p *Photo) readQuant(body []byte) error {
	for len(body) > 0 {
		wide, id := int(body[0]>>4), body[0]&15
		size := 64 << wide
		if wide > 1 || id > 3 || len(body) < 1+size {
			return damage("the file has a quantization table that makes no sense")
		}
		table := new([64]uint16)
		for i := range table {
			if wide == 1 {
				table[i] = binary.BigEndian.Uint16(body[1+2*i:])
			} else {
				table[i] = uint16(body[1+i])
			}
		}
		p.quant[id] = table
		body = body[1+size:]
	}
	return nil
}

// readHuffman reads Huffman tables (B.2.4.2). It stores each table as in the file: 16 counts
// and the symbols.
func (p *Photo) readHuffman(body []byte) error {
	for len(body) > 0 {
		class, id := body[0]>>4, body[0]&15
		size := 16
		for _, count := range body[1:min(17, len(body))] {
			size += int(count)
		}
		if class > 1 || id > 3 || len(body) < 1+size || size == 16 || size > 16+256 {
			return damage("the file has a Huffman table that makes no sense")
		}
		if class == 0 {
			p.dc[id] = body[1 : 1+size]
		} else {
			p.ac[id] = body[1 : 1+size]
		}
		body = body[1+size:]
	}
	return nil
}

// readFrame reads the frame header (B.2.2).
func (p *Photo) readFrame(body []byte) error {
	if len(body) < 6 || len(body) != 6+3*int(body[5]) || body[5] == 0 {
		return damage("the file has a frame header that makes no sense")
	}
	p.Height = int(binary.BigEndian.Uint16(body[1:]))
	p.Width = int(binary.BigEndian.Uint16(body[3:]))
	if p.Width == 0 || p.Height == 0 {
		return damage("the frame header says %d × %d pixels", p.Width, p.Height)
	}
	if body[0] != 8 {
		return damage("the file has %d bits a sample: 8 can be read", body[0])
	}
	if n := body[5]; n != 1 && n != 3 && n != 4 {
		return damage("the file has %d components: 1, 3 or 4 can be read", n)
	}
	for c := body[6:]; len(c) > 0; c = c[3:] {
		next := component{id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15), quant: c[2]}
		if next.h < 1 || next.h > 4 || next.v < 1 || next.v > 4 {
			return damage("a component of the file has the sampling factors %d × %d: each is 1 to 4", next.h, next.v)
		}
		if slices.ContainsFunc(p.components, func(c component) bool { return c.id == next.id }) {
			return damage("two components of the file have the id %d", next.id)
		}
		p.components = append(p.components, next)
	}
	return nil
}

// readScan reads a scan header (B.2.3). It reports whether the scan has all components, in
// the order of the frame, with all coefficients.
func (p *Photo) readScan(body []byte) bool {
	n := len(p.components)
	if len(body) != 4+2*n || int(body[0]) != n {
		return false
	}
	for i := range p.components {
		c := &p.components[i]
		if body[1+2*i] != c.id {
			return false
		}
		c.dc, c.ac = body[2+2*i]>>4, body[2+2*i]&15
	}
	return bytes.Equal(body[1+2*n:], []byte{0, 63, 0})
}

// ordinary reports whether Quarter can read the frame.
func (p *Photo) ordinary() bool {
	maxTable := byte(3)
	switch p.frame {
	case sof0:
		maxTable = 1 // table B.5
	case sof2:
		return false
	}
	for _, c := range p.components {
		if c.quant > 3 || c.dc > maxTable || c.ac > maxTable {
			return false
		}
	}
	switch c := p.components; len(c) {
	case 1:
		return true
	case 3:
		if p.rgb || p.namedRGB() {
			return false
		}
		return (c[0].h == 1 || c[0].h == 2) && (c[0].v == 1 || c[0].v == 2) &&
			c[1].h == 1 && c[1].v == 1 && c[2].h == 1 && c[2].v == 1
	default:
		return false
	}
}
