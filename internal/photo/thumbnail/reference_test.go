package thumbnail_test

import (
	"image"
	"math"
)

// reference is a picture in floating point, as exact as can be.
type reference struct {
	width, height int
	planes        [3][]float64 // the last two of half the size
}

// lanczos reduces a picture with Lanczos' kernel of three lobes, plane by plane.
func lanczos(m *image.YCbCr, w, h int) reference {
	size := m.Bounds().Size()
	half := func(n int) int { return (n + 1) / 2 }
	r := reference{width: w, height: h}
	for i, pix := range [][]byte{m.Y, m.Cb, m.Cr} {
		fromW, fromH, stride, toW, toH := size.X, size.Y, m.YStride, w, h
		if i > 0 {
			fromW, fromH, stride, toW, toH = half(size.X), half(size.Y), m.CStride, half(w), half(h)
		}
		exact := make([]float64, 0, fromW*fromH)
		for y := range fromH {
			for _, v := range pix[y*stride:][:fromW] {
				exact = append(exact, float64(v))
			}
		}
		columns := reduce(exact, fromW, toW, float64(size.X)/float64(w))
		r.planes[i] = reduce(columns, fromH, toH, float64(size.Y)/float64(h))
	}
	return r
}

// reduce makes rows of from values into rows of to values, and gives columns.
func reduce(in []float64, from, to int, step float64) []float64 {
	out := make([]float64, 0, len(in)/from*to)
	scale := max(1, step)
	for i := range to {
		center := (float64(i)+0.5)*step - 0.5
		weights, sum := make([]float64, from), 0.0
		first, last := from, 0
		for j := math.Ceil(center - 3*scale); j <= center+3*scale; j++ {
			at := min(max(int(j), 0), from-1)
			w := sinc((j-center)/scale) * sinc((j-center)/scale/3)
			weights[at] += w
			sum += w
			first, last = min(first, at), max(last, at)
		}
		for row := in; len(row) > 0; row = row[from:] {
			v := 0.0
			for at := first; at <= last; at++ {
				v += weights[at] / sum * row[at]
			}
			out = append(out, v)
		}
	}
	return out
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// image is r in whole numbers.
func (r reference) image() *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, r.width, r.height), image.YCbCrSubsampleRatio420)
	for i, pix := range [][]byte{m.Y, m.Cb, m.Cr} {
		for at, v := range r.planes[i] {
			pix[at] = byte(math.Round(min(max(v, 0), 255)))
		}
	}
	return m
}

// psnr is how near a plane of m is to r, in dB.
func (r reference) psnr(m *image.YCbCr, plane int) float64 {
	pix, stride, width := m.Y, m.YStride, r.width
	if plane > 0 {
		pix, stride, width = [][]byte{m.Cb, m.Cr}[plane-1], m.CStride, (r.width+1)/2
	}
	sum := 0.0
	for i, v := range r.planes[plane] {
		d := v - float64(pix[i/width*stride+i%width])
		sum += d * d
	}
	return 10 * math.Log10(255*255*float64(len(r.planes[plane]))/sum)
}
