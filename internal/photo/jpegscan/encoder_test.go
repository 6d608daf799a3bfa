package jpegscan_test

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
)

// sketch says what kind of JPEG to write. The standard library writes only one
// kind.
type sketch struct {
	width, height int
	components    int      // 1, 3, or 4
	h, v          int      // sampling of the first component, 1 where left out
	sampling      [][2]int // of each component, instead of h and v
	interval      int      // MCUs between restart markers
	coarse        float64
	wide          bool     // 16-bit quantization tables, extended sequential
	style         string   // "" for one scan, "scans" for one to each component, "progressive", or "refined" for bits one by one
	before        []byte   // segments before the frame
	tables        [][]byte // DC and AC, as in DHT; the standard ones where left out
}

// pixels is the value at x, y of a component, in pixels of the whole picture.
type pixels func(component, x, y int) float64

// written is a JPEG with the places that tests damage.
type written struct {
	height       int
	data         []byte
	frame        int   // where SOF begins
	scan         int   // where entropy-coded data begin
	scans        []int // where SOS stands
	markers      []int // where RSTn stand
	end          int   // where EOI stands
	fillBits     int   // how many ones stand before EOI
	lastFillByte int   // where
}

var zigzag = func() (order [64][2]int) { // u, v: across, down
	i := 0
	for sum := range 15 {
		for j := range sum + 1 {
			u, v := sum-j, j
			if sum%2 == 0 {
				u, v = v, u
			}
			if u < 8 && v < 8 {
				order[i] = [2]int{u, v}
				i++
			}
		}
	}
	return order
}()

var cosines = func() (c [8][8]float64) { // of frequency, of place
	for f := range 8 {
		for x := range 8 {
			c[f][x] = math.Cos(float64(2*x+1)*float64(f)*math.Pi/16) / 2
			if f == 0 {
				c[f][x] /= math.Sqrt2
			}
		}
	}
	return c
}()

// transform is the forward DCT: T.81, A.3.3.
func transform(in [8][8]float64) (out [8][8]float64) {
	var rows [8][8]float64
	for y := range 8 {
		for u := range 8 {
			for x := range 8 {
				rows[y][u] += in[y][x] * cosines[u][x]
			}
		}
	}
	for v := range 8 {
		for u := range 8 {
			for y := range 8 {
				out[v][u] += rows[y][u] * cosines[v][y]
			}
		}
	}
	return out
}

// usual gives the tables of annex K.3, DC and AC, as the standard library
// writes them.
func usual(t testing.TB) [][]byte {
	t.Helper()
	var out bytes.Buffer
	if err := jpeg.Encode(&out, image.NewGray(image.Rect(0, 0, 8, 8)), nil); err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(out.Bytes(), []byte{0xFF, 0xC4})
	body = body[2:]
	tables := make([][]byte, 2)
	for i := range tables {
		size := 16
		for _, n := range body[1:17] {
			size += int(n)
		}
		tables[i], body = body[1:1+size], body[1+size:]
	}
	return tables
}

// code is a Huffman code by symbol: its bits and their number.
type code map[byte][2]int

func codes(table []byte) code {
	c, next, i := code{}, 0, 16
	for length := 1; length <= 16; length++ {
		for range table[length-1] {
			c[table[i]] = [2]int{next, length}
			next++
			i++
		}
		next <<= 1
	}
	return c
}

type bitWriter struct {
	out  []byte
	acc  uint64
	bits int
}

func (w *bitWriter) put(value, bits int) {
	w.acc = w.acc<<bits | uint64(value)
	for w.bits += bits; w.bits >= 8; w.bits -= 8 {
		b := byte(w.acc >> (w.bits - 8))
		if w.out = append(w.out, b); b == 0xFF {
			w.out = append(w.out, 0)
		}
	}
}

func (w *bitWriter) flush() (ones int) {
	if w.bits > 0 {
		ones = 8 - w.bits
		w.put(1<<ones-1, ones)
	}
	return ones
}

// coefficient writes a code and the value behind it: T.81, F.1.2.
func (w *bitWriter) coefficient(c code, run, value int) {
	size := 0
	for m := max(value, -value); m > 0; m >>= 1 {
		size++
	}
	symbol, ok := c[byte(run<<4|size)]
	if !ok {
		panic("the test's table lacks a symbol")
	}
	w.put(symbol[0], symbol[1])
	if value < 0 {
		value += 1<<size - 1
	}
	w.put(value, size)
}

