package jpegscan_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"tagma/internal/photo/jpegscan"
)

func read(data []byte) (image.Image, error) {
	m, _, err := readMarked(data)
	return m, err
}

func readMarked(data []byte) (image.Image, []jpegscan.Warning, error) {
	photo, err := jpegscan.Open(data)
	if err != nil {
		return nil, nil, err
	}
	return photo.Quarter(context.Background())
}

func readWhole(data []byte) (image.Image, []jpegscan.Warning, error) {
	photo, err := jpegscan.Open(data)
	if err != nil {
		return nil, nil, err
	}
	return photo.Whole(context.Background())
}

type plane struct {
	pix           []byte
	stride        int
	width, height int
}

func planesOf(m image.Image) []plane {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	switch m := m.(type) {
	case *image.Gray:
		return []plane{{m.Pix, m.Stride, w, h}}
	case *image.YCbCr:
		cw, ch := w, h
		if r := m.SubsampleRatio; r == image.YCbCrSubsampleRatio420 || r == image.YCbCrSubsampleRatio422 {
			cw = (w + 1) / 2
		}
		if r := m.SubsampleRatio; r == image.YCbCrSubsampleRatio420 || r == image.YCbCrSubsampleRatio440 {
			ch = (h + 1) / 2
		}
		return []plane{{m.Y, m.YStride, w, h}, {m.Cb, m.CStride, cw, ch}, {m.Cr, m.CStride, cw, ch}}
	default:
		panic(fmt.Sprintf("%T", m))
	}
}

// compare holds a quarter against the standard library's whole picture: each
// 2×2 pixels must be within 1 of the inverse transform of the four lowest
// frequencies of the 8×8 pixels, and their mean within 1 of the others' mean.
// Blocks where the library had to cut values at 0 or 255 are left out, because
// the frequencies cannot be had from what remains. It tells how many were
// compared.
func compare(t *testing.T, quarter, whole image.Image) (compared, left int) {
	t.Helper()
	small, large := planesOf(quarter), planesOf(whole)
	if len(small) != len(large) {
		t.Fatalf("%d planes, not %d", len(small), len(large))
	}
	for c, from := range large {
		to := small[c]
		if to.width != (from.width+3)/4 || to.height != (from.height+3)/4 {
			t.Fatalf("plane %d is %d × %d of %d × %d", c, to.width, to.height, from.width, from.height)
		}
		for by := 0; by*8 < from.height; by++ {
			for bx := 0; bx*8 < from.width; bx++ {
				var block [8][8]float64
				cut := false
				for y := range 8 {
					for x := range 8 {
						v := from.pix[(by*8+y)*from.stride+bx*8+x]
						cut = cut || v == 0 || v == 255
						block[y][x] = float64(v)
					}
				}
				if cut {
					left++
					continue
				}
				compared++
				f, sum := transform(block), 0.0
				for i := range 4 {
					x, y := i&1, i>>1
					got := float64(to.pix[(by*2+y)*to.stride+bx*2+x])
					sx, sy := float64(1-2*x), float64(1-2*y)
					want := (f[0][0] + sx*f[0][1] + sy*f[1][0] + sx*sy*f[1][1]) / 8
					want = min(max(want, 0), 255)
					if math.Abs(got-want) > 1 {
						t.Errorf("plane %d, block %d, %d, pixel %d: %v, not %.2f", c, bx, by, i, got, want)
					}
					sum += got
				}
				if math.Abs(sum/4-f[0][0]/8) > 1 && sum > 0 && sum < 4*255 {
					t.Errorf("plane %d, block %d, %d: mean %v, not %.2f", c, bx, by, sum/4, f[0][0]/8)
				}
			}
		}
	}
	return compared, left
}

// compareWhole holds a picture at full scale against the standard library's: both
// round each pixel.
func compareWhole(t *testing.T, got, want image.Image) {
	t.Helper()
	ours, theirs := planesOf(got), planesOf(want)
	for c, from := range theirs {
		to := ours[c]
		if to.width != from.width || to.height != from.height {
			t.Fatalf("plane %d: got %d × %d pixels, want %d × %d", c, to.width, to.height, from.width, from.height)
		}
		for y := range from.height {
			for x := range from.width {
				got, want := to.pix[y*to.stride+x], from.pix[y*from.stride+x]
				if max(got, want)-min(got, want) > 1 {
					t.Fatalf("plane %d, pixel %d, %d: got %d, want %d ± 1", c, x, y, got, want)
				}
			}
		}
	}
}

