package photo

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
)

// Metadata holds the cleaned values that the camera wrote into a photograph. A
// field is nil if its value is missing, or outside the range of a working
// sensor.
type Metadata struct {
	DeviceVersion *string // version of the trap's software, such as 3.1.0

	Altitude            *float64 // metres, -500 to 10,000
	Latitude, Longitude *float64 // degrees north, degrees east; both or neither
	Temperature         *float64 // °C, above -40, at most 100
	Humidity            *float64 // % relative, above 0, at most 100

	// The metering of the scene before the flash. The ordinary EXIF tags of the
	// photograph describe the exposure with flash, and are not read.
	NoFlashShutterSpeed *float64 // APEX
	NoFlashExposureTime *float64 // seconds
	NoFlashBrightness   *float64 // APEX
	NoFlashIso          *float64

	// Raw is an object with all values under the trap's names, as the trap
	// wrote them: fractions as [numerator, denominator], numbers, strings. Raw
	// is {} if there are none.
	Raw json.RawMessage
}

// ReadMetadata returns the metadata that the camera wrote into a JPEG. Traps
// have used two forms: at first (2020) a Python dict in the EXIF tag Make, see
// parseDict, and later (2022) two lines of CSV in the tag UserComment, see
// parseTable. If a photograph has both forms, the result has the names of both;
// for a common name, the dict's value counts.
//
// There is no error, because odd metadata is no reason to refuse a photograph:
// unreadable values are missing. The cost is bounded for any input:
// ReadMetadata reads the segments before the pixels, and 4 KiB of each of the
// two tags.
func ReadMetadata(jpeg []byte) Metadata {
	dict, table := findTags(jpeg)
	merged := parseTable(table)
	maps.Copy(merged, parseDict(dict))
	return merged.metadata()
}

// Larger metadata cannot be a trap's: a trap's tag has 300 bytes and a dozen
// names.
const (
	maxTag     = 4 << 10 // bytes
	maxNames   = 64
	maxVersion = 64 // bytes of DeviceVersion
)

// readings holds values as the trap wrote them, by the trap's names. A value is
// a string, an int64, a finite float64, a bool, nil, or a flat []any of these.
type readings map[string]any

func (r readings) metadata() Metadata {
	m := Metadata{
		DeviceVersion:       r.version("device_version", "version", "v"),
		Altitude:            r.number(isAltitude, "alt", "a"),
		Temperature:         r.number(isTemperature, "temp", "T"),
		Humidity:            r.number(isHumidity, "hum", "H"),
		NoFlashShutterSpeed: r.number(isAny, "no_flash_shutter_speed"),
		NoFlashExposureTime: r.number(isAny, "no_flash_exposure_time"),
		NoFlashBrightness:   r.number(isAny, "no_flash_bv"),
		NoFlashIso:          r.number(isAny, "no_flash_iso"),
		Raw:                 r.json(),
	}
	m.Latitude, m.Longitude = r.number(isAny, "lat"), r.number(isAny, "lng")
	m.cleanPosition()
	return m
}

func isAny(float64) bool { return true }

// A trap without a thermometer writes -300 °C and no humidity.
func isTemperature(celsius float64) bool { return celsius > -40 && celsius <= 100 }
func isHumidity(percent float64) bool    { return percent > 0 && percent <= 100 }
func isAltitude(metres float64) bool     { return metres >= -500 && metres <= 10_000 }

// cleanPosition swaps a swapped latitude and longitude, and drops an impossible
// position.
func (m *Metadata) cleanPosition() {
	if m.Latitude == nil || m.Longitude == nil {
		m.Latitude, m.Longitude = nil, nil
		return
	}
	latitude, longitude := *m.Latitude, *m.Longitude
	switch noAltitude := m.Altitude == nil || *m.Altitude == 0; {
	case latitude == 0 && longitude == 0 && noAltitude:
		// A trap writes zeros before its GPS has a position.
		m.Latitude, m.Longitude, m.Altitude = nil, nil, nil
	case isPosition(latitude, longitude):
	case isPosition(longitude, latitude):
		// In summer 2020 traps at 49° N 121° W swapped the two names. The swap
		// is evident only where the longitude cannot be a latitude.
		m.Latitude, m.Longitude = m.Longitude, m.Latitude
	default:
		m.Latitude, m.Longitude = nil, nil
	}
}

func isPosition(latitude, longitude float64) bool {
	return math.Abs(latitude) <= 90 && math.Abs(longitude) <= 180
}

// number returns the first accepted number under one of the names.
func (r readings) number(accept func(float64) bool, names ...string) *float64 {
	for _, name := range names {
		if n, ok := toNumber(r[name]); ok && accept(n) {
			return &n
		}
	}
	return nil
}

// toNumber returns the value of a number or a fraction.
func toNumber(value any) (n float64, ok bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case []any:
		if len(v) != 2 {
			return 0, false
		}
		numerator, ok := toNumber(v[0])
		denominator, ok2 := toNumber(v[1])
		if !ok || !ok2 || denominator == 0 {
			return 0, false
		}
		n = numerator / denominator
		return n, !math.IsInf(n, 0)
	}
	return 0, false
}

// version returns the first text under one of the names.
func (r readings) version(names ...string) *string {
	for _, name := range names {
		if s, ok := r[name].(string); ok && s != "" && len(s) <= maxVersion {
			return &s
		}
	}
	return nil
}

func (r readings) json() json.RawMessage {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		// Readings hold only values that JSON supports.
		panic("photo: " + err.Error())
	}
	return bytes.TrimSpace(b.Bytes())
}
