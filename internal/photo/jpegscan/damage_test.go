package jpegscan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"tagma/internal/photo/jpegscan"
)

// photograph is a picture with as many bits to a pixel as a camera's, and so
// large that damage can be anywhere.
func photograph(t testing.TB, s sketch) written {
	s.width, s.height = 320, 240
	return s.write(t, scenery(rand.New(rand.NewPCG(9, 10)), 50))
}

var kinds = map[string]sketch{
	"colour":                {components: 3, h: 2, v: 2, coarse: 2},
	"grey":                  {components: 1, coarse: 2},
	"with restart markers":  {components: 3, h: 2, v: 1, coarse: 2, interval: 7},
	"wide tables, 4:4:4":    {components: 3, coarse: 2, wide: true},
	"a scan to each":        {components: 3, h: 2, v: 2, coarse: 2, style: "scans"},
	"progressive":           {components: 3, h: 2, v: 2, coarse: 2, style: "progressive"},
	"bit by bit":            {components: 3, h: 2, v: 2, coarse: 2, style: "refined"},
	"bit by bit, grey":      {components: 1, coarse: 2, style: "refined", interval: 9},
	"coarse, and few bytes": {components: 3, h: 2, v: 2, coarse: 6},
}

// kindNames are the names of kinds in an order that does not change: random
// numbers are drawn one by one.
var kindNames = slices.Sorted(maps.Keys(kinds))

func refused(t *testing.T, data []byte, format string, args ...any) {
	t.Helper()
	_, warnings, err := readMarked(data)
	_, isDamage := errors.AsType[jpegscan.Damage](err)
	switch {
	case err == nil:
		t.Errorf(format+": accepted with the warnings %q, want a Damage", append(args, warnings)...)
	case !isDamage && !errors.Is(err, jpegscan.ErrNotJPEG):
		t.Errorf(format+": %v, which is no Damage", append(args, err)...)
	}
}

func TestQuarter_ATruncatedFileIsRefused(t *testing.T) {
	for _, name := range kindNames {
		kind := kinds[name]
		data := photograph(t, kind).data
		const offsets = 120
		for i := range offsets {
			cut := i * (len(data) - 1) / (offsets - 1)
			refused(t, data[:cut], "%s, cut at %d of %d", name, cut, len(data))
		}
	}
}

func TestQuarter_ATruncatedFileIsSaidToBeCutOff(t *testing.T) {
	file := photograph(t, kinds["colour"])
	_, err := read(file.data[:(file.scan+file.end)/2])
	var row, rows int
	if err != nil {
		_, _ = fmt.Sscanf(err.Error(), "the file is cut off: it ends at pixel row %d of %d", &row, &rows)
	}
	if row < rows*2/5 || row > rows*3/5 || rows != file.height {
		t.Error(err)
	}
}

func TestQuarter_AHoleOfZerosIsRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for _, name := range kindNames {
		kind := kinds[name]
		file := photograph(t, kind)
		for range 50 {
			size := 512 << random.IntN(6)
			if size > (file.end-file.scan)/2 {
				continue
			}
			at := file.scan + random.IntN(file.end-file.scan-size)
			data := slices.Clone(file.data)
			clear(data[at : at+size])
			refused(t, data, "%s, %d zeros at %d of %d", name, size, at, len(data))
		}
	}
}

func TestQuarter_ATailOfZerosIsRefused(t *testing.T) {
	for _, name := range kindNames {
		kind := kinds[name]
		file := photograph(t, kind)
		for _, size := range []int{3, 10, 100, 512, 4096} {
			data := slices.Clone(file.data)
			clear(data[len(data)-size:])
			refused(t, data, "%s, the last %d bytes zeros", name, size)
			refused(t, append(data, 0xFF, 0xD9), "%s, the last %d bytes zeros, and an end", name, size)
		}
	}
}

func TestQuarter_ADroppedRunIsRefused(t *testing.T) {
	random := rand.New(rand.NewPCG(13, 14))
	for _, name := range kindNames {
		kind := kinds[name]
		file := photograph(t, kind)
		for range 50 {
			size := 512 << random.IntN(5)
			if size > (file.end-file.scan)/2 {
				continue
			}
			at := file.scan + random.IntN(file.end-file.scan-size)
			data := slices.Delete(slices.Clone(file.data), at, at+size)
			refused(t, data, "%s, %d bytes dropped at %d of %d", name, size, at, len(data))
		}
	}
}

