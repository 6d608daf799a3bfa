package photo

import (
	"bytes"
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
)

// parseTable reads the form of later traps: a line of names and a line of
// values, separated by commas, in a UserComment:
//
//	v,T,H,B,L,lat,lng,a,l,b
//	3.1.0,20.6,42.6,72,1.20,49.26,-123.25,97.3,1652813182,1
//
// The values are the version of the trap's software, temperature, humidity,
// battery, luminosity, latitude, longitude, altitude, the time of the last
// synchronisation, and whether a button was pressed. From October 2021 to May
// 2022 the names were longer, and not all traps wrote the button:
//
//	ver,temp,hum,bat,lum,lat,lng,alt,lsy,b
//
// For any other text parseTable returns no readings. The result is never nil.
func parseTable(userComment []byte) readings {
	r := readings{}
	text := commentText(userComment)
	if len(text) > maxTag {
		return r
	}
	reader := csv.NewReader(strings.NewReader(text))
	reader.FieldsPerRecord = -1
	names, err1 := reader.Read()
	values, err2 := reader.Read()
	_, err3 := reader.Read()
	if err1 != nil || err2 != nil || err3 != io.EOF || len(names) > maxNames {
		return r
	}
	for i, name := range names[:min(len(names), len(values))] {
		name, value := cleanText(strings.TrimSpace(name)), strings.TrimSpace(values[i])
		number, err := parseNumber(value)
		switch {
		case name == "":
		case err == nil && !slices.Contains(versionNames, name): // as a number, version 3.10 would become 3.1
			r[name] = number
		default:
			r[name] = cleanText(value)
		}
	}
	return r
}

// commentText returns the text of an EXIF UserComment. In the standard (Exif
// 2.3, table 6) a UserComment begins with eight bytes for the character code.
// Traps omit the eight bytes; editors write them.
func commentText(b []byte) string {
	if text, ok := bytes.CutPrefix(b, []byte("UNICODE\x00")); ok && bytes.IndexByte(text, 0) >= 0 {
		return fromUTF16(text)
	}
	for _, code := range []string{"ASCII\x00\x00\x00", "UNICODE\x00", "JIS\x00\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if text, ok := bytes.CutPrefix(b, []byte(code)); ok {
			b = text
			break
		}
	}
	return strings.TrimPrefix(cutAtNUL(b), byteOrderMark)
}

// byteOrderMark is U+FEFF in UTF-8.
const byteOrderMark = "\ufeff"

// fromUTF16 decodes a text whose first character is ASCII. The zero byte of the
// first character shows the byte order, because writers of EXIF differ in it.
func fromUTF16(b []byte) string {
	b = bytes.TrimPrefix(bytes.TrimPrefix(b, []byte{0xfe, 0xff}), []byte{0xff, 0xfe})
	high, low := 1, 0
	if len(b) > 0 && b[0] == 0 {
		high, low = 0, 1
	}
	var units []uint16
	for ; len(b) >= 2 && len(units) <= maxTag; b = b[2:] {
		unit := uint16(b[high])<<8 | uint16(b[low])
		if unit == 0 {
			break
		}
		units = append(units, unit)
	}
	return string(utf16.Decode(units))
}

// cutAtNUL returns the text before the zero bytes that end and pad a text in
// EXIF.
func cutAtNUL(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}