func TestQuarter_IsTheStandardLibrarysPictureReduced(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var compared, left int
	for i := range 400 {
		s := sketch{
			width: 1 + random.IntN(120), height: 1 + random.IntN(120),
			components: 1 + 2*random.IntN(2), h: 1 + random.IntN(2), v: 1 + random.IntN(2),
			interval: max(0, random.IntN(20)-8), coarse: 1 + 20*random.Float64(), wide: random.IntN(2) == 1,
		}
		file := s.write(t, scenery(random, 60*random.Float64())).data
		whole, err := jpeg.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatalf("picture %d, %+v: the standard library: %v", i, s, err)
		}
		quarter, err := read(file)
		if err != nil {
			t.Fatalf("picture %d, %+v: %v", i, s, err)
		}
		c, l := compare(t, quarter, whole)
		compared, left = compared+c, left+l
		ours, _, err := readWhole(file)
		if err != nil {
			t.Fatalf("picture %d, %+v: Whole = %v", i, s, err)
		}
		compareWhole(t, ours, whole)
		if t.Failed() {
			t.Fatalf("picture %d, %+v", i, s)
		}
	}
	if left > compared/10 {
		t.Errorf("only %d blocks of %d were compared", compared, compared+left)
	}
}

func TestQuarter_ReadsWhatTheStandardLibraryWrites(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, quality := range []int{1, 30, 75, 100} {
		for _, size := range []image.Point{{1, 1}, {8, 8}, {17, 9}, {300, 201}} {
			grey := image.NewGray(image.Rectangle{Max: size})
			colour := image.NewRGBA(image.Rectangle{Max: size})
			for i := range grey.Pix {
				grey.Pix[i] = byte(60 + i%97 + random.IntN(40))
			}
			for i := range colour.Pix {
				colour.Pix[i] = byte(60 + i%97 + random.IntN(40))
			}
			for _, m := range []image.Image{grey, colour} {
				var file bytes.Buffer
				if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: quality}); err != nil {
					t.Fatal(err)
				}
				quarter, err := read(file.Bytes())
				if err != nil {
					t.Fatalf("%T %v at quality %d: %v", m, size, quality, err)
				}
				whole, err := jpeg.Decode(&file)
				if err != nil {
					t.Fatal(err)
				}
				compare(t, quarter, whole)
			}
		}
	}
}

func TestOpen_SaysWhatIsOrdinary(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for name, c := range map[string]struct {
		sketch
		want bool
	}{
		"one scan":                 {sketch{components: 3, h: 2, v: 2}, true},
		"grey":                     {sketch{components: 1}, true},
		"a scan to each component": {sketch{components: 3, style: "scans"}, false},
		"progressive":              {sketch{components: 3, style: "progressive"}, false},
		"four components":          {sketch{components: 4, before: adobe(0)}, true},
		"RGB":                      {sketch{components: 3, before: adobe(0)}, true},
	} {
		c.width, c.height = 40, 30
		photo, err := jpegscan.Open(c.write(t, scenery(random, 9)).data)
		if err != nil {
			t.Fatalf("Open %s: got %v, want no error", name, err)
		}
		if photo.Ordinary != c.want || photo.Width != 40 || photo.Height != 30 {
			t.Errorf("%s: got ordinary: %v, %d × %d, want %v, 40 × 30", name, photo.Ordinary, photo.Width, photo.Height, c.want)
		}
	}
}

// adobe returns Adobe's marker with a colour transform.
func adobe(transform byte) []byte {
	return append([]byte("\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00"), transform)
}

// TestWhole_IsTheStandardLibrarysPicture compares kinds of file that are not a camera's.
func TestWhole_IsTheStandardLibrarysPicture(t *testing.T) {
	random := rand.New(rand.NewPCG(25, 26))
	jfif := []byte("\xFF\xE0\x00\x07JFIF\x00")
	for _, style := range []string{"", "scans", "progressive", "refined"} {
		for name, s := range map[string]sketch{
			"grey":                {components: 1},
			"4:4:4":               {components: 3},
			"4:2:0":               {components: 3, h: 2, v: 2},
			"4:1:0":               {components: 3, h: 4, v: 2},
			"4:4:4 with restarts": {components: 3, interval: 3},
			"RGB":                 {components: 3, before: adobe(0)},
			"RGB and JFIF":        {components: 3, before: append(jfif, adobe(0)...)},
			"CMYK":                {components: 4, before: adobe(0)},
			"YCbCrK":              {components: 4, before: adobe(2)},
			"YCbCrK, 2 × 2":       {components: 4, before: adobe(2), sampling: [][2]int{{2, 2}, {1, 1}, {1, 1}, {2, 2}}},
		} {
			for range 4 {
				s.style, s.coarse = style, 1+8*random.Float64()
				s.width, s.height = 20+random.IntN(90), 20+random.IntN(90)
				data := s.write(t, scenery(random, 50)).data
				want, err := jpeg.Decode(bytes.NewReader(data))
				if err != nil {
					t.Fatalf("%q, %s: image/jpeg: %v", style, name, err)
				}
				got, warnings, err := readWhole(data)
				if err != nil || warnings != nil {
					t.Errorf("%q, %s: got the warnings %q and %v, want none", style, name, warnings, err)
					continue
				}
				compareColours(t, fmt.Sprintf("%q, %s", style, name), got, want)
			}
		}
	}
}