func TestQuarter_ErasedSectorsAreRefused(t *testing.T) {
	file := photograph(t, kinds["colour"])
	for at := file.scan; at+512 < file.end; at += 512 {
		data := slices.Clone(file.data)
		copy(data[at:], bytes.Repeat([]byte{0xFF}, 512))
		refused(t, data, "sector at %d", at)
	}
}

func TestQuarter_WhatIsNotExactlyWholeIsRefused(t *testing.T) {
	file := photograph(t, kinds["colour"])
	marked := photograph(t, kinds["with restart markers"])
	change := func(f written, at int, to ...byte) []byte {
		data := slices.Clone(f.data)
		copy(data[at:], to)
		return data
	}
	drop := func(f written, from, to int) []byte { return slices.Delete(slices.Clone(f.data), from, to) }
	insert := func(f written, at int, what ...byte) []byte {
		return slices.Insert(slices.Clone(f.data), at, what...)
	}
	if file.fillBits == 0 {
		t.Fatal("the picture does not end within a byte, which the test needs")
	}
	for name, data := range map[string][]byte{
		"empty":                            {},
		"no JPEG":                          []byte("\x89PNG\r\n\x1a\n and more"),
		"no frame":                         drop(file, file.frame, file.frame+19),
		"no width":                         change(file, file.frame+7, 0, 0),
		"one row of blocks more":           change(file, file.frame+5, 256>>8, 0),
		"one row of blocks less":           change(file, file.frame+5, 0, 224),
		"wider":                            change(file, file.frame+7, 336>>8, 336&255),
		"half an end":                      drop(file, file.end+1, file.end+2),
		"no last block and no end":         drop(file, file.end-20, file.end+2),
		"another start instead of the end": change(file, file.end+1, 0xD8),
		"a byte too many and no end":       append(drop(file, file.end, file.end+2), 0x7F),
		"17 bytes too many":                insert(file, file.end, bytes.Repeat([]byte{0x7F}, 17)...),
		"9 bytes of ones too many":         insert(file, file.end, bytes.Repeat([]byte{0xFF, 0x00}, 9)...),
		"17 bytes before a restart":        insert(marked, marked.markers[3], bytes.Repeat([]byte{0x7F}, 17)...),
		"a byte of zeros before the end":   insert(file, file.end, 0),
		"16 bytes of zeros before the end": insert(file, file.end, make([]byte, 16)...),
		"zeros after a byte too many":      insert(file, file.end, 0x7F, 0, 0, 0),
		"a byte too few":                   drop(file, file.end-1, file.end),
		"a restart marker out of turn":     change(marked, marked.markers[3]+1, 0xD4),
		"a restart marker missing":         drop(marked, marked.markers[3], marked.markers[3]+2),
		"a restart marker twice":           insert(marked, marked.markers[3], 0xFF, 0xD3),
		"a restart interval missing":       drop(marked, marked.markers[3], marked.markers[4]),
		"eight restart intervals missing":  drop(marked, marked.markers[3], marked.markers[11]),
		"eight restart intervals twice":    insert(marked, marked.markers[3], marked.data[marked.markers[3]:marked.markers[11]]...),
		"restart markers unannounced":      change(marked, bytes.Index(marked.data, []byte{0xFF, 0xDD})+1, 0xFE),
		"a marker in the middle":           insert(file, (file.scan+file.end)/2, 0xFF, 0xD0),
		"a quantization table missing":     change(file, bytes.Index(file.data, []byte{0xFF, 0xDB})+1, 0xFE),
		"a Huffman table missing":          change(file, bytes.Index(file.data, []byte{0xFF, 0xC4})+1, 0xFE),
		"a DNL of another height":          insert(file, file.end, 0xFF, 0xDC, 0, 4, 0, 239),
		"a DNL of 3 bytes":                 insert(file, file.end, 0xFF, 0xDC, 0, 5, 0, 240, 0),
		"a DNL before a byte too many":     insert(file, file.end, 0xFF, 0xDC, 0, 4, 0, 240, 0x7F),
		"a second SOI":                     insert(file, 2, 0xFF, 0xD8),
		"a segment of length 0":            insert(file, 2, 0xFF, 0xE1, 0, 0),
		"a second scan":                    insert(file, file.end, file.data[file.scan-14:file.end]...),
		"a row of blocks behind restarts":  change(marked, marked.frame+5, 0, 224),
		"a Huffman table overfull":         change(file, bytes.Index(file.data, []byte{0xFF, 0xC4})+5, 3),
	} {
		refused(t, data, "%s", name)
		if _, _, err := readWhole(data); err == nil {
			t.Errorf("%s: accepted at full scale, want a Damage", name)
		}
	}
}

