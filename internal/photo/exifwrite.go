package photo

import (
	"bytes"
	"encoding/binary"
)

// WithMetadata returns a copy of a JPEG with the EXIF tags Make and
// UserComment, in the form of a trap, for tests and the demo. An empty text
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
	return insertEXIF(pixels, buildTIFF(maker, userComment))
}

// WithOrientation returns a copy of a JPEG with an EXIF orientation, 1 to 8, and no other
// metadata. Existing EXIF is hidden. WithOrientation panics if jpeg does not begin like a
// JPEG.
func WithOrientation(jpeg []byte, orientation int) []byte {
	pixels, ok := bytes.CutPrefix(jpeg, []byte(markerSOI))
	if !ok {
		panic("photo: an orientation for what is not a JPEG")
	}
	value := binary.BigEndian.AppendUint16(nil, uint16(orientation))
	return insertEXIF(pixels, appendIFD([]byte("MM\x00*\x00\x00\x00\x08"), []newField{{tagOrientation, typeShort, 1, value}}))
}

// insertEXIF returns a JPEG with a TIFF file as its first segment. Pixels is the rest of the
// JPEG after SOI.
func insertEXIF(pixels, tiff []byte) []byte {
	length := 2 + len(exifHeader) + 1 + len(tiff)
	if length > 0xffff {
		panic("photo: more metadata than a segment holds")
	}
	b := append([]byte(markerSOI), 0xff, segmentAPP1)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(append(b, exifHeader...), 0)
	return append(append(b, tiff...), pixels...)
}

// buildTIFF returns a TIFF file. The comment comes first, so that its offset is
// known when the directory that refers to it is written.
func buildTIFF(maker, userComment string) []byte {
	b := []byte("MM\x00*\x00\x00\x00\x00")
	var ifd0 []newField
	if maker != "" {
		ifd0 = append(ifd0, newField{tagMake, typeASCII, len(maker) + 1, []byte(maker + "\x00")})
	}
	if userComment != "" {
		ifd0 = append(ifd0, newField{tagExifIFD, typeLong, 1, binary.BigEndian.AppendUint32(nil, uint32(len(b)))})
		b = appendIFD(b, []newField{{tagUserComment, typeUndefined, len(userComment), []byte(userComment)}})
	}
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)))
	return appendIFD(b, ifd0)
}

// newField is a field to write: of a type, with a number of items.
type newField struct {
	tag, kind uint16
	count     int
	value     []byte
}

// appendIFD appends a directory, followed by the values that are too long for
// the directory.
func appendIFD(b []byte, fields []newField) []byte {
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
