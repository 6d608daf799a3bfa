package jpegscan_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tagma/internal/photo/jpegscan"
)

func TestQuarter_AScanThatIsMissingIsFound(t *testing.T) {
	for _, name := range kindNames {
		kind := kinds[name]
		file := photograph(t, kind)
		if len(file.scans) == 1 {
			continue
		}
		for i, at := range file.scans {
			next := file.end
			if i+1 < len(file.scans) {
				next = file.scans[i+1]
			}
			refused(t, slices.Delete(slices.Clone(file.data), at, next), "%s, without scan %d", name, i+1)
			refused(t, file.data[:next-1], "%s, cut off in scan %d", name, i+1)
			if i+1 < len(file.scans) {
				refused(t, file.data[:next], "%s, cut off after scan %d", name, i+1)
			}
		}
	}
}

func TestQuarter_AScanThatMakesNoSenseIsRefused(t *testing.T) {
	file, one := photograph(t, kinds["bit by bit"]), photograph(t, kinds["bit by bit, grey"])
	sequential := photograph(t, kinds["a scan to each"])
	// The header of the second scan of one component is 1, its id, its tables, the
	// band and the bits.
	change := func(f written, scan, at int, to ...byte) []byte {
		data := slices.Clone(f.data)
		copy(data[f.scans[scan]+at:], to)
		return data
	}
	for name, data := range map[string][]byte{
		"a component that is not in the frame":     change(file, 1, 5, 9),
		"a component twice in a scan":              change(file, 0, 7, 1),
		"a component twice in the scans":           change(sequential, 1, 5, 1),
		"table 4":                                  change(file, 1, 6, 4),
		"a table that is not there":                change(file, 1, 6, 3),
		"coefficient 64":                           change(one, 1, 8, 64),
		"a band backwards":                         change(one, 1, 7, 6),
		"DC and AC at once":                        change(one, 1, 7, 0),
		"AC of three components":                   change(file, 0, 11, 1, 5),
		"bits 3 to 1":                              change(one, 3, 9, 3<<4|1),
		"bit 14":                                   change(one, 1, 9, 14),
		"a header of no components":                change(one, 1, 4, 0),
		"a further bit without the first":          change(one, 1, 9, 3<<4|2),
		"the first bits after others":              change(one, 3, 9, 1),
		"a second frame":                           slices.Insert(slices.Clone(one.data), one.scans[2], one.data[one.frame:one.frame+13]...),
		"a marker that no reader knows, in scans":  slices.Insert(slices.Clone(one.data), one.scans[2], 0xFF, 0xF1, 0, 2),
		"data between two scans":                   slices.Insert(slices.Clone(one.data), one.scans[2], bytes.Repeat([]byte{0x7F}, 17)...),
		"a DNL of another height in the scans":     slices.Insert(slices.Clone(one.data), one.scans[1], 0xFF, 0xDC, 0, 4, 0, 16),
		"an interval of restarts from scan 3":      slices.Insert(slices.Clone(file.data), file.scans[2], 0xFF, 0xDD, 0, 4, 0, 7),
		"no quantization table":                    change(written{data: one.data, scans: []int{bytes.Index(one.data, []byte{0xFF, 0xDB})}}, 0, 1, 0xFE),
		"a progressive file without Huffman codes": withoutTables(one.data),
	} {
		refused(t, data, "%s", name)
	}
}

func TestQuarter_AWholeProgressiveFileIsTakenWithWarnings(t *testing.T) {
	file := photograph(t, kinds["bit by bit"])
	insert := func(at int, what ...byte) []byte { return slices.Insert(slices.Clone(file.data), at, what...) }
	padded := slices.Clone(file.data)
	padded[file.lastFillByte] = padded[file.lastFillByte] >> file.fillBits << file.fillBits
	if file.fillBits == 0 {
		t.Fatal("the picture does not end within a byte, which the test needs")
	}
	for name, c := range map[string]struct {
		data []byte
		want []jpegscan.Warning
	}{
		"as written":                        {file.data, nil},
		"padding of zeros":                  {padded, []jpegscan.Warning{jpegscan.Padding}},
		"bytes before another scan":         {insert(file.scans[4], 0x12, 0x34), []jpegscan.Warning{jpegscan.SpareBytes}},
		"a byte before EOI":                 {insert(file.end, 0x7F), []jpegscan.Warning{jpegscan.SpareBytes}},
		"no EOI":                            {file.data[:file.end], []jpegscan.Warning{jpegscan.NoEOI}},
		"a DNL that agrees":                 {insert(file.scans[1], 0xFF, 0xDC, 0, 4, 0, 240), nil},
		"a comment between scans":           {insert(file.scans[3], 0xFF, 0xFE, 0, 3, 'x'), nil},
		"fill bytes between scans":          {insert(file.scans[3], 0xFF, 0xFF), nil},
		"a quantization table after a scan": {insert(file.scans[1], quantOf(file.data)...), nil},
	} {
		want, err := read(file.data)
		if err != nil {
			t.Fatal(err)
		}
		got, warnings, err := readMarked(c.data)
		if err != nil || !slices.Equal(warnings, c.want) {
			t.Errorf("%s: got the warnings %q and %v, want %q", name, warnings, err, c.want)
		} else if !bytes.Equal(luminance(got), luminance(want)) {
			t.Errorf("%s: the pixels differ from the file as written", name)
		}
	}
}

// quantOf returns a quantization table in the place of that of a file, of ones. A component
// has the table that was in force at its first scan.
func quantOf(data []byte) []byte {
	at := bytes.Index(data, []byte{0xFF, 0xDB})
	table := slices.Clone(data[at : at+2+67])
	for i := range 64 {
		table[5+i] = 1
	}
	return table
}

