package jpegscan

import (
	"context"
	"slices"
	"strconv"
)

// scan is one scan of a photograph.
type scan struct {
	start      int // offset of the entropy-coded data
	planes     []*plane
	mcu        []mcuBlock // the blocks of an MCU, in order (A.2.3)
	cols, rows int        // of MCUs
	mcuHeight  int        // in pixels
	mode       mode

	// The following fields are those of a progressive scan (G.1.1.1).
	from, to  int // the band of coefficients
	low       uint
	endOfBand int // blocks without further coefficients
	zeroBits  zeroBits
}

// mode is what a scan has of a block.
type mode byte

const (
	sequential mode = iota
	firstDC
	refinedDC
	firstAC
	refinedAC
)

// mcuBlock is a block of an MCU, by plane and position. H × v blocks of the plane are in each
// MCU.
type mcuBlock struct {
	plane      *plane
	x, y, h, v int
}

// openScan reads a scan header (B.2.3) and makes the Huffman decoders. Start is the offset of
// the entropy-coded data.
func (d *decoder) openScan(header []byte, start int) error {
	if len(header) < 6 || len(header) != 4+2*int(header[0]) {
		return damage("the file has a scan header that makes no sense")
	}
	d.scan = scan{start: start, to: 63}
	s, n, high := &d.scan, int(header[0]), 0
	if d.photo.frame == sof2 {
		var err error
		if high, err = s.readBand(header[1+2*n:], n); err != nil {
			return err
		}
	}
	tables := tables{}
	for i := range n {
		p, err := d.planeOf(header[1+2*i])
		if err != nil {
			return err
		}
		if slices.Contains(s.planes, p) || s.mode == sequential && p.progression.complete() {
			return damage("the file has the component %d twice in its scans", header[1+2*i])
		}
		if !p.progression.add(s.from, s.to, high, int(s.low)) {
			return damage("a scan of the file is missing or out of turn, before scan %d", d.scanNumber)
		}
		if err := d.chooseTables(p, header[2+2*i], tables); err != nil {
			return err
		}
		p.prevDC = 0
		s.planes = append(s.planes, p)
	}
	return d.layOut()
}

// readBand reads the last three bytes of the header of a progressive scan of n components: the
// band, and the bits from high − 1 down to low. High is 0 for the first scan of a band.
func (s *scan) readBand(band []byte, n int) (high int, err error) {
	s.from, s.to = int(band[0]), int(band[1])
	high, low := int(band[2]>>4), int(band[2]&15)
	if s.from > s.to || s.to > 63 || s.from == 0 && s.to > 0 || s.from > 0 && n > 1 || low > 13 || high > 0 && high != low+1 {
		return 0, damage("a scan of %d components has the coefficients %d to %d and the bits %d to %d, which makes no sense", n, s.from, s.to, high, low)
	}
	s.low = uint(low)
	switch {
	case s.from == 0 && high == 0:
		s.mode = firstDC
	case s.from == 0:
		s.mode = refinedDC
	case high == 0:
		s.mode = firstAC
	default:
		s.mode = refinedAC
	}
	return high, nil
}

// planeOf returns the plane of a component.
func (d *decoder) planeOf(id byte) (*plane, error) {
	for i, c := range d.photo.components {
		if c.id != id {
			continue
		}
		p := &d.planes[i]
		if p.scale == nil {
			if c.quant > 3 || d.photo.quant[c.quant] == nil {
				return nil, damage("a quantization table is missing")
			}
			p.scale = d.photo.quant[c.quant]
		}
		return p, nil
	}
	return nil, damage("a scan of the file has a component %d, which the frame has not", id)
}

// layOut sets the blocks and the size of the MCUs.
func (d *decoder) layOut() error {
	s := &d.scan
	hMax, vMax := d.photo.largest()
	if len(s.planes) == 1 { // an MCU is a block (A.2.2)
		p := s.planes[0]
		s.mcu = []mcuBlock{{p, 0, 0, 1, 1}}
		s.cols = ceil(ceil(d.photo.Width*p.h, hMax), 8)
		s.rows = ceil(ceil(d.photo.Height*p.v, vMax), 8)
		s.mcuHeight = 8 * vMax / p.v
		return nil
	}
	for _, p := range s.planes {
		for y := range p.v {
			for x := range p.h {
				s.mcu = append(s.mcu, mcuBlock{p, x, y, p.h, p.v})
			}
		}
	}
	if len(s.mcu) > maxBlocks {
		return damage("the file has %d blocks in an MCU, and at most %d make sense", len(s.mcu), maxBlocks)
	}
	s.cols, s.rows, s.mcuHeight = ceil(d.photo.Width, 8*hMax), ceil(d.photo.Height, 8*vMax), 8*vMax
	return nil
}

// maxBlocks is the largest number of blocks of an MCU (B.2.3).
const maxBlocks = 10

