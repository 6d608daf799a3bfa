package photo_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/photo"
)

const (
	realDict  = `{'lng': 49.243626, 'lat': -121.75516, 'alt': 15.0, 'datetime': '2020-07-01 17:06:32', 'no_flash_exposure_time': (3461, 1000000), 'no_flash_iso': 100, 'temp': 13.5, 'hum': 97.19999694824219}`
	realTable = "v,T,H,B,L,lat,lng,a,b\n3.1.0,20.6,42.6,72,1.20,49.5,-123.25,97.5,1"
)

// tag is a field of a TIFF directory.
type tag struct {
	id, kind uint16
	count    int
	value    []byte
}

// writer writes EXIF in a byte order.
type writer struct{ binary.AppendByteOrder }

func (w writer) text(id uint16, text string) tag {
	return tag{id, 2, len(text) + 1, []byte(text + "\x00")}
}

func (w writer) undefined(id uint16, text string) tag { return tag{id, 7, len(text), []byte(text)} }

func (w writer) bytes(id uint16, b ...byte) tag { return tag{id, 1, len(b), b} }

func (w writer) short(id uint16, n int) tag {
	return tag{id, 3, 1, w.AppendUint16(nil, uint16(n))}
}

// fractions returns a field of numerators and denominators, signed or not.
func (w writer) fractions(id uint16, signed bool, terms ...int) tag {
	t := tag{id, 5, len(terms) / 2, nil}
	if signed {
		t.kind = 10
	}
	for _, n := range terms {
		t.value = w.AppendUint32(t.value, uint32(n))
	}
	return t
}

// contents are the directories of a TIFF file.
type contents struct {
	image, camera, gps []tag
	pointerKind        uint16 // type of the pointers to camera and gps; 4 if not set
	gpsInCamera        bool   // whether the pointer to gps is in camera, not in image
}

// body returns the body of an APP1 segment.
func (w writer) body(c contents) string {
	pointerKind := cmp.Or(c.pointerKind, 4)
	mark := "MM"
	if w.AppendByteOrder == binary.AppendByteOrder(binary.LittleEndian) {
		mark = "II"
	}
	b := w.AppendUint32(w.AppendUint16([]byte(mark), 42), 0)
	image, camera := slices.Clone(c.image), slices.Clone(c.camera)
	pointer := func(id uint16) tag {
		t := tag{id, pointerKind, 1, w.AppendUint32(nil, uint32(len(b)))}
		if pointerKind == 3 {
			t.value = w.AppendUint16(nil, uint16(len(b)))
		}
		return t
	}
	if c.gps != nil {
		if c.gpsInCamera {
			camera = append(camera, pointer(0x8825))
		} else {
			image = append(image, pointer(0x8825))
		}
		b = w.directory(b, c.gps)
	}
	if camera != nil {
		image = append(image, pointer(0x8769))
		b = w.directory(b, camera)
	}
	copy(b[4:], w.AppendUint32(nil, uint32(len(b))))
	return "Exif\x00\x00" + string(w.directory(b, image))
}

func (w writer) directory(b []byte, tags []tag) []byte {
	values := len(b) + 2 + 12*len(tags) + 4
	var long []byte
	b = w.AppendUint16(b, uint16(len(tags)))
	for _, t := range tags {
		b = w.AppendUint32(w.AppendUint16(w.AppendUint16(b, t.id), t.kind), uint32(t.count))
		if len(t.value) <= 4 {
			b = append(append(b, t.value...), make([]byte, 4-len(t.value))...)
			continue
		}
		b = w.AppendUint32(b, uint32(values+len(long)))
		long = append(long, t.value...)
	}
	return append(w.AppendUint32(b, 0), long...)
}

// jpegOf returns a JPEG with an APP1 segment for each body.
func jpegOf(bodies ...string) []byte {
	b := []byte("\xff\xd8")
	for _, body := range bodies {
		b = append(b, segment(0xe1, body)...)
	}
	return append(b, "\xff\xd9"...)
}

// orders are both byte orders.
var orders = []writer{{binary.BigEndian}, {binary.LittleEndian}}

// handmade is a JPEG with EXIF in the given byte order, Make in IFD0 and
// UserComment, as text, in the Exif IFD.
func handmade(order binary.AppendByteOrder, maker, comment string) []byte {
	w := writer{order}
	return jpegOf(w.body(contents{image: []tag{w.text(0x010f, maker)}, camera: []tag{w.text(0x9286, comment)}}))
}

