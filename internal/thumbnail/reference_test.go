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
	stepX, stepY := float64(size.X)/float64(w), float64(size.Y)/float64(h)
	for i, pix := range [][]byte{m.Y, m.Cb, m.Cr} {
		fromW, fromH, stride, toW, toH := size.X, size.Y, m.YStride, w, h
		if i > 0 {
			fromW, fromH, stride, toW, toH = half(size.X), half(size.Y), m.CStride, half(w), half(h)
		}
		across := reduce(fromW, toW, stepX, fromH, func(line, at int) float64 { return float64(pix[line*stride+at]) })
		down := reduce(fromH, toH, stepY, toW, func(line, at int) float64 { return across[at*toW+line] })
		r.planes[i] = make([]float64, toW*toH)
		for y := range toH {
			for x := range toW {
				r.planes[i][y*toW+x] = down[x*toH+y]
			}
		}
	}
	return r
}

// reduce filters lines of from values to lines of to.
func reduce(from, to int, step float64, lines int, value func(line, at int) float64) []float64 {
	out := make([]float64, to*lines)
	scale := max(1, step)
	for i := range to {
		center := (float64(i)+0.5)*step - 0.5
		weights, sum := map[int]float64{}, 0.0
		for j := math.Ceil(center - 3*scale); j <= center+3*scale; j++ {
			w := sinc((j-center)/scale) * sinc((j-center)/scale/3)
			weights[min(max(int(j), 0), from-1)] += w
			sum += w
		}
		for at, w := range weights {
			for line := range lines {
				out[line*to+i] += w / sum * value(line, at)
			}
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
