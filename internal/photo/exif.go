package photo

import (
	"bytes"
	"encoding/binary"

	"tagma/internal/photo/jpegscan"
)

// A reader and a writer for two EXIF tags. Existing libraries remove the line
// breaks of a UserComment, and return nothing if a UserComment lacks the eight
// bytes of its character code. A trap's UserComment has two lines and lacks the
// eight bytes.
//
// The format is Exif 2.3 (CIPA DC-008): a TIFF file inside the JPEG's first
// APP1 segment that begins with Exif. A TIFF file is a byte order, followed by
// directories (IFD) of fields of twelve bytes: tag, type, count, and the value,
// or its offset if the value is longer than four bytes. Offsets count from the
// byte order.

const (
	markerSOI  = "\xff\xd8"
	exifHeader = "Exif\x00\x00"

	segmentAPP1 = 0xe1

	tagMake        = 0x010f
	tagExifIFD     = 0x8769
	tagUserComment = 0x9286

	typeASCII     = 2
	typeLong      = 4
	typeUndefined = 7
)

// findTags returns the values of Make and UserComment, or nil. The values are
// slices of jpeg, not copies.
func findTags(jpeg []byte) (maker, userComment []byte) {
	t, ifd0, ok := parseTIFF(exifSegment(jpeg))
	if !ok {
		return nil, nil
	}
	if pointer := t.value(ifd0, tagExifIFD); len(pointer) == 4 {
		userComment = t.value(t.order.Uint32(pointer), tagUserComment)
	}
	return t.value(ifd0, tagMake), userComment
}

// exifSegment returns the TIFF file inside a JPEG, or nil.
func exifSegment(jpeg []byte) []byte {
	for n, body := range jpegscan.AppSegments(jpeg) {
		if tiff, ok := bytes.CutPrefix(body, []byte(exifHeader)); n == 1 && ok {
			return tiff
		}
	}
	return nil
}

// tiff is an untrusted TIFF file.
type tiff struct {
	order binary.ByteOrder
	bytes []byte
}

// parseTIFF returns a TIFF file and the offset of its first directory.
func parseTIFF(b []byte) (t tiff, ifd0 uint32, ok bool) {
	if len(b) < 8 {
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

// bytesAt returns n bytes from an offset, or nil if the file is too short.
func (t tiff) bytesAt(offset, n uint64) []byte {
	if end := offset + n; n <= uint64(len(t.bytes)) && end <= uint64(len(t.bytes)) {
		return t.bytes[offset:end]
	}
	return nil
}

// value returns the value of the first field with the given tag in the
// directory at ifd, or nil.
func (t tiff) value(ifd uint32, tag uint16) []byte {
	head := t.bytesAt(uint64(ifd), 2)
	if head == nil {
		return nil
	}
	for i := range uint64(t.order.Uint16(head)) {
		field := t.bytesAt(uint64(ifd)+2+12*i, 12)
		if field == nil {
			return nil
		}
		if t.order.Uint16(field) != tag {
			continue
		}
		length := uint64(t.order.Uint32(field[4:]))
		if t.order.Uint16(field[2:]) == typeLong {
			length *= 4
		}
		if length <= 4 {
			return field[8 : 8+length]
		}
		return t.bytesAt(uint64(t.order.Uint32(field[8:])), length)
	}
	return nil
}

// WithMetadata returns a copy of a JPEG with the EXIF tags Make and
// UserComment, in the form of a camera, for tests and the demo. An empty text
// omits its tag. UserComment is written unchanged, as traps do, so the text
// must contain any character code. Existing EXIF is hidden. Without both texts
// the copy equals the original.
//
// WithMetadata panics if jpeg does not begin like a JPEG, or if the texts
// exceed a segment, which holds just under 64 KiB.
func WithMetadata(jpeg []byte, maker, userComment string) []byte {
	pixels, ok := bytes.CutPrefix(jpeg, []byte(markerSOI))
	if !ok {
		panic("photo: metadata for what is not a JPEG")
	}
	if maker == "" && userComment == "" {
		return bytes.Clone(jpeg)
	}
	segment := append([]byte(exifHeader), buildTIFF(maker, userComment)...)
	length := 2 + len(segment)
	if length > 0xffff {
		panic("photo: more metadata than a segment holds")
	}
	b := append([]byte(markerSOI), 0xff, segmentAPP1)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return append(append(b, segment...), pixels...)
}

// buildTIFF returns a TIFF file. The comment comes first, so that its offset is
// known when the directory that refers to it is written.
func buildTIFF(maker, userComment string) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x00")
	var ifd0 []field
	if maker != "" {
		ifd0 = append(ifd0, field{tagMake, typeASCII, len(maker) + 1, []byte(maker + "\x00")})
	}
	if userComment != "" {
		ifd0 = append(ifd0, field{tagExifIFD, typeLong, 1, binary.BigEndian.AppendUint32(nil, uint32(len(b)))})
		b = appendIFD(b, []field{{tagUserComment, typeUndefined, len(userComment), []byte(userComment)}})
	}
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	return appendIFD(b, ifd0)
}

type field struct {
	tag, kind uint16
	count     int
	value     []byte
}

// appendIFD appends a directory, followed by the values that are too long for
// the directory.
func appendIFD(b []byte, fields []field) []byte {
	order := binary.BigEndian
	var values []byte
	valuesAt := len(b) + 2 + 12*len(fields) + 4
	b = order.AppendUint16(b, uint16(len(fields)))
	for _, f := range fields {
		b = order.AppendUint16(b, f.tag)
		b = order.AppendUint16(b, f.kind)
		b = order.AppendUint32(b, uint32(f.count))
		if len(f.value) <= 4 {
			b = append(b, f.value...)
			b = append(b, make([]byte, 4-len(f.value))...)
			continue
		}
		b = order.AppendUint32(b, uint32(valuesAt+len(values)))
		values = append(values, f.value...)
	}
	b = append(b, 0, 0, 0, 0) // no next directory
	b = append(b, values...)
	if len(b)%2 == 1 {
		b = append(b, 0) // a directory begins at an even offset
	}
	return b
}