// FuzzQuarter holds that nothing panics, that both scales judge alike, and that
// the standard library accepts an ordinary file that is accepted here, at the same
// size.
func FuzzQuarter(f *testing.F) {
	random := rand.New(rand.NewPCG(15, 16))
	for _, name := range kindNames {
		kind := kinds[name]
		kind.width, kind.height = 33, 20
		file := kind.write(f, scenery(random, 30))
		f.Add(file.data)
		f.Add(file.data[:file.end])
		f.Add(withoutTables(file.data))
		// What image/jpeg refuses in a header, and once passed here.
		for _, odd := range []string{"\xFF\x01", "\xFF\x02\x00\x02", "\xFF\xC8\x00\x02", "\xFF\xD8", "\xFF\xDC\x00\x04\x00\x14", "\xFF\xF0\x00\x02", "\xFF\xE0\x00\x00", "\xFF\xDD\x00\x02"} {
			f.Add(slices.Insert(slices.Clone(file.data), file.frame, []byte(odd)...))
			f.Add(slices.Insert(slices.Clone(file.data), file.end, []byte(odd)...))
		}
	}
	f.Add(sketch{width: 33, height: 20, components: 3, sampling: [][2]int{{2, 2}, {1, 1}, {1, 2}}}.write(f, scenery(random, 30)).data)
	f.Add(sketch{width: 33, height: 20, components: 4, before: adobe(2), style: "refined"}.write(f, scenery(random, 30)).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		photo, err := jpegscan.Open(data)
		if err != nil || photo.Width*photo.Height > 1<<20 {
			return
		}
		if work := photo.Work(); work.Scans > 100 || work.Blocks > 40*work.Picture {
			return // package thumbnail refuses the file
		}
		quarter, warnings, err := photo.Quarter(context.Background())
		ours, again, errOfWhole := photo.Whole(context.Background())
		if fmt.Sprint(err, warnings) != fmt.Sprint(errOfWhole, again) {
			t.Fatalf("a quarter: %v, %v; the whole: %v, %v; want the same", err, warnings, errOfWhole, again)
		}
		if err != nil || !photo.Ordinary {
			return
		}
		whole, err := jpeg.Decode(bytes.NewReader(data))
		switch {
		case errors.Is(err, jpeg.UnsupportedError("luma/chroma subsampling ratio")),
			errors.Is(err, jpeg.FormatError("bad Th value")), errors.Is(err, jpeg.FormatError("bad Td value")), errors.Is(err, jpeg.FormatError("bad Ta value")),
			errors.Is(err, jpeg.UnsupportedError("unknown marker")) && bytes.Contains(data, []byte{0xFF, 0xDC}),
			errors.Is(err, jpeg.FormatError("unknown marker")) && bytes.Contains(data, []byte{0xFF, 0xFF, 0x00}),
			slices.Contains(warnings, jpegscan.NoEOI), slices.Contains(warnings, jpegscan.StandardTables):
			return // libjpeg reads these
		case err != nil:
			t.Fatalf("the standard library refuses it: %v", err)
		}
		if ours.Bounds() != whole.Bounds() {
			t.Fatalf("the whole: got %v, want %v", ours.Bounds(), whole.Bounds())
		}
		small, large := quarter.Bounds(), whole.Bounds()
		if small.Dx() != (large.Dx()+3)/4 || small.Dy() != (large.Dy()+3)/4 {
			t.Fatalf("quarter of %v: got %v, want a quarter of each side, rounded up", large, small)
		}
	})
}

func BenchmarkQuarter(b *testing.B) {
	data := photograph(b, kinds["colour"]).data
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := read(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the standard library, whole", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
