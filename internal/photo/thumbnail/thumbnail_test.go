package thumbnail_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/draw"

	"tagma/internal/base/fault"
	"tagma/internal/photo/jpegscan"
	"tagma/internal/photo/thumbnail"
	"tagma/internal/testing/testenv"
)

const limit = 65_000_000

// scene is a picture with what photographs have: slow changes, sharp edges at
// any angle, fine texture and noise.
func scene(width, height int) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	noise := uint64(1)
	for y := range height {
		for x := range width {
			fx, fy := float64(x), float64(y)
			v := 120 + 50*math.Sin(fx/310+fy/170) + 14*math.Sin(fx*fy/9000)
			v -= 45 * edge(60-math.Hypot(math.Mod(fx, 190)-95, math.Mod(fy, 230)-115))
			v += 40 * edge(9-math.Abs(math.Mod(fx+2.3*fy, 307)-30))
			noise = noise*6364136223846793005 + 1442695040888963407
			v += float64(noise>>60) - 8
			m.Y[y*m.YStride+x] = byte(min(max(v, 0), 255))
		}
	}
	for i := range m.Cb {
		x, y := float64(i%m.CStride), float64(i/m.CStride)
		m.Cb[i] = byte(128 + 50*math.Sin(x/21+y/60))
		m.Cr[i] = byte(128 + 50*math.Cos(x/90-y/17))
		if math.Mod(x-y+5000, 61) < 11 {
			m.Cb[i] = 90
		}
	}
	return m
}

// edge goes from 0 to 1 where d, in pixels, passes 0: as sharply as a lens can.
func edge(d float64) float64 { return min(max(d/3+0.5, 0), 1) }

