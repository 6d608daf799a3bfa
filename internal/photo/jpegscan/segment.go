package jpegscan

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Markers: T.81, table B.1.
const (
	sof0 = 0xC0 // baseline
	sof1 = 0xC1 // extended sequential
	sof2 = 0xC2 // progressive
	dht  = 0xC4
	jpg  = 0xC8 // reserved; the other markers from C0 to CF begin a frame
	dac  = 0xCC
	rst0 = 0xD0
	rst7 = 0xD7
	soi  = 0xD8
	eoi  = 0xD9
	sos  = 0xDA
	dqt  = 0xDB
	dnl  = 0xDC
	dri  = 0xDD
	dhp  = 0xDE // begins a hierarchical file
	app0 = 0xE0
	adob = 0xEE // APP14: Adobe's colour transform
	appF = 0xEF
	jls  = 0xF7 // the frame of JPEG-LS: ITU-T T.87, C.1
	com  = 0xFE
)

// AppSegments returns the APP segments between SOI and the first scan: the number of the APP
// marker, 0 to 15, and the body, which is a slice of data. AppSegments reads a header by the
// rules of Open: fill bytes may precede a marker (B.1.1.2), and bytes outside of segments are
// skipped. The sequence ends early where the header is cut off or a length is impossible. A
// picture that Open refuses still has its metadata.
func AppSegments(data []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		if !bytes.HasPrefix(data, []byte{0xFF, soi}) {
			return
		}
		for at := 2; ; {
			marker, body, next, err := segment(data, at)
			if err != nil || marker == sos || marker == soi || marker == eoi {
				return
			}
			if marker >= app0 && marker <= appF && !yield(int(marker-app0), body) {
				return
			}
			at = next
		}
	}
}

// segment returns the first marker at or after an offset, its body, and the offset after the
// body. It skips bytes outside of segments and restart markers, as libjpeg and image/jpeg do.
func segment(data []byte, at int) (marker byte, body []byte, next int, err error) {
	cut := func() (byte, []byte, int, error) {
		return 0, nil, 0, damage("the file is cut off in its header, at byte %d", len(data))
	}
	for {
		skip := bytes.IndexByte(data[at:], 0xFF)
		if skip < 0 {
			return cut()
		}
		for at += skip; at < len(data) && data[at] == 0xFF; at++ {
		}
		if at == len(data) {
			return cut()
		}
		marker = data[at]
		at++
		switch {
		case marker == 0, marker >= rst0 && marker <= rst7:
			continue // without a body
		case marker < sof0, marker == soi, marker == eoi:
			return marker, nil, at, nil
		}
		if at+2 > len(data) {
			return cut()
		}
		length := int(binary.BigEndian.Uint16(data[at:]))
		if length < 2 {
			return 0, nil, 0, damage("the segment FF%02X of the file has the length %d: a length counts its own 2 bytes", marker, length)
		}
		if at+length > len(data) {
			return cut()
		}
		return marker, data[at+2 : at+length], at + length, nil
	}
}
