package jpegwrite_test

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"tagma/internal/photo/jpegscan"
	"tagma/internal/photo/jpegwrite"
)

// picture is one of waves and noise, or of nothing but black and white.
func picture(random *rand.Rand, grey bool, size image.Point) image.Image {
	rect := image.Rectangle{Max: size}
	fill := func(pix []byte, stride int) {
		noise, fx, fy := random.Float64()*60, random.Float64()/9, random.Float64()/9
		harsh := random.IntN(5) == 0
		for i := range pix {
			x, y := float64(i%stride), float64(i/stride)
			v := 128 + 90*math.Sin(x*fx+y*fy) + noise*(random.Float64()-0.5)
			if harsh {
				v = 255 * float64(random.IntN(2))
			}
			pix[i] = byte(min(max(v, 0), 255))
		}
	}
	if grey {
		m := image.NewGray(rect)
		fill(m.Pix, m.Stride)
		return m
	}
	m := image.NewYCbCr(rect, image.YCbCrSubsampleRatio420)
	fill(m.Y, m.YStride)
	fill(m.Cb, m.CStride)
	fill(m.Cr, m.CStride)
	return m
}

func planesOf(m image.Image) [][]byte {
	var planes [][]byte
	add := func(pix []byte, stride, w, h int) {
		var all []byte
		for y := range h {
			all = append(all, pix[y*stride:][:w]...)
		}
		planes = append(planes, all)
	}
	size := m.Bounds().Size()
	switch m := m.(type) {
	case *image.Gray:
		add(m.Pix, m.Stride, size.X, size.Y)
	case *image.YCbCr:
		add(m.Y, m.YStride, size.X, size.Y)
		add(m.Cb, m.CStride, (size.X+1)/2, (size.Y+1)/2)
		add(m.Cr, m.CStride, (size.X+1)/2, (size.Y+1)/2)
	}
	return planes
}

// noise is the mean square of what differs between the planes of two pictures.
func noise(a, b image.Image) float64 {
	sum, n := 0.0, 0
	inB := planesOf(b)
	for c, plane := range planesOf(a) {
		for i := range plane {
			d := float64(plane[i]) - float64(inB[c][i])
			sum += d * d
		}
		n += len(plane)
	}
	return sum / float64(n)
}

func decode(t *testing.T, file []byte) image.Image {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The library rounds twice and halves upwards, which at the highest qualities
// makes files larger and pictures better by a few parts of a hundred.
func TestEncode_IsAsGoodAndAsSmallAsTheStandardLibrarys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var ours, theirs float64
	for n := range 300 {
		quality := []int{1, 30, 75, 85, 95, 100}[n%6]
		// Whole blocks of chrominance, because at an odd edge the library takes others.
		m := picture(random, n%2 == 0, image.Pt(16+16*random.IntN(8), 16+16*random.IntN(8)))
		got, err := jpegwrite.Encode(m, quality)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		if err := jpeg.Encode(&want, m, &jpeg.Options{Quality: quality}); err != nil {
			t.Fatal(err)
		}
		if d := len(got) - want.Len(); max(d, -d) > 8+want.Len()/30 {
			t.Errorf("picture %d, quality %d: %d bytes, not %d", n, quality, len(got), want.Len())
		}
		mine, standard := noise(decode(t, got), m), noise(decode(t, want.Bytes()), m)
		if mine > standard*1.08+0.02 {
			t.Errorf("picture %d, quality %d: noise of %.3f, not %.3f", n, quality, mine, standard)
		}
		ours, theirs = ours+mine, theirs+standard
	}
	if ours > theirs*1.005 {
		t.Errorf("noise of %.4f in all, where the standard library's is %.4f", ours, theirs)
	}
}

func TestEncode_AnySizeIsReadBackByTheStrictDecoder(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for n := range 400 {
		size := image.Pt(1+random.IntN(70), 1+random.IntN(70))
		m := picture(random, n%2 == 0, size)
		file, err := jpegwrite.Encode(m, 1+random.IntN(100))
		if err != nil {
			t.Fatal(err)
		}
		photo, err := jpegscan.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := photo.Quarter(context.Background()); err != nil {
			t.Errorf("quarter of a %T of %v: got %v, want no error", m, size, err)
		}
		if got := decode(t, file); got.Bounds().Size() != size || got.ColorModel() != m.ColorModel() {
			t.Errorf("%T of %v became %T of %v", m, size, got, got.Bounds())
		}
	}
}

func TestEncode_AnEdgeWithinABlockKeepsItsColour(t *testing.T) {
	m := image.NewYCbCr(image.Rect(0, 0, 17, 9), image.YCbCrSubsampleRatio420)
	for i := range m.Y {
		m.Y[i] = 200
	}
	for i := range m.Cb {
		m.Cb[i], m.Cr[i] = 90, 170
	}
	file, err := jpegwrite.Encode(m, 90)
	if err != nil {
		t.Fatal(err)
	}
	if n := noise(decode(t, file), m); n > 1 {
		t.Errorf("noise of %.2f in a picture of one colour", n)
	}
}

func TestEncode_OtherKindsOfImageAreRefused(t *testing.T) {
	rect := image.Rect(0, 0, 8, 8)
	for _, m := range []image.Image{image.NewRGBA(rect), image.NewYCbCr(rect, image.YCbCrSubsampleRatio444)} {
		if _, err := jpegwrite.Encode(m, 85); err == nil {
			t.Errorf("%T was taken", m)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	m := picture(rand.New(rand.NewPCG(5, 7)), false, image.Pt(512, 384))
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			if _, err := jpegwrite.Encode(m, 85); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the standard library", func(b *testing.B) {
		for b.Loop() {
			if err := jpeg.Encode(new(bytes.Buffer), m, &jpeg.Options{Quality: 85}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