// refined writes the bit low of coefficients: T.81, figure G.7, without runs of empty blocks.
func (w *bitWriter) refined(c code, band []int, low int) {
	size := func(k int) int { return max(band[k], -band[k]) >> low }
	from, run := 0, 0 // the first coefficient that is not written, and the zeros since
	// correct writes a bit of each coefficient that was not zero, up to a number of zeros.
	correct := func(to, zeros int) {
		for ; from < to && zeros > 0; from++ {
			if size(from) > 1 {
				w.put(size(from)&1, 1)
			} else {
				zeros--
			}
		}
	}
	for k, value := range band {
		if size(k) == 0 {
			run++
		}
		if size(k) != 1 {
			continue
		}
		for ; run > 15; run -= 16 {
			w.coefficient(c, 15, 0)
			correct(k, 16)
		}
		symbol, sign := c[byte(run<<4|1)], 0
		if value > 0 {
			sign = 1
		}
		w.put(symbol[0]<<1|sign, symbol[1]+1)
		correct(k, 64)
		from, run = k+1, 0
	}
	if from < len(band) {
		w.coefficient(c, 0, 0)
		correct(len(band), 64)
	}
}

// ac writes the coefficients from 1, or those of a band.
func (w *bitWriter) ac(c code, band []int) {
	run := 0
	for _, value := range band {
		if value == 0 {
			run++
			continue
		}
		for ; run > 15; run -= 16 {
			w.coefficient(c, 15, 0)
		}
		w.coefficient(c, run, value)
		run = 0
	}
	if run > 0 {
		w.coefficient(c, 0, 0)
	}
}

