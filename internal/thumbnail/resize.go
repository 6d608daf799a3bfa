package thumbnail

import "math"

// lobes is how far Lanczos' kernel reaches, in pixels of the coarser grid.
const lobes = 3

func lanczos(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi
	return lobes * math.Sin(x) * math.Sin(x/lobes) / (x * x)
}

// Weights are fixed-point numbers in units of 1/one.
const (
	weightBits = 14
	one        = 1 << weightBits
)

// filter holds, for each pixel of a row or column to come, which pixels it is
// made of.
type filter struct {
	taps    int     // pixels to one
	first   []int   // the first of them
	weights []int32 // taps to each, one in sum
}

// newFilter maps n pixels to come, each standing for step of those there are.
// What lies outside the picture counts as its outermost pixel.
func newFilter(n, from int, step float64) filter {
	scale := max(1, step)
	reach := lobes * scale
	taps := min(from, int(math.Ceil(2*reach)))
	f := filter{taps: taps, first: make([]int, n), weights: make([]int32, n*taps)}
	exact := make([]float64, taps)
	for i := range n {
		center := (float64(i)+0.5)*step - 0.5
		first := int(math.Floor(center-reach)) + 1
		last := int(math.Ceil(center+reach)) - 1
		at := min(max(first, 0), from-taps)
		clear(exact)
		sum := 0.0
		for j := first; j <= last; j++ {
			w := lanczos((float64(j) - center) / scale)
			exact[min(max(j-at, 0), taps-1)] += w
			sum += w
		}
		f.first[i] = at
		// Rounding the sums, not the weights, keeps their total exact.
		weights, total, before := f.weights[i*taps:][:taps], 0.0, int32(0)
		for t, w := range exact {
			total += w / sum * one
			upTo := int32(math.Round(total))
			weights[t] = upTo - before
			before = upTo
		}
	}
	return f
}

// resize gives w × h pixels, each of which stands for stepX × stepY of the
// plane's.
func (p plane) resize(w, h int, stepX, stepY float64) []byte {
	across, down := newFilter(w, p.width, stepX), newFilter(h, p.height, stepY)
	narrow := make([]byte, w*p.height)
	for y := range p.height {
		across.row(narrow[y*w:][:w], p.pix[y*p.stride:][:p.width])
	}
	out := make([]byte, w*h)
	sums := make([]int32, w)
	for y := range h {
		from := narrow[down.first[y]*w:]
		down.column(out[y*w:][:w], from, sums, down.weights[y*down.taps:][:down.taps])
	}
	return out
}

// row filters one row.
func (f *filter) row(out, in []byte) {
	for i, at := range f.first {
		w := f.weights[i*f.taps:][:f.taps]
		in := in[at:][:len(w)]
		sum := int32(one / 2)
		for len(w) >= 4 && len(in) >= 4 {
			sum += w[0]*int32(in[0]) + w[1]*int32(in[1]) + w[2]*int32(in[2]) + w[3]*int32(in[3])
			w, in = w[4:], in[4:]
		}
		for t, w := range w {
			sum += w * int32(in[t])
		}
		out[i] = clamp(sum >> weightBits)
	}
}

// column makes one row of the rows in, which are as long as out and as many as
// the weights.
func (f *filter) column(out, in []byte, sums, w []int32) {
	n := len(out)
	sums = sums[:n]
	for i := range sums {
		sums[i] = one / 2
	}
	// Four rows at a time, so that the sums are read and written less often.
	for ; len(w) >= 4; w, in = w[4:], in[4*n:] {
		a, b, c, d := in[:n], in[n:][:n], in[2*n:][:n], in[3*n:][:n]
		wa, wb, wc, wd := w[0], w[1], w[2], w[3]
		for i := range sums {
			sums[i] += wa*int32(a[i]) + wb*int32(b[i]) + wc*int32(c[i]) + wd*int32(d[i])
		}
	}
	for ; len(w) > 0; w, in = w[1:], in[n:] {
		for i, v := range in[:n] {
			sums[i] += w[0] * int32(v)
		}
	}
	for i, sum := range sums {
		out[i] = clamp(sum >> weightBits)
	}
}

func clamp(v int32) byte { return byte(min(max(v, 0), 255)) }