func encode(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(t testing.TB, data []byte) image.Image {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// asRGB says of a file that its components are red, green and blue, which is
// one of the kinds that only the standard library reads.
func asRGB(data []byte) []byte {
	return slices.Insert(slices.Clone(data), 2, []byte("\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00")...)
}

func thumbnails(t testing.TB, data []byte) *thumbnail.Set {
	t.Helper()
	set, err := thumbnail.Make(context.Background(), data, limit)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestMake_ThePicturesFitTheirBoxesAndKeepTheAspect(t *testing.T) {
	for _, c := range []struct{ photo, large, mini image.Point }{
		{image.Pt(1296, 972), image.Pt(512, 384), image.Pt(128, 96)},
		{image.Pt(486, 648), image.Pt(288, 384), image.Pt(72, 96)},
		{image.Pt(1001, 333), image.Pt(512, 170), image.Pt(128, 43)},
		{image.Pt(3001, 403), image.Pt(512, 69), image.Pt(128, 17)},
		{image.Pt(512, 384), image.Pt(512, 384), image.Pt(128, 96)},
		{image.Pt(511, 300), image.Pt(511, 300), image.Pt(128, 75)},
		{image.Pt(100, 50), image.Pt(100, 50), image.Pt(100, 50)},
		{image.Pt(4000, 3), image.Pt(512, 1), image.Pt(128, 1)},
		{image.Pt(1, 3000), image.Pt(1, 384), image.Pt(1, 96)},
		{image.Pt(1, 1), image.Pt(1, 1), image.Pt(1, 1)},
	} {
		for _, m := range []image.Image{
			image.NewGray(image.Rectangle{Max: c.photo}),
			image.NewYCbCr(image.Rectangle{Max: c.photo}, image.YCbCrSubsampleRatio420),
		} {
			set := thumbnails(t, encode(t, m, 50))
			large, mini := decode(t, set.Thumbnail), decode(t, set.Mini)
			if set.Width != c.photo.X || set.Height != c.photo.Y ||
				large.Bounds().Size() != c.large || mini.Bounds().Size() != c.mini {
				t.Errorf("thumbnails of %v: got %d × %d, %v and %v, want %v and %v", c.photo, set.Width, set.Height, large.Bounds(), mini.Bounds(), c.large, c.mini)
			}
			if large.ColorModel() != m.ColorModel() || mini.ColorModel() != m.ColorModel() {
				t.Errorf("%v: of %T came %T and %T", c.photo, m, large, mini)
			}
		}
	}
}

// The measure is the best that a JPEG of this quality can be: the Lanczos
// reduction of the decoded photograph, encoded.
func TestMake_ThePicturesAreAsGoodAsLanczos(t *testing.T) {
	for _, size := range []image.Point{{2592, 324}, {1003, 351}} {
		photo := encode(t, scene(size.X, size.Y), 95)
		whole := decode(t, photo).(*image.YCbCr)
		set := thumbnails(t, photo)
		for _, data := range [][]byte{set.Thumbnail, set.Mini} {
			got := decode(t, data).(*image.YCbCr)
			exact := lanczos(whole, got.Bounds().Dx(), got.Bounds().Dy())
			best := decode(t, encode(t, exact.image(), 85)).(*image.YCbCr)
			for plane, name := range []string{"luminance", "blue", "red"} {
				ours, limit := exact.psnr(got, plane), exact.psnr(best, plane)
				if ours < limit-0.3 {
					t.Errorf("%v to %v, %s: %.2f dB, where %.2f can be had", size, got.Bounds().Size(), name, ours, limit)
				}
			}
		}
	}
}

func TestMake_ATruncatedFileIsRefused(t *testing.T) {
	photo := encode(t, scene(200, 150), 85)
	for name, data := range map[string][]byte{"ordinary": photo, "read by the standard library": asRGB(photo)} {
		const offsets = 200
		for i := range offsets {
			cut := i * (len(data) - 1) / (offsets - 1)
			if set, err := thumbnail.Make(context.Background(), data[:cut], limit); fault.CodeOf(err) != fault.BadInput || set != nil {
				t.Fatalf("%s, cut at %d of %d: %v", name, cut, len(data), err)
			}
		}
	}
}

// Small photographs are read by the standard library, which would not notice.
func TestMake_ASmallPhotographIsCheckedAsStrictly(t *testing.T) {
	photo, overlooked := encode(t, scene(300, 200), 85), 0
	for at := 2000; at+2000 < len(photo); at += 1000 {
		hole := slices.Clone(photo)
		clear(hole[at : at+1000])
		for what, data := range map[string][]byte{
			"a hole":        hole,
			"a run dropped": slices.Delete(slices.Clone(photo), at, at+1000),
			"a run twice":   slices.Insert(slices.Clone(photo), at, photo[at:at+1000]...),
		} {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err == nil {
				overlooked++
			}
			if _, err := thumbnail.Make(context.Background(), data, limit); fault.CodeOf(err) != fault.BadInput {
				t.Errorf("%s at byte %d: %v", what, at, err)
			}
		}
	}
	if overlooked == 0 {
		t.Error("the standard library notices all of them: is the other reading still needed?")
	}
}

func TestMake_WhatIsNoPhotographIsRefused(t *testing.T) {
	progressive12bit := encode(t, scene(40, 30), 85)
	frame := bytes.Index(progressive12bit, []byte{0xFF, 0xC0})
	progressive12bit[frame+1], progressive12bit[frame+4] = 0xC2, 12
	arithmetic := encode(t, scene(40, 30), 85)
	arithmetic[frame+1] = 0xC9
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":         {nil, "the file is empty. Send the whole file"},
		"a PNG":           {[]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0DIHDR"), "it is not a JPEG file. Send"},
		"12 bits":         {progressive12bit, "a file of 12 bits a sample is not read. Save it as a baseline JPEG"},
		"arithmetic code": {arithmetic, "arithmetic coding is not read. Save it as a baseline JPEG"},
	} {
		if _, err := thumbnail.Make(t.Context(), c.data, limit); fault.CodeOf(err) != fault.BadInput || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want code %s and %q", name, err, fault.BadInput, c.want)
		}
	}
}

// A verdict does not depend on the scale at which a photograph is read.
func TestMake_TheVerdictIsTheSameWhateverTheSize(t *testing.T) {
	for _, width := range []int{640, 5 * thumbnail.Width} {
		photo := encode(t, scene(width, 64), 85)
		insert := func(at int, what string) []byte { return slices.Insert(slices.Clone(photo), at, []byte(what)...) }
		end := len(photo) - 2
		tables := bytes.Index(photo, []byte{0xFF, 0xC4})
		length := 2 + int(photo[tables+2])<<8 + int(photo[tables+3])
		for name, c := range map[string]struct {
			data    []byte
			refused bool
			want    []jpegscan.Warning
		}{
			"as written":              {photo, false, nil},
			"two SOI":                 {insert(2, "\xFF\xD8"), true, nil},
			"a segment of length 0":   {insert(2, "\xFF\xE0\x00\x00"), true, nil},
			"a reserved marker":       {insert(2, "\xFF\x05\x00\x02"), true, nil},
			"a byte before EOI":       {insert(end, "\x7F"), false, []jpegscan.Warning{jpegscan.SpareBytes}},
			"zeros before EOI":        {insert(end, "\x00\x00"), true, nil},
			"no EOI":                  {photo[:end], false, []jpegscan.Warning{jpegscan.NoEOI}},
			"no tables":               {slices.Delete(slices.Clone(photo), tables, tables+length), false, []jpegscan.Warning{jpegscan.StandardTables}},
			"a DNL that agrees":       {insert(end, "\xFF\xDC\x00\x04\x00\x40"), false, nil},
			"a DNL of another height": {insert(end, "\xFF\xDC\x00\x04\x00\x41"), true, nil},
		} {
			set, err := thumbnail.Make(context.Background(), c.data, limit)
			if (err != nil) != c.refused {
				t.Errorf("%s at %d pixels: got error %v, want an error: %v", name, width, err, c.refused)
			}
			if err == nil && !slices.Equal(set.Warnings, c.want) {
				t.Errorf("%s at %d pixels: got the warnings %q, want %q", name, width, set.Warnings, c.want)
			}
		}
	}
}

func TestCheck_APictureWithAWarningIsNotWhatWasWritten(t *testing.T) {
	picture := thumbnails(t, encode(t, scene(640, 64), 85)).Thumbnail
	size := decode(t, picture).Bounds().Size()
	if err := thumbnail.Check(context.Background(), picture, size); err != nil {
		t.Errorf("as written: got %v, want no error", err)
	}
	for name, data := range map[string][]byte{
		"no EOI":            picture[:len(picture)-2],
		"a byte before EOI": slices.Insert(slices.Clone(picture), len(picture)-2, 0x7F),
	} {
		if err := thumbnail.Check(context.Background(), data, size); err == nil {
			t.Errorf("%s: got no error, want one", name)
		}
	}
}

func TestMake_TooManyPixelsAreRefusedBeforeAnythingIsAllocated(t *testing.T) {
	bomb := encode(t, scene(64, 64), 85)
	frame := bytes.Index(bomb, []byte{0xFF, 0xC0})
	copy(bomb[frame+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	used := allocated(func() {
		if _, err := thumbnail.Make(t.Context(), bomb, limit); fault.CodeOf(err) != fault.TooLarge {
			t.Errorf("bomb: got error %v, want code %s", err, fault.TooLarge)
		}
	})
	if used > 1<<16 {
		t.Errorf("%d bytes were allocated", used)
	}
	if _, err := thumbnail.Make(context.Background(), encode(t, scene(100, 101), 85), 10_100); err != nil {
		t.Errorf("just within the limit: %v", err)
	}
	if _, err := thumbnail.Make(context.Background(), encode(t, scene(100, 101), 85), 10_099); fault.CodeOf(err) != fault.TooLarge {
		t.Errorf("just beyond the limit: %v", err)
	}
}

// The files have some kB, and image/jpeg works on each for minutes or takes
// gigabytes.
func TestWeigh_AFileThatAsksForFarMoreWorkThanAnyPhotographIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		file testenv.FlatJPEG
		want string
	}{
		"3,000 scans": {
			testenv.FlatJPEG{Width: 8000, Height: 8000, Components: 1, Scans: 3000},
			"3000 scans, and the limit is 100"},
		"101 scans": {
			testenv.FlatJPEG{Width: 16, Height: 16, Components: 3, Scans: 101},
			"101 scans, and the limit is 100"},
		"41 scans of all blocks": {
			testenv.FlatJPEG{Width: 800, Height: 800, Components: 1, Scans: 41},
			"410000 blocks, and the limit is 400000"},
	} {
		_, err := thumbnail.Weigh(c.file.Bytes(), limit)
		if fault.CodeOf(err) != fault.TooLarge || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: Weigh = %v, want TOO_LARGE with %q", name, err, c.want)
		}
		if _, err := thumbnail.Make(context.Background(), c.file.Bytes(), limit); fault.CodeOf(err) != fault.TooLarge {
			t.Errorf("%s: Make = %v, want TOO_LARGE", name, err)
		}
	}
}

func TestMake_AsManyScansAsALimitAllowsAreRead(t *testing.T) {
	for _, file := range []testenv.FlatJPEG{
		{Width: 80, Height: 60, Components: 1, Scans: 40},
		{Width: 80, Height: 60, Components: 3, Scans: 100},
		{Width: 80, Height: 60, Components: 3, Sampling: 0x22, Scans: 60},
		{Width: 80, Height: 60, Components: 4, Adobe: true, Scans: 100},
	} {
		if set, err := thumbnail.Make(context.Background(), file.Bytes(), limit); err != nil || set.Width != 80 {
			t.Errorf("%+v: Make = %v, want the pictures", file, err)
		}
	}
}

func TestWeigh_TellsWhatIsSlowAndHowLargeItGets(t *testing.T) {
	const mega = 1 << 20
	for name, c := range map[string]struct {
		file     testenv.FlatJPEG
		slow     bool
		from, to int64 // bytes
	}{
		"64 megapixels":                       {testenv.FlatJPEG{Width: 9248, Height: 6944, Components: 3, Sampling: 0x22}, false, 20 * mega, 40 * mega},
		"64 megapixels, progressive":          {testenv.FlatJPEG{Width: 9248, Height: 6944, Components: 3, Sampling: 0x22, Scans: 4}, true, 192*mega + 1, 216 * mega},
		"64 megapixels, progressive, grey":    {testenv.FlatJPEG{Width: 9248, Height: 6944, Components: 1, Scans: 2}, true, 122 * mega, 160 * mega},
		"64 megapixels, progressive, 4:4:4":   {testenv.FlatJPEG{Width: 9248, Height: 6944, Components: 3, Scans: 4}, true, 367 * mega, 408 * mega},
		"24 megapixels, progressive":          {testenv.FlatJPEG{Width: 6000, Height: 4000, Components: 3, Sampling: 0x22, Scans: 4}, true, 69 * mega, 84 * mega},
		"24 megapixels, progressive and CMYK": {testenv.FlatJPEG{Width: 6000, Height: 4000, Components: 4, Adobe: true, Scans: 5}, true, 195 * mega, 208 * mega},
	} {
		weight, err := thumbnail.Weigh(c.file.Bytes(), limit)
		if err != nil || weight.Slow != c.slow || weight.Bytes < c.from || weight.Bytes > c.to {
			t.Errorf("%s: Weigh = %+v, %v, want %d to %d bytes, slow: %v", name, weight, err, c.from, c.to, c.slow)
		}
	}
}

// request is the context of a request that ends once its end was asked for so
// many times.
type request struct {
	context.Context
	left  int
	asked int
}

func (r *request) Err() error {
	if r.asked++; r.asked > r.left {
		return context.Canceled
	}
	return nil
}

func TestMake_EndsWithItsRequest(t *testing.T) {
	progressive := testenv.FlatJPEG{Width: 160, Height: 120, Components: 3, Scans: 100}.Bytes()
	ordinary := testenv.FlatJPEG{Width: 2600, Height: 64, Components: 1}.Bytes()
	for name, data := range map[string][]byte{"progressive": progressive, "ordinary": ordinary} {
		whole := &request{Context: context.Background(), left: math.MaxInt}
		if _, err := thumbnail.Make(whole, data, limit); err != nil {
			t.Fatal(err)
		}
		ended := &request{Context: context.Background(), left: 1}
		if set, err := thumbnail.Make(ended, data, limit); !errors.Is(err, context.Canceled) || set != nil {
			t.Errorf("%s: Make of a request that has ended = %v, want %v", name, err, context.Canceled)
		}
		// It is asked once more to tell its end from damage.
		if ended.asked > 3 || whole.asked < 4 {
			t.Errorf("%s: a request that ended after it was asked once was asked %d times, want 3; another was asked %d times, want more",
				name, ended.asked, whole.asked)
		}
	}
}

func TestMake_ColoursOfOtherKindsOfFileAreKept(t *testing.T) {
	// What is stored as luminance and chrominance becomes red, green and blue.
	m := image.NewYCbCr(image.Rect(0, 0, 700, 500), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = 200
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 60, 20
	}
	set := thumbnails(t, asRGB(encode(t, m, 100)))
	for _, data := range [][]byte{set.Thumbnail, set.Mini} {
		r, g, b, _ := decode(t, data).At(50, 50).RGBA()
		for i, v := range []uint32{r, g, b} {
			if want := []float64{200, 60, 20}[i]; math.Abs(float64(v>>8)-want) > 3 {
				t.Errorf("the colour is %d, %d, %d", r>>8, g>>8, b>>8)
			}
		}
	}
}

func TestWeight_IsNeverExceeded(t *testing.T) {
	small, medium, large := encode(t, scene(50, 40), 85), encode(t, scene(1200, 450), 85), encode(t, scene(2600, 300), 85)
	for name, data := range map[string][]byte{
		"small": small, "medium": medium, "large": large,
		"small, RGB": asRGB(small), "medium, RGB": asRGB(medium),
		"wide":               encode(t, image.NewYCbCr(image.Rect(0, 0, 65000, 8), image.YCbCrSubsampleRatio420), 50),
		"CMYK, large":        testenv.FlatJPEG{Width: 2600, Height: 700, Components: 4, Adobe: true}.Bytes(),
		"progressive, large": testenv.FlatJPEG{Width: 2600, Height: 700, Components: 3, Scans: 9}.Bytes(),
		"RGB, large":         asRGB(large),
		"progressive":        testenv.FlatJPEG{Width: 900, Height: 700, Components: 3, Sampling: 0x22, Scans: 9}.Bytes(),
		"progressive, wide":  testenv.FlatJPEG{Width: 9000, Height: 8, Components: 3, Sampling: 0x42, Scans: 9}.Bytes(),
		"progressive, tall":  testenv.FlatJPEG{Width: 8, Height: 9000, Components: 1, Scans: 9}.Bytes(),
		"progressive, CMYK":  testenv.FlatJPEG{Width: 900, Height: 700, Components: 4, Adobe: true, Scans: 9}.Bytes(),
		"CMYK":               testenv.FlatJPEG{Width: 900, Height: 700, Components: 4, Adobe: true}.Bytes(),
		"tall":               encode(t, image.NewYCbCr(image.Rect(0, 0, 8, 65000), image.YCbCrSubsampleRatio420), 50),
	} {
		weight, err := thumbnail.Weigh(data, limit)
		if err != nil {
			t.Fatal(err)
		}
		if used := allocated(func() { thumbnails(t, data) }); used > weight.Bytes {
			t.Errorf("%s: %d kB were allocated, not %d kB", name, used>>10, weight.Bytes>>10)
		}
	}
}

// allocated is how many bytes f allocates in all, which is more than it ever
// holds.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func BenchmarkMake(b *testing.B) {
	photo := encode(b, scene(2592, 1944), 95)
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			thumbnails(b, photo)
		}
	})
	b.Run("image/jpeg and CatmullRom", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			whole := decode(b, photo)
			for _, r := range []image.Rectangle{image.Rect(0, 0, 512, 384), image.Rect(0, 0, 128, 96)} {
				m := image.NewRGBA(r)
				draw.CatmullRom.Scale(m, r, whole, whole.Bounds(), draw.Src, nil)
				encode(b, m, 85)
			}
		}
	})
}
