package thumbnail

import (
	"math"

	"tagma/internal/photo/internal/swar"
)

// lobes is the reach of the Lanczos kernel, in pixels of the coarser grid.
const lobes = 3

func lanczos(x float64) float64 {
	if x == 0 {
		return 1
	}
	x *= math.Pi / lobes
	sin := math.Sin(x)
	return (3 - 4*sin*sin) * sin * sin / (lobes * x * x) // sin 3x = (3 - 4 sin² x) sin x
}

// Weights are fixed-point numbers in units of 1/unit.
const (
	weightBits = 14
	unit       = 1 << weightBits
)

// filter holds the source pixels and their weights for each pixel of a resized
// row or column.
type filter struct {
	taps    int     // source pixels per pixel, a multiple of 4
	first   []int   // index of the first source pixel; the last may lie outside the picture
	weights []int64 // taps weights per pixel, with the sum unit, and 0 outside the picture
}

// newFilter returns the filter for n pixels, each covering step source pixels.
// Outside the picture the outermost pixel is repeated.
func newFilter(n, srcSize int, step float64) filter {
	scale := max(1, step)
	reach := lobes * scale
	taps := min(srcSize, int(math.Ceil(2*reach)))
	f := filter{taps: (taps + 3) &^ 3, first: make([]int, n)}
	f.weights = make([]int64, n*f.taps)
	exact := make([]float64, taps)
	for i := range n {
		center := (float64(i)+0.5)*step - 0.5
		first := int(math.Floor(center-reach)) + 1
		last := int(math.Ceil(center+reach)) - 1
		start := min(max(first, 0), srcSize-taps)
		clear(exact)
		sum := 0.0
		for j := first; j <= last; j++ {
			w := lanczos((float64(j) - center) / scale)
			exact[min(max(j-start, 0), taps-1)] += w
			sum += w
		}
		f.first[i] = start
		// Round the running sums, not the weights, to keep the total exact.
		weights, total, prev := f.weights[i*f.taps:], 0.0, int64(0)
		for t, w := range exact {
			total += w / sum * unit
			rounded := int64(math.Round(total))
			weights[t] = rounded - prev
			prev = rounded
		}
	}
	return f
}

// fractionBits is the number of fraction bits between the two filter passes.
const fractionBits = 4

// resize returns the pixels of the filtered plane. It filters two rows at once,
// and two columns at once: see package swar.
func (p plane) resize(horizontal, vertical filter) []byte {
	w, h := len(horizontal.first), len(vertical.first)
	n := (w + 1) / 2 // pairs of columns

	// The ring holds only as many filtered rows as are needed at once.
	ring := make([][]int64, vertical.taps+2)
	for i := range ring {
		ring[i] = make([]int64, n)
	}
	ringRow := func(y int) []int64 { return ring[y%len(ring)] }
	source, sums := make([]int64, p.width+horizontal.taps), make([]int64, n)
	rows := make([][]int64, vertical.taps)

	out := make([]byte, w*h)
	nextRow := 0 // number of filtered rows
	for y := range h {
		for ; nextRow < min(vertical.first[y]+vertical.taps, p.height); nextRow += 2 {
			p.twoRows(source[:p.width], nextRow)
			horizontal.rows(ringRow(nextRow), ringRow(nextRow+1), source)
		}
		for t := range rows {
			rows[t] = ringRow(vertical.first[y] + t)
		}
		vertical.columns(out[y*w:][:w], rows, sums, vertical.weights[y*vertical.taps:])
	}
	return out
}

// twoRows writes the pixels of row y and of the next row, if any, as pairs.
func (p plane) twoRows(out []int64, y int) {
	a := p.pix[y*p.stride:][:len(out)]
	b := p.pix[min(y+1, p.height-1)*p.stride:][:len(out)]
	for x := range out {
		out[x] = swar.Pack2(int64(a[x]), int64(b[x]))
	}
}

// rows filters two rows into pairs of columns.
func (f *filter) rows(a, b, pixels []int64) {
	const shift = weightBits - fractionBits
	for i, start := range f.first {
		sum := dot(f.weights[i*f.taps:][:f.taps], pixels[start:][:f.taps])
		sumA, sumB := swar.Unpack2(sum + swar.Pack2(1<<(shift-1), 1<<(shift-1)))
		sumA, sumB = sumA>>shift, sumB>>shift
		if i%2 == 0 {
			a[i/2], b[i/2] = sumA, sumB
		} else {
			a[i/2], b[i/2] = swar.Pack2(a[i/2], sumA), swar.Pack2(b[i/2], sumB)
		}
	}
}

// dot returns the sum of pairs times weights. The length of weights is a
// multiple of 4.
func dot(weights, pairs []int64) (sum int64) {
	for len(weights) >= 4 && len(pairs) >= 4 {
		w, v := (*[4]int64)(weights), (*[4]int64)(pairs)
		sum += w[0]*v[0] + w[1]*v[1] + w[2]*v[2] + w[3]*v[3]
		weights, pairs = weights[4:], pairs[4:]
	}
	return sum
}

// columns writes one row from as many rows as a pixel has weights.
func (f *filter) columns(out []byte, rows [][]int64, sums, w []int64) {
	const shift = weightBits + fractionBits
	for i := range sums {
		sums[i] = swar.Pack2(1<<(shift-1), 1<<(shift-1))
	}
	// Add four rows at a time, so that the sums are read and written less
	// often.
	n := len(sums)
	for ; len(rows) >= 4; w, rows = w[4:], rows[4:] {
		a, b, c, d := rows[0][:n], rows[1][:n], rows[2][:n], rows[3][:n]
		wa, wb, wc, wd := w[0], w[1], w[2], w[3]
		for i := range sums {
			sums[i] += wa*a[i] + wb*b[i] + wc*c[i] + wd*d[i]
		}
	}
	for i, sum := range sums {
		left, right := swar.Unpack2(sum)
		out[2*i] = clamp(left >> shift)
		if 2*i+1 < len(out) {
			out[2*i+1] = clamp(right >> shift)
		}
	}
}

func clamp(v int64) byte { return byte(min(max(v, 0), 255)) }
