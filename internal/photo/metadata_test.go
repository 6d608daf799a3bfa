package photo_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"tagma/internal/photo"
)

// blank is the least that begins and ends like a JPEG: metadata is read
// without looking at pixels.
const blank = "\xff\xd8\xff\xd9"

func read(dict, comment string) photo.Metadata {
	return photo.ReadMetadata(photo.WithMetadata([]byte(blank), dict, comment))
}

// show writes the fields that are there, in the order of the struct.
func show(m photo.Metadata) string {
	var b strings.Builder
	if m.DeviceVersion != nil {
		fmt.Fprintf(&b, "version %s ", *m.DeviceVersion)
	}
	for _, f := range []struct {
		name  string
		value *float64
	}{
		{"alt", m.Altitude}, {"lat", m.Latitude}, {"lng", m.Longitude},
		{"temp", m.Temperature}, {"hum", m.Humidity}, {"lum", m.Luminosity}, {"bat", m.Battery},
		{"speed", m.NoFlashShutterSpeed}, {"time", m.NoFlashExposureTime},
		{"bv", m.NoFlashBrightness}, {"iso", m.NoFlashIso},
	} {
		if f.value != nil {
			fmt.Fprintf(&b, "%s %v ", f.name, *f.value)
		}
	}
	if m.Button != nil {
		fmt.Fprintf(&b, "button %t ", *m.Button)
	}
	if m.Orientation != 1 {
		fmt.Fprintf(&b, "orientation %d ", m.Orientation)
	}
	return strings.TrimSpace(b.String())
}

