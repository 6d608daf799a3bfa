package photo_test

import (
	"bytes"
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

// handmade is a JPEG with EXIF in the given byte order, Make in IFD0 and
// UserComment, as text, in the Exif IFD.
func handmade(order binary.AppendByteOrder, maker, comment string) []byte {
	mark := "MM"
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		mark = "II"
	}
	entry := func(b []byte, tag, kind uint16, count, value int) []byte {
		b = order.AppendUint16(order.AppendUint16(b, tag), kind)
		return order.AppendUint32(order.AppendUint32(b, uint32(count)), uint32(value))
	}
	const ifd0, exifIFD, values = 8, 8 + 2 + 24 + 4, 8 + 2 + 24 + 4 + 2 + 12 + 4
	tiff := order.AppendUint32(order.AppendUint16([]byte(mark), 42), ifd0)
	tiff = order.AppendUint16(tiff, 2)
	tiff = entry(tiff, 0x010f, 2, len(maker), values)
	tiff = entry(tiff, 0x8769, 4, 1, exifIFD)
	tiff = order.AppendUint32(tiff, 0)
	tiff = order.AppendUint16(tiff, 1)
	tiff = entry(tiff, 0x9286, 2, len(comment), values+len(maker))
	tiff = order.AppendUint32(tiff, 0)
	return slices.Concat([]byte("\xff\xd8"), segment(0xe1, "Exif\x00\x00"+string(tiff)+maker+comment), []byte("\xff\xd9"))
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