// Zero bits in a scan of the lowest bits of DC are an even surface, or lost.
func TestQuarter_ZerosOfAnEvenPictureAreNoHole(t *testing.T) {
	for name, picture := range map[string]pixels{
		"black":    func(int, int, int) float64 { return 0 },
		"grey":     func(int, int, int) float64 { return 16 },
		"a board":  func(_, x, y int) float64 { return float64((x/8 + y/8) % 2 * 255) },
		"an image": func(_, x, y int) float64 { return float64((x/16+y/24)%7) * 16 },
	} {
		for _, style := range []string{"progressive", "refined"} {
			s := sketch{width: 480, height: 360, components: 1, style: style}
			if _, err := read(s.write(t, picture).data); err != nil {
				t.Errorf("%s, %s: got %v, want no error", name, style, err)
			}
		}
	}
	s := sketch{width: 800, height: 600, components: 1, style: "refined"}
	file := s.write(t, scenery(rand.New(rand.NewPCG(27, 28)), 200))
	dc := file.scans[4] + 10 // the second scan of DC
	if file.data[dc-3] != 0 || file.data[dc-1] != 0x10 {
		t.Fatalf("the header of scan 5 is % X, want DC, bit 0", file.data[dc-10:dc])
	}
	for at := dc; at+160 < file.scans[5]; at += 300 {
		data := slices.Clone(file.data)
		clear(data[at : at+160])
		refused(t, data, "160 zeros at %d of the lowest bits of DC", at-dc)
	}
}

func TestOpen_AKindThatIsNotReadIsNamed(t *testing.T) {
	random := rand.New(rand.NewPCG(29, 30))
	file := sketch{width: 40, height: 30, components: 3}.write(t, scenery(random, 9))
	four := sketch{width: 40, height: 30, components: 4}.write(t, scenery(random, 9))
	change := func(at int, to ...byte) []byte {
		data := slices.Clone(file.data)
		copy(data[file.frame+at:], to)
		return data
	}
	insert := func(what string) []byte {
		return slices.Insert(slices.Clone(file.data), file.frame, []byte(what)...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"SOF3":         {change(1, 0xC3), "lossless coding is not read"},
		"SOF5":         {change(1, 0xC5), "hierarchical coding is not read"},
		"SOF9":         {change(1, 0xC9), "arithmetic coding is not read"},
		"SOF10":        {change(1, 0xCA), "arithmetic coding is not read"},
		"SOF15":        {change(1, 0xCF), "hierarchical coding is not read"},
		"DAC":          {insert("\xFF\xCC\x00\x04\x00\x10"), "arithmetic coding is not read"},
		"DHP":          {insert("\xFF\xDE\x00\x0B\x08\x00\x1E\x00\x28\x01\x01\x11\x00"), "hierarchical coding is not read"},
		"SOF55":        {change(1, 0xF7), "JPEG-LS is not read"},
		"12 bits":      {change(4, 12), "12 bits a sample is not read"},
		"2 components": {slices.Concat(file.data[:file.frame], []byte("\xFF\xC0\x00\x0E\x08\x00\x1E\x00\x28\x02\x01\x11\x00\x02\x11\x00"), file.data[file.frame+19:]), "2 components is not read"},
		"CMYK":         {four.data, "without Adobe's marker"},
		"no height":    {change(5, 0, 0), "DNL"},
	} {
		_, err := jpegscan.Open(c.data)
		if _, ok := errors.AsType[jpegscan.Unsupported](err); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an Unsupported with %q", name, err, c.want)
		}
	}
}

// With the tables of K.3, zeros are blocks of −1. The file has as many as the size
// asks for, so that only the zeros themselves tell.
func TestQuarter_AHoleThatIsAsManyBlocksAsWereLostIsRefused(t *testing.T) {
	s := sketch{width: 64, height: 64, components: 1}
	file := s.write(t, scenery(rand.New(rand.NewPCG(31, 32)), 20))
	zeros := make([]byte, 64*(2+63*3)/8) // DC in 2 bits, 63 coefficients in 3
	refused(t, slices.Concat(file.data[:file.scan], zeros, file.data[file.end:]), "zeros alone")

	s.style = "progressive"
	file = s.write(t, scenery(rand.New(rand.NewPCG(31, 32)), 20))
	const header = 10
	zeros = make([]byte, 64*63*3/8)
	refused(t, slices.Concat(file.data[:file.scans[1]+header], zeros, file.data[file.end:]), "zeros alone in a scan of AC")
}

// A run of empty blocks ends at a restart marker, whatever its length.
func TestQuarter_ARunOfEmptyBlocksEndsAtARestart(t *testing.T) {
	s := sketch{width: 32, height: 32, components: 1, style: "progressive", interval: 8}
	file := s.write(t, func(int, int, int) float64 { return 90 })
	table := slices.Concat([]byte{0xFF, 0xC4, 0, 20, 0x10, 1}, make([]byte, 15), []byte{0x40}) // 16 blocks and 4 bits
	header := file.data[file.scans[1] : file.scans[1]+10]
	run := []byte{0b0_0000_111}
	data := slices.Concat(file.data[:file.scans[1]], table, header, run, []byte{0xFF, 0xD0}, run, file.data[file.end:])
	if _, warnings, err := readMarked(data); err != nil || warnings != nil {
		t.Errorf("two runs of 16 in intervals of 8: got the warnings %q and %v, want none", warnings, err)
	}
}