func segment(marker byte, body string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(body)))
	return append(b, body...)
}

func TestReadMetadata_EitherByteOrder(t *testing.T) {
	want := show(read(realDict, realTable))
	if !strings.Contains(want, "version 3.1.0") || !strings.Contains(want, "temp 13.5") {
		t.Fatalf("metadata: got %s, want version 3.1.0 and temp 13.5", want)
	}
	for _, order := range []binary.AppendByteOrder{binary.BigEndian, binary.LittleEndian} {
		if got := show(photo.ReadMetadata(handmade(order, realDict, realTable))); got != want {
			t.Errorf("%v: %s, want %s", order, got, want)
		}
	}
}

func TestReadMetadata_FillBytesMayPrecedeAMarker(t *testing.T) {
	plain := photo.WithMetadata([]byte(blank), realDict, "")
	b := slices.Concat(plain[:2], []byte("\xff"), segment(0xe0, "JFIF\x00"), []byte("\xff\xff\xff"), plain[2:])
	if got, want := show(photo.ReadMetadata(b)), show(photo.ReadMetadata(plain)); got != want {
		t.Errorf("metadata after fill bytes: got %s, want %s", got, want)
	}
}

func TestReadMetadata_EXIFIsFoundWhereOtherReadersFindIt(t *testing.T) {
	want := show(read("", realTable))
	for _, w := range orders {
		usual := w.body(contents{camera: []tag{w.undefined(0x9286, realTable)}})
		oriented := w.body(contents{image: []tag{w.short(0x0112, 1)}})
		many := make([]tag, 100)
		for n := range many {
			many[n] = w.short(uint16(0xc000+n), n)
		}
		for name, b := range map[string][]byte{
			"as usual":                             jpegOf(usual),
			"pointers of the type IFD":             jpegOf(w.body(contents{camera: []tag{w.undefined(0x9286, realTable)}, pointerKind: 13})),
			"pointers of the type SHORT":           jpegOf(w.body(contents{camera: []tag{w.undefined(0x9286, realTable)}, pointerKind: 3})),
			"with a byte order mark":               jpegOf(w.body(contents{camera: []tag{w.undefined(0x9286, "\ufeff"+realTable)}})),
			"UserComment in IFD0":                  jpegOf(w.body(contents{image: []tag{w.undefined(0x9286, realTable)}})),
			"UserComment in IFD0, as a text":       jpegOf(w.body(contents{image: []tag{w.text(0x9286, realTable)}})),
			"a table in IFD0, a remark beside":     jpegOf(w.body(contents{image: []tag{w.text(0x9286, realTable)}, camera: []tag{w.text(0x9286, "remark")}})),
			"after a hundred other fields":         jpegOf(w.body(contents{camera: append(many, w.undefined(0x9286, realTable))})),
			"an empty segment first":               jpegOf("Exif\x00\x00", usual),
			"the shortest segment first":           jpegOf("Exif\x00", usual),
			"a segment without fields first":       jpegOf(w.body(contents{}), usual),
			"a damaged segment first":              jpegOf("Exif\x00\x00MM\x00*\xff\xff\xff\xff", usual),
			"a segment with another field first":   jpegOf(oriented, usual),
			"a segment with a blank comment first": jpegOf(w.body(contents{camera: []tag{w.undefined(0x9286, "        ")}}), usual),
			"other padding after Exif":             jpegOf("Exif\x00\xff" + usual[6:]),
			"XMP first":                            jpegOf("http://ns.adobe.com/xap/1.0/\x00<x/>", usual),
			"a fill byte before":                   slices.Concat([]byte("\xff\xd8\xff"), segment(0xe1, usual)),
			"much other data before":               slices.Concat([]byte("\xff\xd8"), bytes.Repeat(segment(0xe2, "ICC_PROFILE\x00"), 255), segment(0xe1, usual)),
		} {
			if got := show(photo.ReadMetadata(b)); got != want {
				t.Errorf("%v, %s: got %s, want %s", w, name, got, want)
			}
		}
	}
}

