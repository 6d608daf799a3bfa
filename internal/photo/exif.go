package photo

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"

	"tagma/internal/photo/jpegscan"
)

// A reader of EXIF. The libraries for Go stop at the first irregular field of a
// file, read only the first segment, or remove the line breaks of a
// UserComment. A trap's UserComment has two lines, and lacks the eight bytes of
// its character code.
//
// The format is Exif 2.32 (CIPA DC-008): TIFF files inside the JPEG's APP1
// segments that begin with Exif. A TIFF file is a byte order, followed by
// directories (IFD) of fields of twelve bytes: tag, type, count, and the value,
// or its offset if the value is longer than four bytes. Offsets count from the
// byte order.

// Bounds of the search. A camera writes one segment, and fewer than 100 fields
// into a directory.
const (
	maxSegments = 64  // with EXIF
	maxFields   = 512 // of a directory
)

const (
	markerSOI  = "\xff\xd8"
	exifHeader = "Exif\x00" // followed by a byte of padding

	segmentAPP1 = 0xe1
)

// Types of a field's items.
const (
	typeByte      = 1
	typeASCII     = 2
	typeShort     = 3
	typeLong      = 4
	typeRational  = 5 // numerator and denominator, unsigned
	typeUndefined = 7
	typeSShort    = 8
	typeSLong     = 9
	typeSRational = 10
	typeFloat     = 11
	typeDouble    = 12
	typeIFD       = 13 // an offset, as typeLong
)

// itemSizes are the sizes of an item in bytes, by type. A field of another type is
// not read.
var itemSizes = [...]uint64{ //nolint:gochecknoglobals // a table
	typeByte: 1, typeASCII: 1, typeShort: 2, typeLong: 4, typeRational: 8,
	6: 1, typeUndefined: 1, typeSShort: 2, typeSLong: 4, typeSRational: 8,
	typeFloat: 4, typeDouble: 8, typeIFD: 4,
}

// exif holds the fields of a JPEG's EXIF. If several segments have EXIF, the first
// value of a tag counts.
type exif struct {
	image  directory // IFD0
	camera directory // the Exif IFD
	gps    directory // the GPS IFD of one segment
}

// directory holds fields by tag.
type directory map[uint16]field

// addMissing adds the fields of other whose tags the directory lacks.
func (d directory) addMissing(other directory) {
	for tag, f := range other {
		if _, ok := d[tag]; !ok {
			d[tag] = f
		}
	}
}

// readEXIF returns the fields of the EXIF in a JPEG. The values are slices of jpeg, not
// copies.
func readEXIF(jpeg []byte) exif {
	e := exif{image: directory{}, camera: directory{}}
	for segment := range exifSegments(jpeg) {
		t, ifd0, ok := parseTIFF(segment)
		if !ok {
			continue
		}
		image := t.directory(ifd0)
		camera := t.directory(image[tagExifIFD].offset())
		e.image.addMissing(image)
		e.camera.addMissing(camera)
		for _, parent := range []directory{image, camera} {
			if len(e.gps) == 0 {
				e.gps = t.directory(parent[tagGPSIFD].offset())
			}
		}
	}
	return e
}

// exifSegments returns the TIFF files inside a JPEG, in order.
func exifSegments(jpeg []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		segments := 0
		for n, body := range jpegscan.AppSegments(jpeg) {
			content, ok := bytes.CutPrefix(body, []byte(exifHeader))
			if n != 1 || !ok || len(content) == 0 {
				continue
			}
			if segments++; segments > maxSegments || !yield(content[1:]) {
				return
			}
		}
	}
}

// tiff is an untrusted TIFF file.
type tiff struct {
	order binary.ByteOrder
	bytes []byte
}

// parseTIFF returns a TIFF file and the offset of its first directory.
func parseTIFF(b []byte) (t tiff, ifd0 uint32, ok bool) {
	if len(b) < tiffHeaderSize {
		return tiff{}, 0, false
	}
	switch string(b[:4]) {
	case "II*\x00":
		t = tiff{binary.LittleEndian, b}
	case "MM\x00*":
		t = tiff{binary.BigEndian, b}
	default:
		return tiff{}, 0, false
	}
	return t, t.order.Uint32(b[4:]), true
}

