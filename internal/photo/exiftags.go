package photo

import (
	"math"
	"strings"
)

// Tags that have a meaning of their own here.
const (
	tagMake        = 0x010f
	tagOrientation = 0x0112
	tagExifIFD     = 0x8769
	tagGPSIFD      = 0x8825
	tagUserComment = 0x9286
	tagTemperature = 0x9400
	tagHumidity    = 0x9401

	tagGPSLatitudeRef  = 1
	tagGPSLatitude     = 2
	tagGPSLongitudeRef = 3
	tagGPSLongitude    = 4
	tagGPSAltitudeRef  = 5
	tagGPSAltitude     = 6
	tagGPSStatus       = 9
)

// namedTag is a tag with its name in the standard.
type namedTag struct {
	tag  uint16
	name string
}

// cameraTags are the tags of IFD0 and the Exif IFD that are part of Metadata.Raw.
var cameraTags = []namedTag{
	{0x010e, "ImageDescription"},
	{tagMake, "Make"},
	{0x0110, "Model"},
	{tagOrientation, "Orientation"},
	{0x0131, "Software"},
	{0x0132, "DateTime"},
	{0x829a, "ExposureTime"},
	{0x829d, "FNumber"},
	{0x8827, "PhotographicSensitivity"},
	{0x9003, "DateTimeOriginal"},
	{0x9004, "DateTimeDigitized"},
	{0x9010, "OffsetTime"},
	{0x9011, "OffsetTimeOriginal"},
	{0x9012, "OffsetTimeDigitized"},
	{0x9203, "BrightnessValue"},
	{0x9209, "Flash"},
	{0x920a, "FocalLength"},
	{0x9290, "SubSecTime"},
	{0x9291, "SubSecTimeOriginal"},
	{0x9292, "SubSecTimeDigitized"},
	{tagTemperature, "AmbientTemperature"},
	{tagHumidity, "Humidity"},
	{0x9402, "Pressure"},
	{0xa431, "BodySerialNumber"},
	{0xa434, "LensModel"},
	{0xc62f, "CameraSerialNumber"}, // of DNG
}

// gpsTags are the tags of the GPS IFD that are part of Metadata.Raw.
var gpsTags = []namedTag{
	{tagGPSLatitudeRef, "GPSLatitudeRef"},
	{tagGPSLatitude, "GPSLatitude"},
	{tagGPSLongitudeRef, "GPSLongitudeRef"},
	{tagGPSLongitude, "GPSLongitude"},
	{tagGPSAltitudeRef, "GPSAltitudeRef"},
	{tagGPSAltitude, "GPSAltitude"},
	{7, "GPSTimeStamp"},
	{tagGPSStatus, "GPSStatus"},
	{0x11, "GPSImgDirection"},
	{0x1d, "GPSDateStamp"},
	{0x1f, "GPSHPositioningError"},
}

// maxText is the longest text of a tag in Metadata.Raw, in bytes.
const maxText = 256

// orientation returns the EXIF orientation of the pixels, 1 to 8. Without a valid
// orientation, browsers and orientation return 1: the pixels are upright as stored.
func (e exif) orientation() int {
	f := e.image[tagOrientation]
	if f.kind == typeShort && len(f.bytes) == 2 {
		if n := int(f.order.Uint16(f.bytes)); n >= 1 && n <= 8 {
			return n
		}
	}
	return 1
}

// field returns the field of a camera with a tag, or the zero field. Cameras write most tags
// into the Exif IFD; some libraries write all tags into IFD0.
func (e exif) field(tag uint16) field {
	if f, ok := e.camera[tag]; ok {
		return f
	}
	return e.image[tag]
}

// table returns the readings of a trap's UserComment.
func (e exif) table() readings {
	if r := parseTable(e.camera[tagUserComment].bytes); len(r) > 0 {
		return r
	}
	return parseTable(e.image[tagUserComment].bytes)
}

// readings returns the values of an ordinary camera, by the names of the standard: texts,
// numbers, and lists of numbers, such as degrees, minutes and seconds. Fractions are
// divided.
func (e exif) readings() readings {
	r := readings{}
	for _, t := range cameraTags {
		if value := e.field(t.tag).reading(); value != nil {
			r[t.name] = value
		}
	}
	if maker, ok := r["Make"].(string); ok && !isMaker(maker) {
		delete(r, "Make")
	}
	for _, t := range gpsTags {
		if value := e.gps[t.tag].reading(); value != nil {
			r[t.name] = value
		}
	}
	return r
}

// isMaker reports whether a text can be the name of a manufacturer. A damaged dict of a trap
// cannot.
func isMaker(text string) bool { return !strings.ContainsAny(text, `{}()[]'"`) }

// reading returns the value of a field as a string, a float64 or a []any of float64, or nil
// if the field has no readable value.
func (f field) reading() any {
	if f.kind == typeASCII || f.kind == typeUndefined {
		text := strings.TrimSpace(cleanText(cutAtNUL(f.bytes)))
		if text == "" || len(text) > maxText {
			return nil
		}
		return text
	}
	numbers, ok := f.numbers()
	switch {
	case !ok:
		return nil
	case len(numbers) == 1:
		return numbers[0]
	}
	list := make([]any, len(numbers))
	for i, n := range numbers {
		list[i] = n
	}
	return list
}

// temperature returns the ambient temperature in °C, or nil.
func (e exif) temperature() *float64 { return e.field(tagTemperature).single(isTemperature) }

// humidity returns the relative humidity in percent, or nil.
func (e exif) humidity() *float64 { return e.field(tagHumidity).single(isHumidity) }

// position returns degrees north, degrees east and metres above sea level. A value is nil
// if the GPS had no fix, or if the value is not complete: without the reference nobody knows
// the hemisphere.
func (e exif) position() (latitude, longitude, altitude *float64) {
	if strings.EqualFold(e.gps[tagGPSStatus].text(), "V") { // void
		return nil, nil, nil
	}
	latitude = e.degrees(tagGPSLatitude, tagGPSLatitudeRef, "N", "S")
	longitude = e.degrees(tagGPSLongitude, tagGPSLongitudeRef, "E", "W")
	altitude = e.gps[tagGPSAltitude].single(isAny)
	if below := e.gps[tagGPSAltitudeRef].single(isAny); altitude != nil && below != nil && *below == 1 {
		*altitude = -*altitude
	}
	if altitude != nil && !isAltitude(*altitude) {
		altitude = nil
	}
	return latitude, longitude, altitude
}

// degrees returns an angle of degrees, minutes and seconds, negative for the reference
// negative, or nil if the angle or its reference is missing.
func (e exif) degrees(tag, refTag uint16, positive, negative string) *float64 {
	parts, ok := e.gps[tag].numbers()
	if !ok || len(parts) > 3 {
		return nil
	}
	angle := 0.0
	for i, part := range parts {
		angle += part / math.Pow(60, float64(i))
	}
	switch ref := e.gps[refTag].text(); {
	case strings.EqualFold(ref, negative):
		angle = -angle
	case !strings.EqualFold(ref, positive):
		return nil
	}
	return &angle
}

// text returns the text of a field, or "" if the field is none.
func (f field) text() string {
	text, _ := f.reading().(string)
	return text
}

// single returns the accepted number of a field with one item, or nil.
func (f field) single(accept func(float64) bool) *float64 {
	if n, ok := f.reading().(float64); ok && accept(n) {
		return &n
	}
	return nil
}