// tables holds the decoders that are made already, by the table and the meaning of a symbol.
type tables map[tableKey]*huffman

type tableKey struct {
	table   *byte
	meaning meaning
}

// decoderOf returns the decoder of a Huffman table of the file.
func (t tables) decoderOf(table []byte, m meaning) (*huffman, error) {
	if len(table) == 0 {
		return nil, damage("a Huffman table is missing")
	}
	key := tableKey{&table[0], m}
	if t[key] != nil {
		return t[key], nil
	}
	h, err := newHuffman(table, m)
	if err == nil {
		t[key] = h
	}
	return h, err
}

// chooseTables sets the decoders of a plane for the scan. Selector is that of the scan header.
func (d *decoder) chooseTables(p *plane, selector byte, made tables) (err error) {
	dc, ac := selector>>4, selector&15
	if dc > 3 || ac > 3 {
		return damage("a scan of the file has Huffman tables %d and %d: ids are 0 to 3", dc, ac)
	}
	if d.scan.mode == sequential || d.scan.mode == firstDC {
		if p.dc, err = made.decoderOf(d.photo.dc[dc], meaningDC); err != nil {
			return err
		}
	}
	switch d.scan.mode {
	case firstDC, refinedDC: // without AC
	case sequential:
		if p.ac, err = made.decoderOf(d.photo.ac[ac], meaningAC); err == nil && d.side == quarterSide && p.ac.skip == nil {
			p.ac.buildSkip()
		}
	case firstAC:
		p.ac, err = made.decoderOf(d.photo.ac[ac], meaningFirst)
	case refinedAC:
		p.ac, err = made.decoderOf(d.photo.ac[ac], meaningRefined)
	}
	return err
}

// readScan reads a scan with a header, and returns the offset of the marker after the scan.
func (d *decoder) readScan(ctx context.Context, header []byte, start int) (next int, err error) {
	d.scanNumber++
	if err := d.openScan(header, start); err != nil {
		return 0, err
	}
	s := &d.scan
	d.open(start)
	mcusToRestart, restarts := d.photo.interval, 0
	for row := range s.rows {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for col := range s.cols {
			if mcusToRestart == 0 && d.photo.interval > 0 {
				if err := d.restart(rst0+byte(restarts&7), row); err != nil {
					return 0, err
				}
				mcusToRestart = d.photo.interval
				restarts++
			}
			mcusToRestart--
			if err := d.readMCU(col, row); err != nil {
				return 0, err
			}
		}
	}
	if err := d.finish(s.rows, true); err != nil {
		return 0, err
	}
	if err := d.hole(); err != nil {
		return 0, err
	}
	// Some encoders write a restart marker after the last interval too.
	if d.photo.interval > 0 && mcusToRestart == 0 && d.marker == rst0+byte(restarts&7) {
		return d.src, nil
	}
	return d.dataEnd, nil
}

func (d *decoder) restart(marker byte, row int) error {
	if err := d.finish(row, false); err != nil {
		return err
	}
	if d.marker != marker {
		return d.damageAt(row, misplacedMarker)
	}
	for _, p := range d.scan.planes {
		p.prevDC = 0
	}
	d.scan.endOfBand = 0
	d.open(d.src)
	return nil
}

// damageAt returns a Damage with its kind and the pixel row at which it was detected. Damage
// is often detected after its place.
func (d *decoder) damageAt(row int, what string) error {
	at, of := min(row*d.scan.mcuHeight, d.photo.Height), ""
	if !d.photo.Ordinary {
		of = " of scan " + strconv.Itoa(d.scanNumber)
	}
	if d.closed && d.eof {
		return damage("the file is cut off: it ends at pixel row %d of %d%s", at, d.photo.Height, of)
	}
	return damage("the file is damaged, seen at pixel row %d of %d%s: %s", at, d.photo.Height, of, what)
}

func (d *decoder) readMCU(col, row int) error {
	d.ensureMCU()
	for i := range d.scan.mcu {
		b := &d.scan.mcu[i]
		x, y := col*b.h+b.x, row*b.v+b.y
		var isCode, isPossible bool
		switch {
		case d.scan.mode != sequential:
			isCode = d.readProgressive(b.plane, x, y)
			isPossible = true
		case d.side == quarterSide:
			var c block
			isCode = d.readBlock(b.plane.dc, b.plane.ac, &c)
			isPossible = isCode && b.plane.put(&c, x, y)
		default:
			var c wholeBlock
			isCode = d.readWhole(b.plane.dc, b.plane.ac, &c)
			isPossible = isCode && b.plane.putWhole(&c, x, y)
		}
		if !isCode {
			return d.damageAt(row, "there is a code that means nothing")
		}
		if !isPossible {
			return d.damageAt(row, "a block is brighter or darker than can be")
		}
	}
	if d.remainingBits() < 0 {
		return d.damageAt(row, "there are fewer blocks than the size asks for")
	}
	return nil
}
