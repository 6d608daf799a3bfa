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
	Ordinary      bool // reports whether one sequential scan has the whole picture

	data       []byte
	firstSOS   int // offset at which the search for the first scan header begins
	frame      byte
	components []component
	quant      [4]*[64]uint16 // in zigzag order
	dc, ac     [4][]byte      // Huffman tables as in the file
	interval   int            // MCUs between restart markers, or 0
	jfif       bool
	adobe      bool
	transform  byte // Adobe's colour transform

	standardTables bool // reports whether the Huffman tables are those of K.3, because the file has none
}

// component is one component of the picture, such as luminance.
type component struct {
	id, quant byte
	h, v      int // sampling factors
}

// Open reads the header. It allocates little memory, whatever size the header claims. The
// error is ErrNotJPEG, a Damage or an Unsupported. Open ignores metadata, because odd
// metadata is no reason to refuse a photograph.
func Open(data []byte) (*Photo, error) {
	if len(data) == 0 {
		return nil, damage("the file is empty")
	}
	if len(data) < 3 || data[0] != 0xFF || data[1] != soi || data[2] != 0xFF {
		return nil, ErrNotJPEG
	}
	p := &Photo{data: data}
	for at := 2; ; {
		marker, body, next, err := segment(data, at)
		switch {
		case err != nil:
		case marker == soi:
			err = damage("the header of the file has a second SOI marker (FFD8), at byte %d: a photograph has one", next-2)
		case marker == sos:
			p.firstSOS = at
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
		return unsupported("a file of four components (CMYK) without Adobe's marker, which tells their colours, is not read")
	}
	if p.frame != sof2 && !p.hasTables() {
		p.standardTables = true
		if err := p.readHuffman([]byte(standardTables)); err != nil {
			return err
		}
	}
	p.Ordinary = p.frame != sof2 && len(scan) > 0 && int(scan[0]) == len(p.components)
	return nil
}

// hasTables reports whether the header has a Huffman table.
func (p *Photo) hasTables() bool {
	isTable := func(table []byte) bool { return table != nil }
	return slices.ContainsFunc(p.dc[:], isTable) || slices.ContainsFunc(p.ac[:], isTable)
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
		p.adobe, p.transform = true, body[11]
	case marker == app0 && bytes.HasPrefix(body, []byte("JFIF\x00")):
		p.jfif = true
	case marker >= app0 && marker <= appF || marker == com:
	case marker == sof0 || marker == sof1 || marker == sof2:
		if p.frame != 0 {
			return damage("the file has two frame headers")
		}
		p.frame = marker
		return p.readFrame(body)
	default:
		if coding := unreadCoding(marker); coding != "" {
			return unsupported("%s is not read", coding)
		}
		return damage("the header of the file has the marker FF%02X, which no photograph has there", marker)
	}
	return nil
}

// unreadCoding returns the name of the coding of a file with a marker in its header (table
// B.1), or "" if the marker names no coding.
func unreadCoding(marker byte) string {
	switch marker {
	case 0xC3, 0xCB:
		return "lossless coding"
	case 0xC9, 0xCA, dac:
		return "arithmetic coding"
	case 0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, dhp:
		return "hierarchical coding"
	case jls:
		return "JPEG-LS"
	}
	return ""
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
	if p.Width == 0 {
		return damage("the frame header says %d × %d pixels", p.Width, p.Height)
	}
	if p.Height == 0 {
		return unsupported("a height that follows the picture (DNL), with 0 in the frame header, is not read")
	}
	if body[0] != 8 {
		return unsupported("a file of %d bits a sample is not read", body[0])
	}
	if n := body[5]; n != 1 && n != 3 && n != 4 {
		return unsupported("a file of %d components is not read", n)
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

// largest returns the largest sampling factors of the components, to which the size of the
// picture refers (A.1.1). The MCU of one component is one block (A.2.2).
func (p *Photo) largest() (h, v int) {
	if len(p.components) == 1 {
		return 1, 1
	}
	for _, c := range p.components {
		h, v = max(h, c.h), max(v, c.v)
	}
	return h, v
}