// reconyx returns what a camera trap writes that is no Sticky Pi.
func reconyx(w writer) contents {
	return contents{
		image: []tag{w.text(0x010f, "RECONYX"), w.text(0x0110, "HYPERFIRE 2"), w.short(0x0112, 3), w.text(0x0131, "1.9g")},
		camera: []tag{
			w.text(0x9003, "2021:06:30 20:41:05"), w.text(0x9011, "+02:00"), w.text(0x9291, "123"),
			w.fractions(0x829a, false, 1, 160), w.short(0x8827, 400), w.text(0xa431, "H850 1234"),
			w.fractions(0x9400, true, -35, 10), w.fractions(0x9401, false, 805, 10),
		},
		gps: []tag{
			w.text(1, "S"), w.fractions(2, false, 33, 1, 30, 1, 1800, 100), w.text(3, "W"), w.fractions(4, false, 70, 1, 15, 1, 0, 1),
			w.bytes(5, 0), w.fractions(6, false, 5201, 10), w.fractions(7, false, 18, 1, 41, 1, 5, 1), w.text(29, "2021:06:30"),
		},
	}
}

func TestReadMetadata_OrdinaryCamerasWriteTheTagsOfTheStandard(t *testing.T) {
	const raw = `{"AmbientTemperature":-3.5,"BodySerialNumber":"H850 1234","DateTimeOriginal":"2021:06:30 20:41:05","ExposureTime":0.00625,` +
		`"GPSAltitude":520.1,"GPSAltitudeRef":0,"GPSDateStamp":"2021:06:30","GPSLatitude":[33,30,18],"GPSLatitudeRef":"S",` +
		`"GPSLongitude":[70,15,0],"GPSLongitudeRef":"W","GPSTimeStamp":[18,41,5],"Humidity":80.5,"Make":"RECONYX","Model":"HYPERFIRE 2",` +
		`"OffsetTimeOriginal":"+02:00","Orientation":3,"PhotographicSensitivity":400,"Software":"1.9g","SubSecTimeOriginal":"123"}`
	const fields = "alt 520.1 lat -33.505 lng -70.25 temp -3.5 hum 80.5 orientation 3"
	for _, w := range orders {
		usual := reconyx(w)
		flat := contents{image: slices.Concat(usual.image, usual.camera), gps: usual.gps}
		nested := usual
		nested.gpsInCamera = true
		for name, c := range map[string]contents{"as usual": usual, "all in IFD0": flat, "GPS in the Exif IFD": nested} {
			m := photo.ReadMetadata(jpegOf(w.body(c)))
			if string(m.Raw) != raw {
				t.Errorf("%v, %s:\n got %s\nwant %s", w, name, m.Raw, raw)
			}
			if got := show(m); got != fields {
				t.Errorf("%v, %s: got %s, want %s", w, name, got, fields)
			}
		}
	}
}

