package photo

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
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
	Luminosity          *float64 // ambient light, in the unit of the trap's software
	Battery             *float64 // % of the charge, 0 to 100
	Button              *bool    // whether the trap's button was pressed

	// The metering of the scene before the flash. The ordinary EXIF tags of the
	// photograph describe the exposure with flash: they are part of Raw only.
	NoFlashShutterSpeed *float64 // APEX
	NoFlashExposureTime *float64 // seconds
	NoFlashBrightness   *float64 // APEX
	NoFlashIso          *float64

	// Orientation is the EXIF orientation, 1 to 8: how a viewer turns the pixels
	// as stored to show the photograph upright. Orientation is 1 if the file says
	// nothing else.
	Orientation int

	// Raw is an object with all values as the camera wrote them. The names are
	// the trap's, or the EXIF standard's if the camera is not a Sticky Pi.
	// Fractions of a trap are [numerator, denominator]. Raw is {} if there are no
	// values.
	Raw json.RawMessage
}

// ReadMetadata returns the metadata that the camera wrote into a JPEG. Sticky Pi
// traps have used two forms: at first (2020) a Python dict in the EXIF tag Make,
// see parseDict, and later (from October 2021) two lines of CSV in the tag
// UserComment, see parseTable. If a photograph has both forms, the result has the
// names of both; for a common name, the dict's value counts. Of a photograph with
// neither form, the result has the ordinary EXIF tags, such as GPSLatitude.
//
// There is no error, because odd metadata is no reason to refuse a photograph:
// unreadable values are missing. The cost is bounded for any input:
// ReadMetadata reads the segments before the pixels. Of EXIF it reads the first 64
// segments, 512 fields of each directory, and 4 KiB of a tag.
func ReadMetadata(jpeg []byte) Metadata {
	e := readEXIF(jpeg)
	dict := parseDict(e.image[tagMake].bytes)
	trap := e.table()
	maps.Copy(trap, dict)
	if trap.isTrap() {
		m := trap.metadata()
		if _, ok := dict["lat"]; ok {
			m.swapPosition()
		}
		m.cleanPosition()
		m.Orientation, m.Raw = e.orientation(), trap.json()
		return m
	}
	m := Metadata{Temperature: e.temperature(), Humidity: e.humidity(), Orientation: e.orientation()}
	m.Latitude, m.Longitude, m.Altitude = e.position()
	m.cleanPosition()
	raw := e.readings()
	maps.Copy(raw, trap)
	m.Raw = raw.json()
	return m
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

// versionNames are the trap's names of the version of its software.
var versionNames = []string{"device_version", "version", "v", "ver"}

// trapNames are the names by which readings are known as a Sticky Pi's.
var trapNames = append([]string{ //nolint:gochecknoglobals // a table
	"alt", "a", "lat", "lng", "temp", "T", "hum", "H", "lum", "L", "bat", "B", "datetime",
	"no_flash_shutter_speed", "no_flash_exposure_time", "no_flash_bv", "no_flash_iso",
}, versionNames...)

// isTrap reports whether a Sticky Pi wrote the readings.
func (r readings) isTrap() bool {
	return slices.ContainsFunc(trapNames, func(name string) bool { _, ok := r[name]; return ok })
}

// metadata returns the fields of a trap's readings, with the position as the trap wrote it.
func (r readings) metadata() Metadata {
	return Metadata{
		DeviceVersion:       r.version(versionNames...),
		Altitude:            r.number(isAltitude, "alt", "a"),
		Latitude:            r.number(isAny, "lat"),
		Longitude:           r.number(isAny, "lng"),
		Temperature:         r.number(isTemperature, "temp", "T"),
		Humidity:            r.number(isHumidity, "hum", "H"),
		Luminosity:          r.number(isAny, "lum", "L"),
		Battery:             r.number(isBattery, "bat", "B"),
		Button:              r.flag("b"),
		NoFlashShutterSpeed: r.number(isAny, "no_flash_shutter_speed"),
		NoFlashExposureTime: r.exposureTime("no_flash_exposure_time"),
		NoFlashBrightness:   r.number(isAny, "no_flash_bv"),
		NoFlashIso:          r.number(isAny, "no_flash_iso"),
	}
}

func isAny(float64) bool { return true }

// A trap without a thermometer writes -300 °C and no humidity.
func isTemperature(celsius float64) bool { return celsius > -40 && celsius <= 100 }
func isHumidity(percent float64) bool    { return percent > 0 && percent <= 100 }
func isAltitude(metres float64) bool     { return metres >= -500 && metres <= 10_000 }
func isBattery(percent float64) bool     { return percent >= 0 && percent <= 100 }

// swapPosition exchanges latitude and longitude. Every trap that writes a dict writes the
// latitude under the name lng and the longitude under the name lat. A position that is
// impossible after the exchange stays as written.
func (m *Metadata) swapPosition() {
	if m.Latitude == nil || m.Longitude == nil {
		return
	}
	if latitude, longitude := *m.Latitude, *m.Longitude; isPosition(longitude, latitude) || !isPosition(latitude, longitude) {
		m.Latitude, m.Longitude = m.Longitude, m.Latitude
	}
}

// cleanPosition drops an impossible position.
func (m *Metadata) cleanPosition() {
	if m.Latitude == nil || m.Longitude == nil {
		m.Latitude, m.Longitude = nil, nil
		return
	}
	latitude, longitude := *m.Latitude, *m.Longitude
	noAltitude := m.Altitude == nil || *m.Altitude == 0
	switch {
	case latitude == 0 && longitude == 0 && noAltitude:
		// A GPS without a position writes zeros.
		m.Latitude, m.Longitude, m.Altitude = nil, nil, nil
	case !isPosition(latitude, longitude):
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

// exposureTime returns the seconds of an exposure. A whole number is microseconds: the traps
// of April to October 2021 wrote 33158 instead of (33158, 1000000).
func (r readings) exposureTime(name string) *float64 {
	seconds := r.number(isAny, name)
	if _, isWhole := r[name].(int64); isWhole {
		*seconds /= 1e6
	}
	return seconds
}

// flag returns true for 1 and false for 0 under a name, and nil for any other value.
func (r readings) flag(name string) *bool {
	n := r.number(func(n float64) bool { return n == 0 || n == 1 }, name)
	if n == nil {
		return nil
	}
	pressed := *n == 1
	return &pressed
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