// compareColours compares two pictures as RGB.
func compareColours(t *testing.T, name string, got, want image.Image) {
	t.Helper()
	if got.Bounds() != want.Bounds() {
		t.Errorf("%s: got %v, want %v", name, got.Bounds(), want.Bounds())
		return
	}
	for y := range got.Bounds().Dy() {
		for x := range got.Bounds().Dx() {
			r1, g1, b1, _ := got.At(x, y).RGBA()
			r2, g2, b2, _ := want.At(x, y).RGBA()
			for c, pair := range [][2]uint32{{r1, r2}, {g1, g2}, {b1, b2}} {
				if got, want := int(pair[0]>>8), int(pair[1]>>8); max(got-want, want-got) > 5 {
					t.Errorf("%s: pixel %d, %d, colour %d: got %d, want %d ± 5", name, x, y, c, got, want)
					return
				}
			}
		}
	}
}

func TestQuarter_OddMetadataAreNoReasonToRefuse(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	s := sketch{width: 60, height: 44, components: 3, h: 2, v: 2, interval: 2}
	plain := s.write(t, scenery(random, 20))
	want, err := read(plain.data)
	if err != nil {
		t.Fatal(err)
	}
	insert := func(at int, what string) []byte {
		return bytes.Join([][]byte{plain.data[:at], plain.data[at:]}, []byte(what))
	}
	for name, data := range map[string][]byte{
		"data behind the end":           insert(len(plain.data), "BRCM raw data\xFF\xD9\xFF"),
		"zeros behind the end":          insert(len(plain.data), string(make([]byte, 4096))),
		"an EXIF segment of rubbish":    insert(2, "\xFF\xE1\x00\x0EExif\x00\x00\xFF\xFF\xFF\xFF\xFF\xD9"),
		"an empty comment":              insert(2, "\xFF\xFE\x00\x02"),
		"bytes that belong nowhere":     insert(plain.frame, "nothing"),
		"fill bytes before the frame":   insert(plain.frame, "\xFF\xFF\xFF"),
		"fill bytes before the end":     insert(plain.end, "\xFF\xFF"),
		"fill bytes before a restart":   insert(plain.markers[1], "\xFF\xFF\xFF"),
		"a thumbnail within a segment":  insert(2, "\xFF\xE1\x00\x0A\xFF\xD8\xFF\xDA\x00\x00\xFF\xD9"),
		"a short Adobe segment":         insert(2, "\xFF\xEE\x00\x07Adobe"),
		"a restart interval said twice": insert(plain.frame, "\xFF\xDD\x00\x04\x00\x02"),
	} {
		got, err := read(data)
		if err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		} else if !bytes.Equal(got.(*image.YCbCr).Y, want.(*image.YCbCr).Y) {
			t.Errorf("%s: another picture", name)
		}
	}
}

// With tables of its own a black picture is nothing but zero bits, and these
// are no hole.
func TestQuarter_ABlackPictureOfZeroBitsIsRead(t *testing.T) {
	table := func(symbols ...byte) []byte {
		return append(append([]byte{1, byte(len(symbols)) - 1}, make([]byte, 14)...), symbols...)
	}
	s := sketch{width: 1600, height: 1200, components: 1, tables: [][]byte{table(0, 11), table(0)}}
	file := s.write(t, func(int, int, int) float64 { return 0 })
	if longest := file.data[file.scan+16 : file.scan+1016]; !bytes.Equal(longest, make([]byte, 1000)) {
		t.Fatal("the picture is not what the test needs")
	}
	if _, err := read(file.data); err != nil {
		t.Error(err)
	}
}

func TestOpen_AnImpossibleSizeCostsNothing(t *testing.T) {
	file := sketch{width: 65535, height: 8, components: 3}.write(t, func(int, int, int) float64 { return 9 })
	file.data[file.frame+5], file.data[file.frame+6] = 0xFF, 0xFF
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const times = 100
	for range times {
		if photo, err := jpegscan.Open(file.data); err != nil || photo.Height != 65535 {
			t.Fatal(photo, err)
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / times; each > 4096 {
		t.Errorf("%d bytes were allocated to read a header", each)
	}
}