func TestReadMetadata_OfASensorThatFailsAnOrdinaryCameraSaysNothing(t *testing.T) {
	w := orders[0]
	gps := func(tags ...tag) contents { return contents{gps: tags} }
	north, east := w.fractions(2, false, 49, 1, 15, 1), w.fractions(4, false, 1235, 10)
	for name, c := range map[string]struct {
		contents
		want string
	}{
		"a fix":                         {gps(w.text(1, "N"), north, w.text(3, "e"), east), "lat 49.25 lng 123.5"},
		"no hemisphere":                 {gps(north, w.text(3, "E"), east), ""},
		"an unknown hemisphere":         {gps(w.text(1, "X"), north, w.text(3, "E"), east), ""},
		"half a position":               {gps(w.text(1, "N"), north, w.text(3, "E")), ""},
		"zeros":                         {gps(w.text(1, "N"), w.fractions(2, false, 0, 1, 0, 1, 0, 1), w.text(3, "E"), w.fractions(4, false, 0, 1)), ""},
		"no denominators":               {gps(w.text(1, "N"), w.fractions(2, false, 0, 0, 0, 0, 0, 0), w.text(3, "E"), east), ""},
		"beyond the pole":               {gps(w.text(1, "N"), w.fractions(2, false, 91, 1), w.text(3, "E"), east), ""},
		"a void fix":                    {gps(w.text(9, "V"), w.text(1, "N"), north, w.text(3, "E"), east), ""},
		"below the sea":                 {gps(w.bytes(5, 1), w.fractions(6, false, 30, 2)), "alt -15"},
		"above the air":                 {gps(w.fractions(6, false, 20_000, 1)), ""},
		"an unknown temperature":        {contents{camera: []tag{w.fractions(0x9400, true, 20, -1)}}, ""},
		"a temperature of no sensor":    {contents{camera: []tag{w.fractions(0x9400, true, -300, 1)}}, ""},
		"two temperatures":              {contents{camera: []tag{w.fractions(0x9400, true, 20, 1, 21, 1)}}, ""},
		"a text":                        {contents{camera: []tag{w.text(0x9400, "20.5")}}, ""},
		"a trap's own form counts only": {contents{image: []tag{w.text(0x010f, "{'temp': 5.5}")}, camera: []tag{w.fractions(0x9400, true, 20, 1)}}, "temp 5.5"},
	} {
		if got := show(photo.ReadMetadata(jpegOf(w.body(c.contents)))); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestReadMetadata_TheOrientationIsThatOfTheFirstDirectory(t *testing.T) {
	for _, w := range orders {
		for name, c := range map[string]struct {
			contents
			want int
		}{
			"none":              {contents{image: []tag{w.text(0x010f, "Canon")}}, 1},
			"6":                 {contents{image: []tag{w.short(0x0112, 6)}}, 6},
			"8 of a trap":       {contents{image: []tag{w.short(0x0112, 8), w.text(0x010f, "{'temp': 1}")}}, 8},
			"0":                 {contents{image: []tag{w.short(0x0112, 0)}}, 1},
			"9":                 {contents{image: []tag{w.short(0x0112, 9)}}, 1},
			"another type":      {contents{image: []tag{w.text(0x0112, "6")}}, 1},
			"another directory": {contents{camera: []tag{w.short(0x0112, 6)}}, 1},
		} {
			if got := photo.ReadMetadata(jpegOf(w.body(c.contents))).Orientation; got != c.want {
				t.Errorf("%v, %s: got %d, want %d", w, name, got, c.want)
			}
		}
	}
	if got := photo.ReadMetadata([]byte("no JPEG")).Orientation; got != 1 {
		t.Errorf("no JPEG: got %d, want 1", got)
	}
}

func TestWithOrientation_TheOrientationIsRead(t *testing.T) {
	for want := 1; want <= 8; want++ {
		b := photo.WithOrientation(photo.WithMetadata([]byte(blank), realDict, ""), want)
		if got := photo.ReadMetadata(b).Orientation; got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestReadMetadata_OtherSegmentsMayComeFirst(t *testing.T) {
	plain := photo.WithMetadata([]byte(blank), realDict, "")
	first := slices.Concat(segment(0xe0, "JFIF\x00"), segment(0xe1, "http://ns.adobe.com/xap/1.0/\x00"), segment(0xfe, "Exif\x00\x00 in a comment"))
	b := slices.Concat(plain[:2], first, plain[2:])
	if got := show(photo.ReadMetadata(b)); got != show(photo.ReadMetadata(plain)) {
		t.Errorf("got %s", got)
	}
	pixels := slices.Concat(plain[:2], segment(0xda, "pixels"), plain[2:])
	if got := string(photo.ReadMetadata(pixels).Raw); got != "{}" {
		t.Errorf("after the pixels: %s", got)
	}
}

func TestReadMetadata_NotAJPEGSaysNothing(t *testing.T) {
	for _, b := range []string{"", "\xff", "\xff\xd8", blank, "\x89PNG\r\n\x1a\n", "GIF89a", "II*\x00\x08\x00\x00\x00", strings.Repeat("\xff\xd8", 1000)} {
		if got := string(photo.ReadMetadata([]byte(b)).Raw); got != "{}" {
			t.Errorf("metadata of %.20q: got %s, want {}", b, got)
		}
	}
	if got := string(photo.ReadMetadata(nil).Raw); got != "{}" {
		t.Errorf("nil: %s", got)
	}
}

func TestReadMetadata_TruncatedAnywhereNeverPanics(t *testing.T) {
	b := photo.WithMetadata([]byte(blank), realDict, realTable)
	for n := range b {
		checkSound(t, photo.ReadMetadata(b[:n:n]))
	}
}

// Five thousand photographs with bytes changed, cut out, doubled, or set to
// what breaks offsets and counts, in a time that no loop or large allocation
// would keep to.
func TestReadMetadata_FiveThousandMutantsAreReadSoundlyAndFast(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	originals := [][]byte{
		photo.WithMetadata([]byte(blank), realDict, realTable),
		handmade(binary.LittleEndian, realDict, realTable),
		handmade(binary.BigEndian, realDict, "UNICODE\x00"+realTable),
		jpegOf(orders[0].body(reconyx(orders[0]))),
		jpegOf(orders[1].body(reconyx(orders[1]))),
	}
	hostile := []byte{0x00, 0x01, 0x7f, 0x80, 0xff, '\'', '(', ')', '{', '}', '\\', ',', '\n', '"', 'e', '-'}
	begun := time.Now()
	for range 5000 {
		b := bytes.Clone(originals[random.IntN(len(originals))])
		for range 1 + random.IntN(8) {
			offset := random.IntN(len(b))
			if random.IntN(2) == 0 {
				offset = random.IntN(min(len(b), 120)) // the headers and directories
			}
			switch random.IntN(5) {
			case 0:
				b[offset] ^= 1 << random.IntN(8)
			case 1:
				b[offset] = hostile[random.IntN(len(hostile))]
			case 2:
				copy(b[offset:], "\xff\xff\xff\xff")
			case 3:
				b = slices.Delete(b, offset, min(len(b)-1, offset+random.IntN(16))+1)
				b = append(b, 0)
			case 4:
				b = slices.Insert(b, offset, b[offset:min(len(b), offset+random.IntN(64))]...)
			}
		}
		checkSound(t, photo.ReadMetadata(b))
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestWithMetadata_AddsNothingWhereThereIsNothingToAdd(t *testing.T) {
	if got := photo.WithMetadata([]byte(blank), "", ""); string(got) != blank {
		t.Errorf("got %q", got)
	}
}

// Values of up to four bytes lie inside their field, longer ones elsewhere.
func TestWithMetadata_ShortAndLongTexts(t *testing.T) {
	long := strings.Repeat("y", 4000)
	for _, c := range []struct{ maker, comment, want string }{
		{"{}", "", "{}"},
		{"{ }", "a\n1", `{"a":1}`},
		{"", "a\n12", `{"a":12}`},
		{"{'b':2}", "a\n123", `{"a":123,"b":2}`},
		{"{'b': '" + long + "'}", "a\n" + long, `{"a":"` + long + `","b":"` + long + `"}`},
	} {
		if got := string(read(c.maker, c.comment).Raw); got != c.want {
			t.Errorf("metadata of %.20q, %.20q: got %.40s, want %s", c.maker, c.comment, got, c.want)
		}
	}
}

func TestWithMetadata_HidesWhatWasThere(t *testing.T) {
	twice := photo.WithMetadata(photo.WithMetadata([]byte(blank), "{'temp': 1}", ""), "{'temp': 2}", "")
	if got := show(photo.ReadMetadata(twice)); got != "temp 2" {
		t.Errorf("got %s", got)
	}
}

func TestWithMetadata_PanicsOnWhatCannotBeWritten(t *testing.T) {
	for name, write := range map[string]func(){
		"not a JPEG": func() { photo.WithMetadata([]byte("PNG"), "a", "") },
		"nor this":   func() { photo.WithOrientation([]byte("PNG"), 6) },
		"too long":   func() { photo.WithMetadata([]byte(blank), strings.Repeat("a", 1<<16), "") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			write()
		}()
	}
}

func FuzzReadMetadata(f *testing.F) {
	f.Add(photo.WithMetadata([]byte(blank), realDict, realTable))
	f.Add(handmade(binary.LittleEndian, realDict, "UNICODE\x00T\x00,\x00"))
	f.Add(jpegOf(orders[1].body(reconyx(orders[1]))))
	f.Fuzz(func(t *testing.T, jpeg []byte) { checkSound(t, photo.ReadMetadata(jpeg)) })
}

func FuzzReadMetadata_Texts(f *testing.F) {
	f.Add(realDict, realTable)
	f.Add(`{"a": 'b\x41', 'c': (1, nan), }`, "ASCII\x00\x00\x00v,T\n1,2")
	f.Fuzz(func(t *testing.T, maker, comment string) {
		if len(maker)+len(comment) > 60_000 {
			return
		}
		checkSound(t, read(maker, comment))
	})
}

func BenchmarkReadMetadata(b *testing.B) {
	jpeg := photo.WithMetadata([]byte(blank), realDict, "")
	for b.Loop() {
		photo.ReadMetadata(jpeg)
	}
}
