package jpegscan_test

import (
	"bytes"
	"image"
	"math/rand/v2"
	"slices"
	"testing"

	"tagma/internal/photo/jpegscan"
)

func TestQuarter_AWholePhotographIsTakenWithWarnings(t *testing.T) {
	file, marked := photograph(t, kinds["colour"]), photograph(t, kinds["with restart markers"])
	grey := photograph(t, kinds["grey"])
	change := func(f written, at int, to ...byte) []byte {
		data := slices.Clone(f.data)
		copy(data[at:], to)
		return data
	}
	insert := func(f written, at int, what ...byte) []byte {
		return slices.Insert(slices.Clone(f.data), at, what...)
	}
	zeroPadding := func(f written) []byte {
		return change(f, f.lastFillByte, f.data[f.lastFillByte]>>f.fillBits<<f.fillBits)
	}
	withoutEOI := func(data []byte) []byte { return data[:len(data)-2] }
	const padding, spare, noEOI = jpegscan.Padding, jpegscan.SpareBytes, jpegscan.NoEOI
	if file.fillBits == 0 || grey.fillBits == 0 {
		t.Fatal("a picture does not end within a byte, which the test needs")
	}
	for name, c := range map[string]struct {
		of   written
		data []byte
		want []jpegscan.Warning
	}{
		"as written":                           {file, file.data, nil},
		"padding of zeros":                     {file, zeroPadding(file), []jpegscan.Warning{padding}},
		"padding of zeros, grey":               {grey, zeroPadding(grey), []jpegscan.Warning{padding}},
		"padding of zeros and ones":            {file, change(file, file.lastFillByte, file.data[file.lastFillByte]&^1), []jpegscan.Warning{padding}},
		"a byte before EOI":                    {file, insert(file, file.end, 0x7F), []jpegscan.Warning{spare}},
		"a byte of ones before EOI":            {file, insert(file, file.end, 0xFF, 0x00), []jpegscan.Warning{spare}},
		"a zero and a byte before EOI":         {file, insert(file, file.end, 0, 0x7F), []jpegscan.Warning{spare}},
		"16 bytes before EOI":                  {file, insert(file, file.end, bytes.Repeat([]byte{0xA5}, 16)...), []jpegscan.Warning{spare}},
		"2 bytes before a restart":             {marked, insert(marked, marked.markers[5], 0x12, 0x34), []jpegscan.Warning{spare}},
		"2 zeros before a restart":             {marked, insert(marked, marked.markers[5], 0, 0), []jpegscan.Warning{spare}},
		"16 bytes before each of two restarts": {marked, slices.Insert(insert(marked, marked.markers[9], bytes.Repeat([]byte{0xA5}, 16)...), marked.markers[2], bytes.Repeat([]byte{0x5A}, 16)...), []jpegscan.Warning{spare}},
		"no EOI":                               {file, withoutEOI(file.data), []jpegscan.Warning{noEOI}},
		"no EOI, with restarts":                {marked, withoutEOI(marked.data), []jpegscan.Warning{noEOI}},
		"padding of zeros and no EOI":          {file, withoutEOI(zeroPadding(file)), []jpegscan.Warning{padding, noEOI}},
		"padding, and a byte before EOI":       {file, slices.Insert(zeroPadding(file), file.end, 0x7F), []jpegscan.Warning{padding, spare}},
		"a DNL that agrees":                    {file, insert(file, file.end, 0xFF, 0xDC, 0, 4, 0, 240), nil},
		"a DNL that agrees, and no EOI":        {file, withoutEOI(insert(file, file.end, 0xFF, 0xDC, 0, 4, 0, 240)), []jpegscan.Warning{noEOI}},
		"a comment before EOI":                 {file, insert(file, file.end, 0xFF, 0xFE, 0, 3, 'x'), nil},
	} {
		want, err := read(c.of.data)
		if err != nil {
			t.Fatalf("%s, as written: %v", name, err)
		}
		got, warnings, err := readMarked(c.data)
		if err != nil || !slices.Equal(warnings, c.want) {
			t.Errorf("%s: got the warnings %q and %v, want %q", name, warnings, err, c.want)
			continue
		}
		if !bytes.Equal(luminance(got), luminance(want)) {
			t.Errorf("%s: the pixels differ from the file as written", name)
		}
		if _, warnings, err := readWhole(c.data); err != nil || !slices.Equal(warnings, c.want) {
			t.Errorf("%s at full scale: got the warnings %q and %v, want %q", name, warnings, err, c.want)
		}
	}
}