// tiffHeaderSize is the size of byte order, magic number and first offset.
const tiffHeaderSize = 8

// bytesAt returns n bytes from an offset, or nil if the file is too short.
func (t tiff) bytesAt(offset, n uint64) []byte {
	if end := offset + n; n <= uint64(len(t.bytes)) && end <= uint64(len(t.bytes)) {
		return t.bytes[offset:end]
	}
	return nil
}

// directory returns the readable fields of the directory at an offset. For equal tags the
// first field counts. A field without a value is left out.
func (t tiff) directory(offset uint32) directory {
	if offset < tiffHeaderSize {
		return nil
	}
	head := t.bytesAt(uint64(offset), 2)
	if head == nil {
		return nil
	}
	d := directory{}
	for i := range min(uint64(t.order.Uint16(head)), maxFields) {
		entry := t.bytesAt(uint64(offset)+2+12*i, 12)
		if entry == nil {
			break
		}
		f := field{order: t.order, kind: t.order.Uint16(entry[2:])}
		f.bytes = t.value(entry, f.kind)
		tag := t.order.Uint16(entry)
		if _, ok := d[tag]; !ok && !f.isBlank() {
			d[tag] = f
		}
	}
	return d
}

// value returns the value of a field of twelve bytes, or nil if it lies outside the file or
// its type is unknown.
func (t tiff) value(entry []byte, kind uint16) []byte {
	if int(kind) >= len(itemSizes) {
		return nil
	}
	length := itemSizes[kind] * uint64(t.order.Uint32(entry[4:]))
	if length <= 4 {
		return entry[8 : 8+length]
	}
	return t.bytesAt(uint64(t.order.Uint32(entry[8:])), length)
}

// field is the value of a tag.
type field struct {
	order binary.ByteOrder
	kind  uint16 // the type of an item
	bytes []byte // whole items
}

// isBlank reports whether a field has no value, or is a text of spaces and zeros.
func (f field) isBlank() bool {
	if f.kind == typeASCII || f.kind == typeUndefined {
		return len(bytes.Trim(f.bytes, " \x00")) == 0
	}
	return len(f.bytes) == 0
}

// offset returns the offset of a directory, or 0 if the field is none.
func (f field) offset() uint32 {
	switch {
	case (f.kind == typeLong || f.kind == typeIFD) && len(f.bytes) == 4:
		return f.order.Uint32(f.bytes)
	case f.kind == typeShort && len(f.bytes) == 2:
		return uint32(f.order.Uint16(f.bytes))
	}
	return 0
}

// numbers returns the items of a field. ok is false if the field has no items or more than
// maxTuple, or if an item is not a number.
func (f field) numbers() (numbers []float64, ok bool) {
	if int(f.kind) >= len(itemSizes) || itemSizes[f.kind] == 0 {
		return nil, false
	}
	size := int(itemSizes[f.kind])
	for rest := f.bytes; len(rest) >= size; rest = rest[size:] {
		n, ok := f.number(rest)
		if !ok || len(numbers) == maxTuple || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, len(numbers) > 0
}

// number returns the first item of b. ok is false for a text and for a fraction without a
// value: the denominator is 0, or 0xffffffff, which means unknown (Exif 2.32, 4.6.6).
func (f field) number(b []byte) (n float64, ok bool) {
	switch f.kind {
	default:
		return 0, false
	case typeByte:
		return float64(b[0]), true
	case typeShort:
		return float64(f.order.Uint16(b)), true
	case typeSShort:
		return float64(int16(f.order.Uint16(b))), true
	case typeLong:
		return float64(f.order.Uint32(b)), true
	case typeSLong:
		return float64(int32(f.order.Uint32(b))), true
	case typeFloat:
		return float64(math.Float32frombits(f.order.Uint32(b))), true
	case typeDouble:
		return math.Float64frombits(f.order.Uint64(b)), true
	case typeRational, typeSRational:
		numerator, denominator := f.order.Uint32(b), f.order.Uint32(b[4:])
		if denominator == 0 || denominator == 0xffffffff {
			return 0, false
		}
		if f.kind == typeSRational {
			return float64(int32(numerator)) / float64(int32(denominator)), true
		}
		return float64(numerator) / float64(denominator), true
	}
}
