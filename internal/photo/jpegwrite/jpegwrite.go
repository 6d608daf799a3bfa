// Package jpegwrite owns writing JPEG files with the format of image/jpeg, in a
// third of the time: sequential, 8 bits, grey or 4:2:0, with the Huffman tables
// of annex K.3. The format is ITU-T T.81 (1992); comments refer to sections of
// T.81.
//
// The standard library writes the headers. Package jpegwrite does not own the
// pixels: package thumbnail makes them.
package jpegwrite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/jpeg"
)

// errKind means that an image is of an unsupported type.
var errKind = errors.New("jpegwrite: neither grey nor 4:2:0")

// Encode returns the JPEG file of an *image.Gray, or of an *image.YCbCr with
// the subsampling 4:2:0. The bounds must begin at 0, 0, with at most 65,535
// pixels horizontally and vertically. Quality is as in image/jpeg.
func Encode(m image.Image, quality int) ([]byte, error) {
	size := m.Bounds().Size()
	var planes []plane
	var sample image.Image // of the same type
	switch m := m.(type) {
	case *image.Gray:
		sample = image.NewGray(image.Rect(0, 0, 1, 1))
		planes = []plane{{pix: m.Pix, stride: m.Stride, width: size.X, height: size.Y, blocks: 1}}
	case *image.YCbCr:
		if m.SubsampleRatio != image.YCbCrSubsampleRatio420 {
			return nil, errKind
		}
		sample = image.NewYCbCr(image.Rect(0, 0, 1, 1), m.SubsampleRatio)
		w, h := (size.X+1)/2, (size.Y+1)/2
		planes = []plane{
			{pix: m.Y, stride: m.YStride, width: size.X, height: size.Y, blocks: 2},
			{pix: m.Cb, stride: m.CStride, width: w, height: h, blocks: 1},
			{pix: m.Cr, stride: m.CStride, width: w, height: h, blocks: 1},
		}
	default:
		return nil, errKind
	}
	header, err := newHeader(sample, size, quality)
	if err != nil {
		return nil, err
	}
	for i := range planes {
		chroma := min(i, 1)
		planes[i].scale = scaleTable(header.quant[chroma])
		planes[i].dc, planes[i].ac = codeTable(header.huffman[2*chroma]), codeTable(header.huffman[2*chroma+1])
	}
	w := &writer{out: make([]byte, len(header.bytes), len(header.bytes)+size.X*size.Y/4+1<<10)}
	copy(w.out, header.bytes)
	mcu := 8 * planes[0].blocks // A.2.3
	for y := 0; y < size.Y; y += mcu {
		for x := 0; x < size.X; x += mcu {
			for i := range planes {
				p := &planes[i]
				for n := range p.blocks * p.blocks {
					p.write(w, (x/mcu*p.blocks+n%p.blocks)*8, (y/mcu*p.blocks+n/p.blocks)*8)
				}
			}
		}
	}
	return append(w.end(), 0xFF, 0xD9), nil
}

// header holds the bytes before the entropy-coded data.
type header struct {
	bytes   []byte
	quant   [][]byte // tables in zigzag order: luminance, chrominance
	huffman [][]byte // DC and AC of luminance, then of chrominance: 16 counts, then the symbols
}

// newHeader returns the header of a picture of the given size and of the type
// of sample.
func newHeader(sample image.Image, size image.Point, quality int) (*header, error) {
	var file bytes.Buffer
	if err := jpeg.Encode(&file, sample, &jpeg.Options{Quality: quality}); err != nil {
		return nil, err
	}
	data := file.Bytes()
	h := &header{}
	for pos := 2; ; {
		marker, end := data[pos+1], pos+2+int(binary.BigEndian.Uint16(data[pos+2:]))
		body := data[pos+4 : end]
		switch marker {
		case 0xDB: // B.2.4.1
			for ; len(body) > 0; body = body[65:] {
				h.quant = append(h.quant, body[1:65])
			}
		case 0xC0: // B.2.2
			binary.BigEndian.PutUint16(body[1:], uint16(size.Y))
			binary.BigEndian.PutUint16(body[3:], uint16(size.X))
		case 0xC4: // B.2.4.2
			for len(body) > 0 {
				n := 17
				for _, count := range body[1:17] {
					n += int(count)
				}
				h.huffman = append(h.huffman, body[1:n])
				body = body[n:]
			}
		case 0xDA:
			h.bytes = data[:end]
			return h, nil
		}
		pos = end
	}
}

// code is a Huffman code and its length in bits.
type code struct{ bits, length uint16 }

// codeTable returns the codes by symbol (C.2).
func codeTable(table []byte) *[256]code {
	var codes [256]code
	next, i := uint16(0), 16
	for length := 1; length <= 16; length++ {
		for range table[length-1] {
			codes[table[i]] = code{next, uint16(length)}
			next++
			i++
		}
		next <<= 1
	}
	return &codes
}

// writer collects bits.
type writer struct {
	out  []byte
	bits uint64 // the last n bits are not yet in out
	n    uint
}

// put appends up to 32 bits.
func (w *writer) put(bits uint64, n uint) {
	w.bits = w.bits<<(n&63) | bits
	if w.n += n; w.n >= 32 {
		w.flush()
	}
}

// flush appends 32 bits to out. A zero byte follows each byte 0xFF (F.1.2.3).
func (w *writer) flush() {
	w.n -= 32
	word := uint32(w.bits >> (w.n & 63))
	// A byte is 0xFF if its complement is 0: then the subtraction borrows a 1.
	if (^word-0x01010101)&word&0x80808080 == 0 {
		w.out = binary.BigEndian.AppendUint32(w.out, word)
		return
	}
	for shift := 24; shift >= 0; shift -= 8 {
		w.byte(byte(word >> shift))
	}
}

func (w *writer) byte(b byte) {
	if w.out = append(w.out, b); b == 0xFF {
		w.out = append(w.out, 0)
	}
}

// end fills the last byte with ones, and returns all bytes.
func (w *writer) end() []byte {
	if fill := -w.n & 7; fill > 0 {
		w.put(1<<fill-1, fill)
	}
	for w.n > 0 {
		w.n -= 8
		w.byte(byte(w.bits >> (w.n & 63)))
	}
	return w.out
}