// write encodes the picture.
func (s sketch) write(t testing.TB, picture pixels) written {
	t.Helper()
	s.h, s.v, s.coarse = max(s.h, 1), max(s.v, 1), max(s.coarse, 1)
	if s.sampling == nil {
		s.sampling = [][2]int{{s.h, s.v}, {1, 1}, {1, 1}, {1, 1}}
	}
	for _, factors := range s.sampling { // the size refers to the largest
		s.h, s.v = max(s.h, factors[0]), max(s.v, factors[1])
	}
	if s.tables == nil {
		s.tables = usual(t)
	}
	segment := func(marker byte, body ...byte) []byte {
		head := binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(len(body)+2))
		return append(head, body...)
	}
	var quant [64]int
	table := []byte{0}
	for i, at := range zigzag {
		quant[i] = int(math.Ceil(s.coarse * float64(1+at[0]+at[1])))
		if s.wide {
			table[0] = 1 << 4
			table = binary.BigEndian.AppendUint16(table, uint16(quant[i]))
		} else {
			table = append(table, byte(min(quant[i], 255)))
			quant[i] = min(quant[i], 255)
		}
	}
	w := &bitWriter{out: append([]byte{0xFF, 0xD8}, s.before...)}
	w.out = append(w.out, segment(0xDB, table...)...)
	for i, table := range s.tables {
		w.out = append(w.out, segment(0xC4, append([]byte{byte(i << 4)}, table...)...)...)
	}
	if s.interval > 0 {
		w.out = append(w.out, segment(0xDD, byte(s.interval>>8), byte(s.interval))...)
	}

	done := written{height: s.height, frame: len(w.out)}
	frame := []byte{8, byte(s.height >> 8), byte(s.height), byte(s.width >> 8), byte(s.width), byte(s.components)}
	sampling := func(c int) (h, v int) { return s.sampling[c][0], s.sampling[c][1] }
	for c := range s.components {
		h, v := sampling(c)
		frame = append(frame, byte(c+1), byte(h<<4|v), 0)
	}
	marker := byte(0xC0)
	switch {
	case s.style == "progressive", s.style == "refined":
		marker = 0xC2
	case s.wide:
		marker = 0xC1
	}
	w.out = append(w.out, segment(marker, frame...)...)

	blocks := map[[3]int]*[64]int{}
	block := func(c, bx, by int) *[64]int {
		if b := blocks[[3]int{c, bx, by}]; b != nil {
			return b
		}
		h, v := sampling(c)
		var in [8][8]float64
		for y := range 8 {
			for x := range 8 {
				px := min((bx*8+x)*s.h/h, s.width-1)
				py := min((by*8+y)*s.v/v, s.height-1)
				in[y][x] = math.Round(min(max(picture(c, px, py), 0), 255)) - 128
			}
		}
		out := transform(in)
		var b [64]int
		for i, at := range zigzag {
			b[i] = int(math.Round(out[at[1]][at[0]] / float64(quant[i])))
		}
		blocks[[3]int{c, bx, by}] = &b
		return &b
	}
	dc, ac := codes(s.tables[0]), codes(s.tables[1])
	// The scan has the bits from high − 1 down to low, or all down to low if high is 0.
	scanOf := func(components []int, from, to, high, low int) {
		head := []byte{byte(len(components))}
		for _, c := range components {
			head = append(head, byte(c+1), 0)
		}
		done.scans = append(done.scans, len(w.out))
		w.out = append(w.out, segment(0xDA, append(head, byte(from), byte(to), byte(high<<4|low))...)...)
		if done.scan == 0 {
			done.scan = len(w.out)
		}
		last := map[int]int{}
		emit := func(c, bx, by int) {
			b := *block(c, bx, by)
			switch {
			case high > 0 && from == 0:
				w.put(b[0]>>low&1, 1)
				return
			case high > 0:
				w.refined(ac, b[from:to+1], low)
				return
			}
			if from == 0 {
				w.coefficient(dc, 0, b[0]>>low-last[c])
				last[c] = b[0] >> low
			}
			if to > 0 {
				for k := range b {
					b[k] = b[k] / (1 << low) // towards zero, other than DC (G.1.2.1, G.1.2.2)
				}
				w.ac(ac, b[max(from, 1):to+1])
			}
		}
		ceil := func(a, b int) int { return (a + b - 1) / b }
		cols, rows := ceil(s.width, 8*s.h), ceil(s.height, 8*s.v)
		if len(components) == 1 {
			h, v := sampling(components[0])
			cols, rows = ceil(ceil(s.width*h, s.h), 8), ceil(ceil(s.height*v, s.v), 8)
		}
		for mcu := range cols * rows {
			if s.interval > 0 && mcu > 0 && mcu%s.interval == 0 {
				w.flush()
				clear(last)
				done.markers = append(done.markers, len(w.out))
				w.out = append(w.out, 0xFF, 0xD0+byte((mcu/s.interval-1)&7))
			}
			x, y := mcu%cols, mcu/cols
			if len(components) == 1 {
				emit(components[0], x, y)
				continue
			}
			for _, c := range components {
				h, v := sampling(c)
				for i := range h * v {
					emit(c, x*h+i%h, y*v+i/h)
				}
			}
		}
		done.fillBits = w.flush()
		done.lastFillByte = len(w.out) - 1
	}
	scan := func(components []int, from, to int) { scanOf(components, from, to, 0, 0) }
	all := []int{0, 1, 2, 3}[:s.components]
	switch s.style {
	case "":
		scan(all, 0, 63)
	case "scans":
		for _, c := range all {
			scan([]int{c}, 0, 63)
		}
	case "progressive":
		scan(all, 0, 0)
		for _, c := range all {
			scan([]int{c}, 1, 63)
		}
	case "refined": // as libjpeg writes, but for the runs of empty blocks
		scanOf(all, 0, 0, 0, 1)
		for _, c := range all {
			scanOf([]int{c}, 1, 5, 0, 2)
			scanOf([]int{c}, 6, 63, 0, 2)
			scanOf([]int{c}, 1, 63, 2, 1)
		}
		scanOf(all, 0, 0, 1, 0)
		for _, c := range all {
			scanOf([]int{c}, 1, 63, 1, 0)
		}
	}
	done.end = len(w.out)
	done.data = append(w.out, 0xFF, 0xD9)
	return done
}

// scenery is a picture of waves, with some noise on it.
func scenery(random *rand.Rand, noise float64) pixels {
	type wave struct{ fx, fy, phase, height float64 }
	waves := make([]wave, 12)
	for i := range waves {
		waves[i] = wave{random.NormFloat64() / 6, random.NormFloat64() / 6, random.Float64() * 7, random.Float64() * 15}
	}
	seed := random.Uint64()
	return func(c, x, y int) float64 {
		v := 128.0
		for _, w := range waves[c*3 : c*3+3] {
			v += w.height * math.Sin(float64(x)*w.fx+float64(y)*w.fy+w.phase)
		}
		at := (seed ^ uint64(c)<<40 ^ uint64(x)<<20 ^ uint64(y)) * 0x9E3779B97F4A7C15
		at = (at ^ at>>29) * 0xBF58476D1CE4E5B9
		return v + noise*(float64(at>>11)/(1<<53)-0.5)
	}
}