// What six photographs of two traps say, to the letter.
func TestReadMetadata_TheDictsOfRealTraps(t *testing.T) {
	for _, c := range []struct{ name, dict, want string }{
		{
			"0a5bb6f4.2020-06-20_20-19-15.jpg",
			`{'lng': 0.0, 'lat': 0.0, 'alt': 0.0, 'datetime': '2020-06-20 04:50:10', 'no_flash_exposure_time': (124990, 1000000), 'no_flash_iso': 400, 'no_flash_bv': (46, 100), 'no_flash_shutter_speed': (3000115, 1000000), 'temp': 20.700000762939453, 'hum': 82.0}`,
			"temp 20.700000762939453 hum 82 speed 3.000115 time 0.12499 bv 0.46 iso 400",
		}, {
			"0a5bb6f4.2020-06-20_20-37-59.jpg",
			`{'lng': 0.0, 'lat': 0.0, 'alt': 0.0, 'datetime': '2020-06-20 04:50:10', 'no_flash_exposure_time': (9182, 1000000), 'no_flash_iso': 100, 'no_flash_bv': (283, 100), 'no_flash_shutter_speed': (6766976, 1000000), 'temp': 21.799999237060547, 'hum': 77.30000305175781}`,
			"temp 21.799999237060547 hum 77.30000305175781 speed 6.766976 time 0.009182 bv 2.83 iso 100",
		}, {
			"0a5bb6f4.2020-06-20_20-56-43.jpg",
			`{'lng': 0.0, 'lat': 0.0, 'alt': 0.0, 'datetime': '2020-06-20 04:50:10', 'no_flash_exposure_time': (8954, 1000000), 'no_flash_iso': 100, 'no_flash_bv': (274, 100), 'no_flash_shutter_speed': (6803251, 1000000), 'temp': 21.899999618530273, 'hum': 76.5999984741211}`,
			"temp 21.899999618530273 hum 76.5999984741211 speed 6.803251 time 0.008954 bv 2.74 iso 100",
		}, {
			"0a5bb6f4.2020-06-30_20-41-05.jpg",
			`{'lng': 0.0, 'lat': 0.0, 'alt': 0.0, 'datetime': '2020-06-20 21:24:18', 'no_flash_exposure_time': (2454, 1000000), 'no_flash_iso': 100, 'no_flash_bv': (537, 100), 'no_flash_shutter_speed': (8670650, 1000000), 'temp': 14.100000381469727, 'hum': 97.69999694824219}`,
			"temp 14.100000381469727 hum 97.69999694824219 speed 8.67065 time 0.002454 bv 5.37 iso 100",
		}, {
			"0a5bb6f4.2020-07-02_18-59-29.jpg",
			`{'lng': 49.243626, 'lat': -121.75516, 'alt': 15.0, 'datetime': '2020-07-01 17:06:32', 'no_flash_exposure_time': (3461, 1000000), 'no_flash_iso': 100, 'no_flash_bv': (348, 100), 'no_flash_shutter_speed': (8174596, 1000000), 'temp': 13.5, 'hum': 97.19999694824219}`,
			"alt 15 lat 49.243626 lng -121.75516 temp 13.5 hum 97.19999694824219 speed 8.174596 time 0.003461 bv 3.48 iso 100",
		}, {
			"1b74105a.2020-07-05_10-07-16.jpg",
			`{'lng': 49.243553, 'lat': -121.7552, 'alt': 22.0, 'datetime': '2020-07-01 17:58:55', 'no_flash_exposure_time': (124990, 1000000), 'no_flash_iso': 400, 'no_flash_bv': (0, 100), 'no_flash_shutter_speed': (3000115, 1000000), 'temp': 10.300000190734863, 'hum': 97.5999984741211}`,
			"alt 22 lat 49.243553 lng -121.7552 temp 10.300000190734863 hum 97.5999984741211 speed 3.000115 time 0.12499 bv 0 iso 400",
		},
	} {
		m := read(c.dict, "")
		if got := show(m); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestReadMetadata_RawKeepsWhatTheTrapWrote(t *testing.T) {
	m := read(`{'lng': 49.2, 'lat': -121.7, 'temp': -300, 'no_flash_bv': (46, 0), 'device': 'ffffffff', 'md5': "it's", 'ok': True, 'none': None}`, "")
	const want = `{"device":"ffffffff","lat":-121.7,"lng":49.2,"md5":"it's","no_flash_bv":[46,0],"none":null,"ok":true,"temp":-300}`
	if string(m.Raw) != want {
		t.Errorf("raw:\n got %s\nwant %s", m.Raw, want)
	}
	if got := show(m); got != "lat 49.2 lng -121.7" {
		t.Errorf("fields: %s", got)
	}
}

func TestReadMetadata_TheTableOfLaterTraps(t *testing.T) {
	const table = "v,T,H,B,L,lat,lng,a,l,b\n3.10,20.6,42.6,72,1.25,49.5,-123.25,97.5,1652000000,1"
	const want = "version 3.10 alt 97.5 lat 49.5 lng -123.25 temp 20.6 hum 42.6 lum 1.25 bat 72 button true"
	const raw = `{"B":72,"H":42.6,"L":1.25,"T":20.6,"a":97.5,"b":1,"l":1652000000,"lat":49.5,"lng":-123.25,"v":"3.10"}`

	wide := func(s string, high, low int) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			pair := [2]byte{}
			pair[high], pair[low] = 0, c
			b.Write(pair[:])
		}
		return b.String()
	}
	for name, comment := range map[string]string{
		"as traps write it":                  table,
		"with the code for ASCII":            "ASCII\x00\x00\x00" + table,
		"with no code":                       strings.Repeat("\x00", 8) + table,
		"with the code for UTF-16, low end":  "UNICODE\x00" + wide(table, 1, 0),
		"with the code for UTF-16, high end": "UNICODE\x00" + wide(table, 0, 1),
		"with a byte order mark":             "UNICODE\x00\xfe\xff" + wide(table, 0, 1),
		"with the code for UTF-16, but not":  "UNICODE\x00" + table,
		"with zeros after it":                table + strings.Repeat("\x00", 10_000),
		"with line breaks of Windows":        strings.ReplaceAll(table, "\n", "\r\n") + "\r\n",
	} {
		m := read("", comment)
		if got := show(m); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
		if string(m.Raw) != raw {
			t.Errorf("%s: raw %s", name, m.Raw)
		}
	}
}

