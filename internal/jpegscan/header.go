package jpegscan

import (
	"bytes"
	"encoding/binary"
)

// Markers: T.81, table B.1.
const (
	sof0 = 0xC0 // baseline
	sof1 = 0xC1 // extended sequential
	dht  = 0xC4
	jpg  = 0xC8 // reserved; the other markers from C0 to CF begin a frame
	dac  = 0xCC
	rst0 = 0xD0
	rst7 = 0xD7
	soi  = 0xD8
	eoi  = 0xD9
	sos  = 0xDA
	dqt  = 0xDB
	dri  = 0xDD
	adob = 0xEE // APP14, where Adobe notes the colour transform
	tem  = 0x01
)

// Photo is a JPEG file of which the header was read, up to the first scan. It
// keeps the data it was opened with, which must not change.
type Photo struct {
	Width, Height int  // in pixels, as stored: never turned by EXIF
	Ordinary      bool // Quarter can read it

	data       []byte
	scan       int // where the entropy-coded data begin
	components []component
	quant      [4]*[64]uint16 // in zigzag order
	dc, ac     [4][]byte      // Huffman tables as they stand in the file
	interval   int            // MCUs between restart markers, or 0
	rgb        bool
}

// component is one plane of the picture.
type component struct {
	id, quant, dc, ac byte
	h, v              int // sampling factors
}

// Open reads the header and allocates next to nothing, whatever size the header
// claims. The error is ErrNotJPEG or a Damage. Only what is needed is looked
// at: metadata, however odd, is no reason to refuse a photograph.
func Open(data []byte) (*Photo, error) {
	if len(data) < 3 || data[0] != 0xFF || data[1] != soi || data[2] != 0xFF {
		return nil, ErrNotJPEG
	}
	p := &Photo{data: data}
	var frame byte
	for at := 2; ; {
		marker, body, next := segment(data, at)
		if next < 0 {
			return nil, damage("the file is cut off in its header, at byte %d", len(data))
		}
		at = next
		var err error
		switch {
		case marker == eoi:
			return nil, damage("the file holds no picture")
		case marker == dqt:
			err = p.readQuant(body)
		case marker == dht:
			err = p.readHuffman(body)
		case marker == dri && len(body) == 2:
			p.interval = int(binary.BigEndian.Uint16(body))
		case marker == adob && bytes.HasPrefix(body, []byte("Adobe")) && len(body) >= 12:
			p.rgb = p.rgb || body[11] == 0
		case marker >= sof0 && marker <= 0xCF && marker != jpg && marker != dac:
			if frame != 0 {
				return nil, damage("the file has two frame headers")
			}
			frame = marker
			err = p.readFrame(body)
		case marker == sos:
			if frame == 0 {
				return nil, damage("the file has no frame header")
			}
			p.scan = at
			p.Ordinary = p.readScan(body) && p.ordinary(frame)
			return p, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// segment finds the marker at or behind at, with what it holds. Bytes that
// belong to no segment are passed over, as libjpeg and the standard library do.
// next is where to go on, or −1 if the data end before.
func segment(data []byte, at int) (marker byte, body []byte, next int) {
	for {
		skip := bytes.IndexByte(data[at:], 0xFF)
		if skip < 0 {
			return 0, nil, -1
		}
		for at += skip; at < len(data) && data[at] == 0xFF; at++ {
		}
		if at == len(data) {
			return 0, nil, -1
		}
		marker = data[at]
		at++
		switch {
		case marker == 0, marker == tem, marker >= rst0 && marker <= soi:
			continue // they have no body
		case marker == eoi:
			return marker, nil, at
		}
		if at+2 > len(data) {
			return 0, nil, -1
		}
		end := at + max(2, int(binary.BigEndian.Uint16(data[at:])))
		if end > len(data) {
			return 0, nil, -1
		}
		return marker, data[at+2 : end], end
	}
}

// readQuant: B.2.4.1.
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

// readHuffman: B.2.4.2. The tables are kept as they are, 16 counts and the
// symbols, until they are wanted.
func (p *Photo) readHuffman(body []byte) error {
	for len(body) > 0 {
		class, id := body[0]>>4, body[0]&15
		size := 16
		for _, count := range body[1:min(17, len(body))] {
			size += int(count)
		}
		if class > 1 || id > 3 || len(body) < 1+size || size > 16+256 {
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

// readFrame: B.2.2.
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
		return nil // and without components, it is not ordinary
	}
	for c := body[6:]; len(c) > 0; c = c[3:] {
		p.components = append(p.components, component{
			id: c[0], h: int(c[1] >> 4), v: int(c[1] & 15), quant: c[2],
		})
	}
	return nil
}

// readScan: B.2.3. It reports whether the scan holds all components, in the
// order of the frame, and all their coefficients.
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

// ordinary reports whether the frame is of the kind that Quarter reads.
func (p *Photo) ordinary(frame byte) bool {
	if frame != sof0 && frame != sof1 {
		return false
	}
	for _, c := range p.components {
		if c.quant > 3 || c.dc > 3 || c.ac > 3 {
			return false
		}
	}
	switch c := p.components; len(c) {
	case 1:
		return c[0].h >= 1 && c[0].h <= 4 && c[0].v >= 1 && c[0].v <= 4
	case 3:
		if p.rgb || (c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B') {
			return false
		}
		return (c[0].h == 1 || c[0].h == 2) && (c[0].v == 1 || c[0].v == 2) &&
			c[1].h == 1 && c[1].v == 1 && c[2].h == 1 && c[2].v == 1
	default:
		return false
	}
}