func luminance(m image.Image) []byte { return planesOf(m)[0].pix }

// Some encoders write a restart marker after the last interval too.
func TestQuarter_ARestartMarkerInTurnBeforeEOIIsTaken(t *testing.T) {
	s := sketch{width: 64, height: 32, components: 1, interval: 8} // 4 intervals
	file := s.write(t, scenery(rand.New(rand.NewPCG(23, 24)), 20))
	with := func(marker ...byte) []byte { return slices.Insert(slices.Clone(file.data), file.end, marker...) }
	if _, warnings, err := readMarked(with(0xFF, 0xD3)); err != nil || warnings != nil {
		t.Errorf("RST3 after the fourth interval: got the warnings %q and %v, want none", warnings, err)
	}
	refused(t, with(0xFF, 0xD2), "RST2 after the fourth interval")
	refused(t, with(0xFF, 0xD3, 0xFF, 0xD4), "two restart markers before EOI")
	refused(t, with(0xFF, 0xD3, 0x7F), "data after the last restart marker")
}

// A frame of motion JPEG has no Huffman tables.
func TestQuarter_WithoutTablesTheStandardTablesAreUsed(t *testing.T) {
	for name, kind := range map[string]sketch{"grey": kinds["grey"], "colour": kinds["colour"]} {
		file := photograph(t, kind)
		got, warnings, err := readMarked(withoutTables(file.data))
		if want := []jpegscan.Warning{jpegscan.StandardTables}; err != nil || !slices.Equal(warnings, want) {
			t.Errorf("%s: got the warnings %q and %v, want %q", name, warnings, err, want)
			continue
		}
		want, err := read(file.data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(luminance(got), luminance(want)) {
			t.Errorf("%s: the pixels differ from the file with its tables", name)
		}
	}
}

// withoutTables returns a file without its segments DHT.
func withoutTables(data []byte) []byte {
	data = slices.Clone(data)
	for {
		at := bytes.Index(data, []byte{0xFF, 0xC4})
		if at < 0 {
			return data
		}
		data = slices.Delete(data, at, at+2+int(data[at+2])<<8+int(data[at+3]))
	}
}

// What image/jpeg cannot hold is repeated up to 4:4:4.
func TestWhole_AnySamplingOfTheFormatIsRead(t *testing.T) {
	for _, sampling := range [][][2]int{
		{{2, 2}, {1, 1}, {1, 2}}, {{2, 2}, {2, 1}, {1, 2}}, {{2, 2}, {2, 2}, {1, 1}}, {{1, 1}, {2, 2}, {1, 1}},
		{{2, 1}, {1, 1}, {2, 1}}, {{4, 1}, {1, 1}, {1, 1}}, {{4, 2}, {1, 1}, {1, 1}}, {{1, 4}, {1, 1}, {1, 1}},
		{{3, 1}, {1, 1}, {1, 1}}, {{3, 2}, {2, 1}, {1, 2}}, {{1, 2}, {2, 1}, {1, 1}},
	} {
		s := sketch{width: 75, height: 53, components: 3, sampling: sampling}
		// Slow changes survive any sampling.
		value := func(c, x, y int) float64 { return float64(60 + 40*c + x/2 - y/3) }
		data := s.write(t, value).data
		for scale, read := range map[int]func([]byte) (image.Image, []jpegscan.Warning, error){4: readMarked, 1: readWhole} {
			got, warnings, err := read(data)
			if err != nil || warnings != nil {
				t.Errorf("%v at 1/%d: got the warnings %q and %v, want none", sampling, scale, warnings, err)
				continue
			}
			m := got.(*image.YCbCr)
			for y := 0; y < m.Rect.Dy()-1; y++ {
				for x := 0; x < m.Rect.Dx()-1; x++ {
					colour := m.YCbCrAt(x, y)
					for c, got := range []byte{colour.Y, colour.Cb, colour.Cr} {
						if want := value(c, x*scale+scale/2, y*scale+scale/2); float64(got) < want-6 || float64(got) > want+6 {
							t.Fatalf("%v at 1/%d, component %d, pixel %d, %d: got %d, want %.1f ± 6", sampling, scale, c, x, y, got, want)
						}
					}
				}
			}
		}
	}
}