func TestReadMetadata_TheFormsOfTheYearsBetween(t *testing.T) {
	for name, c := range map[string]struct{ dict, table, want, raw string }{
		"April to October 2021": {
			dict: `{'lat': -121.75, 'lng': 49.25, 'alt': 15.0, 'device_version': '2.1.0', 'no_flash_exposure_time': 33158, 'no_flash_analog_gain': 1.0, 'temp': None, 'hum': None}`,
			want: "version 2.1.0 alt 15 lat 49.25 lng -121.75 time 0.033158",
			raw:  `{"alt":15,"device_version":"2.1.0","hum":null,"lat":-121.75,"lng":49.25,"no_flash_analog_gain":1,"no_flash_exposure_time":33158,"temp":null}`,
		},
		"a fraction is seconds": {dict: `{'no_flash_exposure_time': (33158, 1000000)}`, want: "time 0.033158", raw: `{"no_flash_exposure_time":[33158,1000000]}`},
		"so is a point":         {dict: `{'no_flash_exposure_time': 2.0}`, want: "time 2", raw: `{"no_flash_exposure_time":2}`},
		"October 2021": {
			table: "ver,temp,hum,bat,lum,lat,lng,alt,lsy\n3.0.0,20.6,42.6,72,1.20,49.26,-123.25,97.3,2021-11-17 12:00:00",
			want:  "version 3.0.0 alt 97.3 lat 49.26 lng -123.25 temp 20.6 hum 42.6 lum 1.2 bat 72",
			raw:   `{"alt":97.3,"bat":72,"hum":42.6,"lat":49.26,"lng":-123.25,"lsy":"2021-11-17 12:00:00","lum":1.2,"temp":20.6,"ver":"3.0.0"}`,
		},
		"May 2022": {
			table: "ver,temp,hum,bat,lum,lat,lng,alt,lsy,b\n3.10,20.6,42.6,0,-0.5,49.26,-123.25,97.3,1652813182,0",
			want:  "version 3.10 alt 97.3 lat 49.26 lng -123.25 temp 20.6 hum 42.6 lum -0.5 bat 0 button false",
			raw:   `{"alt":97.3,"b":0,"bat":0,"hum":42.6,"lat":49.26,"lng":-123.25,"lsy":1652813182,"lum":-0.5,"temp":20.6,"ver":"3.10"}`,
		},
		"a position within 90 degrees": {table: "lat,lng\n8.5,47.25", want: "lat 8.5 lng 47.25", raw: `{"lat":8.5,"lng":47.25}`},
		"an impossible position":       {table: "lat,lng\n-121.75,49.25", raw: `{"lat":-121.75,"lng":49.25}`},
		"a battery of no gauge":        {table: "B,b\n101,2", raw: `{"B":101,"b":2}`},
	} {
		m := read(c.dict, c.table)
		if got := show(m); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
		if string(m.Raw) != c.raw {
			t.Errorf("%s:\n got %s\nwant %s", name, m.Raw, c.raw)
		}
	}
}

func TestReadMetadata_AnEmptyCellIsNoReading(t *testing.T) {
	m := read("", "v,T,H,B,L,lat,lng,a,l,b\n3.1.0,,.6,72,1.20,,,1652813182,1")
	if got := show(m); got != "version 3.1.0 hum 0.6 lum 1.2 bat 72" {
		t.Errorf("fields: %s", got)
	}
	if got := string(m.Raw); got != `{"B":72,"H":0.6,"L":1.2,"T":"","a":1652813182,"l":1,"lat":"","lng":"","v":"3.1.0"}` {
		t.Errorf("raw: %s", got)
	}
}

func TestReadMetadata_OfBothFormsTheDictCountsWhereTheyShareAName(t *testing.T) {
	m := read(`{'temp': -300, 'lat': 1.5, 'lng': 2.5}`, "T,H,lat,lng\n20,60,3,4")
	if got := show(m); got != "lat 2.5 lng 1.5 temp 20 hum 60" {
		t.Errorf("fields: %s", got)
	}
	if got := string(m.Raw); got != `{"H":60,"T":20,"lat":1.5,"lng":2.5,"temp":-300}` {
		t.Errorf("raw: %s", got)
	}
}

func TestReadMetadata_WhatNoWorkingSensorReadsIsNotThere(t *testing.T) {
	for dict, want := range map[string]string{
		`{'temp': -300, 'hum': -1}`:             "",
		`{'temp': -40, 'hum': 0}`:               "",
		`{'temp': -39.9, 'hum': 0.1}`:           "temp -39.9 hum 0.1",
		`{'temp': 100, 'hum': 100.0}`:           "temp 100 hum 100",
		`{'temp': 100.1, 'hum': 100.1}`:         "",
		`{'temp': nan, 'hum': -inf}`:            "",
		`{'temp': 1e999, 'hum': 50}`:            "hum 50",
		`{'temp': '20', 'hum': True}`:           "",
		`{'temp': None, 'hum': (1,)}`:           "",
		`{'no_flash_bv': (1, 0)}`:               "",
		`{'no_flash_bv': (0, 0)}`:               "",
		`{'no_flash_bv': (1, 0.0)}`:             "",
		`{'no_flash_bv': (1e300, 1e-300)}`:      "",
		`{'no_flash_bv': (1, 2, 3)}`:            "",
		`{'no_flash_bv': ('1', 2)}`:             "",
		`{'no_flash_bv': (-1, 4)}`:              "bv -0.25",
		`{'no_flash_bv': -0.25}`:                "bv -0.25",
		`{'no_flash_iso': (800, 2)}`:            "iso 400",
		`{'device_version': 2, 'v': ''}`:        "",
		`{'device_version': '2.0.1'}`:           "version 2.0.1",
		`{'device_version': "` + x(65) + `"}`:   "",
		`{'lat': 0, 'lng': 0.0, 'alt': 0}`:      "",
		`{'lat': 0, 'lng': -0.0}`:               "",
		`{'lat': 0, 'lng': 0, 'alt': 5}`:        "alt 5 lat 0 lng 0",
		`{'lat': 49.2, 'lng': 0, 'alt': 0}`:     "alt 0 lat 0 lng 49.2",
		`{'lat': 49.2}`:                         "",
		`{'lat': None, 'lng': 5, 'alt': 10}`:    "alt 10",
		`{'lat': 90, 'lng': -180}`:              "lat 90 lng -180",
		`{'lat': -90, 'lng': 180}`:              "lat -90 lng 180",
		`{'lat': 8.5, 'lng': 47.25}`:            "lat 47.25 lng 8.5",
		`{'lat': 180, 'lng': -90}`:              "lat -90 lng 180",
		`{'lat': 121.7, 'lng': -49.2}`:          "lat -49.2 lng 121.7",
		`{'lat': 49.2, 'lng': -121.7}`:          "lat 49.2 lng -121.7",
		`{'lat': 91, 'lng': 91, 'alt': 12}`:     "alt 12",
		`{'lat': 181, 'lng': 10}`:               "",
		`{'lat': -1000, 'lng': -1000}`:          "",
		`{'lat': 1e308, 'lng': 5, 'alt': 1e99}`: "",
		`{'lat': 1, 'lng': 2, 'alt': -501}`:     "lat 2 lng 1",
		`{'alt': -500}`:                         "alt -500",
		`{'alt': 10000}`:                        "alt 10000",
		`{'alt': 10000.5}`:                      "",
	} {
		if got := show(read(dict, "")); got != want {
			t.Errorf("%s: %q, want %q", dict, got, want)
		}
	}
}

func x(n int) string { return strings.Repeat("x", n) }

func pairs(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("'k%d': %d", i, i)
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func TestReadMetadata_Literals(t *testing.T) {
	for dict, want := range map[string]string{
		`{}`:                                                   `{}`,
		" { 'a' : 1 , } ":                                      `{"a":1}`,
		"{'a':\t(1,\n2)}\r\n":                                  `{"a":[1,2]}`,
		`{'a': 1, 'a': 2}`:                                     `{"a":2}`,
		`{'a': 1, 'a': nan}`:                                   `{}`,
		`{'a': (1, nan), 'b': 2}`:                              `{"b":2}`,
		`{'a': (), 'b': (1,), 'c': (-1,)}`:                     `{"a":[],"b":[1],"c":[-1]}`,
		`{'a': (1, 'x', None, True, 1.5)}`:                     `{"a":[1,"x",null,true,1.5]}`,
		`{"a": "it's", 'b': 'say "x"'}`:                        `{"a":"it's","b":"say \"x\""}`,
		`{'a': 'it\'s \"\\\x41\u00e9\n'}`:                      `{"a":"it's \"\\Aé"}`,
		"{'a\x01b': 'c\x1b[0m\x7f\u0085d<&>'}":                 `{"ab":"c[0md<&>"}`,
		"{'a': 'b\xff\xfec'}":                                  `{"a":"b�c"}`,
		`{'a': 1e-06, 'b': -1.5E+3, 'c': -0.0}`:                `{"a":0.000001,"b":-1500,"c":-0}`,
		`{'a': 5., 'b': .5, 'c': +5}`:                          `{"a":5,"b":0.5,"c":5}`,
		`{'a': 9223372036854775807, 'b': 9223372036854775808}`: `{"a":9223372036854775807,"b":9223372036854776000}`,
		`{'a': 1` + strings.Repeat("0", 400) + `, 'b': NaN, 'c': Infinity}`: `{}`,
		`{'a': (1, 2, 3, 4, 5, 6, 7, 8)}`:                                   `{"a":[1,2,3,4,5,6,7,8]}`,
	} {
		if got := string(read(dict, "").Raw); got != want {
			t.Errorf("%.80q:\n got %s\nwant %s", dict, got, want)
		}
	}
	if got := string(read(pairs(64), "").Raw); !strings.Contains(got, `"k63":63`) {
		t.Errorf("64 names: %s", got)
	}
}

func TestReadMetadata_WhatIsNoFlatDictIsNoReading(t *testing.T) {
	for _, dict := range []string{
		"{", "}", "{'a'", "{'a'}", "{'a':", "{'a': 1", "{'a': 1,", "{'a': 'b", `{'a': 'b\`, "{'a': (1", "{'a': (1,",
		"{,}", "{'a': 1,,}", "{'a': 1 'b': 2}", "{'a': (,)}", "{'a': (1 2)}", "{'a': 1} {'b': 2}", "{'a': 1};",
		"{a: 1}", "{1: 2}", "{('a',): 1}", "{None: 1}",
		"{'a': {}}", "{'a': {'b': 1}}", "{'a': [1]}", "{'a': ((1, 2), 3)}", "{'a': (1, 2, 3, 4, 5, 6, 7, 8, 9)}",
		"{'a': 1-2}", "{'a': 1e}", "{'a': --1}", "{'a': .}", "{'a': 0x10}", "{'a': 1_000}", "{'a': true}", "{'a': undef}",
		"{'a': __import__('os').system('id')}", "{'a': 2**99999}", "{'a': 'b' * 9}", "{'a': b'c'}", "{'a': f'{1}'}",
		"{**{}}", "{'a': (lambda: 1)()}", "dict(a=1)", "('a', 1)",
		pairs(65),
		"{'a': '" + x(4096) + "'}",
		strings.Repeat("{'a':", 800),
		"{'a':" + strings.Repeat("(", 4000),
	} {
		m := read(dict, "")
		if string(m.Raw) != "{}" || show(m) != "" {
			t.Errorf("%.60q gives %.200s", dict, m.Raw)
		}
	}
}

func TestReadMetadata_WhatIsNoTableOfTwoLinesIsNoReading(t *testing.T) {
	names := strings.TrimSuffix(strings.Repeat("k,", 65), ",")
	for _, comment := range []string{
		"T", "T,H", "T,H\n", "T,H\n1,2\n3,4", "\"T,H\n1,2", "ASCII\x00\x00\x00", "UNICODE\x00", "ASC", "\x00", "UNICODE\x00\x00",
		names + "\n" + names,
		"T\n" + x(4096),
	} {
		m := read("", comment)
		if string(m.Raw) != "{}" || show(m) != "" {
			t.Errorf("%.60q gives %.200s", comment, m.Raw)
		}
	}
}

func TestReadMetadata_OddTablesGiveWhatTheyCan(t *testing.T) {
	for comment, want := range map[string]string{
		"T,H\n1":                  `{"T":1}`,
		"T\n1,2":                  `{"T":1}`,
		"T,T\n1,2":                `{"T":2}`,
		",H\n1,2":                 `{"H":2}`,
		" T , H \n 1 , 2 ":        `{"H":2,"T":1}`,
		"T,H\nnan,0x10":           `{"H":"0x10","T":"nan"}`,
		"T\x01,H\n1e999,\x1b\xff": `{"H":"�","T":"1e999"}`,
	} {
		if got := string(read("", comment).Raw); got != want {
			t.Errorf("%q:\n got %s\nwant %s", comment, got, want)
		}
	}
}

// checkSound fails if m breaks a promise that holds for every photograph.
func checkSound(t *testing.T, m photo.Metadata) {
	t.Helper()
	var raw map[string]any
	if err := json.Unmarshal(m.Raw, &raw); err != nil || raw == nil {
		t.Fatalf("raw is not an object: %v: %.200q", err, m.Raw)
	}
	if len(raw) > 128 || len(m.Raw) > 64<<10 || strings.Contains(string(m.Raw), `\u0000`) {
		t.Fatalf("raw has %d names, %d bytes: %.200q", len(raw), len(m.Raw), m.Raw)
	}
	inRange := func(name string, v *float64, low, high float64) {
		if v != nil && !(*v >= low && *v <= high) {
			t.Fatalf("%s: got %v, want a number from %v to %v", name, *v, low, high)
		}
	}
	inRange("altitude", m.Altitude, -500, 10_000)
	inRange("latitude", m.Latitude, -90, 90)
	inRange("longitude", m.Longitude, -180, 180)
	inRange("temperature", m.Temperature, -40, 100)
	inRange("humidity", m.Humidity, 0, 100)
	inRange("battery", m.Battery, 0, 100)
	if m.Orientation < 1 || m.Orientation > 8 {
		t.Fatalf("orientation: got %d, want 1 to 8", m.Orientation)
	}
	for _, v := range []*float64{m.NoFlashShutterSpeed, m.NoFlashExposureTime, m.NoFlashBrightness, m.NoFlashIso} {
		inRange("exposure", v, -math.MaxFloat64, math.MaxFloat64)
	}
	if (m.Latitude == nil) != (m.Longitude == nil) {
		t.Fatalf("half a position: %s", m.Raw)
	}
}
