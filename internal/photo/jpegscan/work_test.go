package jpegscan_test

import (
	"bytes"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"testing"

	"tagma/internal/photo/jpegscan"
)

// A marker that image/jpeg does not know ends its reading. Other decoders stop
// at most of them too.
func TestOpen_AHeaderWithAMarkerThatNoReaderKnowsIsRefused(t *testing.T) {
	for _, s := range []sketch{{components: 3, h: 2, v: 2}, {components: 3, style: "progressive"}} {
		s.width, s.height = 40, 30
		file := s.write(t, scenery(rand.New(rand.NewPCG(17, 18)), 9))
		refused, accepted := 0, 0
		for marker := 1; marker < 0xFF; marker++ {
			switch marker {
			case 0xC0, 0xC1, 0xC2, 0xC4, 0xD9, 0xDA, 0xDB, 0xDD:
				continue // their bodies say more than that they are there
			}
			data := slices.Insert(slices.Clone(file.data), file.frame, 0xFF, byte(marker), 0, 4, 1, 2)
			_, want := jpeg.Decode(bytes.NewReader(data))
			_, got := jpegscan.Open(data)
			if (got == nil) != (want == nil) {
				t.Errorf("%q with the marker FF%02X: Open = %v, and image/jpeg says %v", s.style, marker, got, want)
			}
			if got == nil {
				accepted++
			} else {
				refused++
			}
		}
		if accepted != 16+1+8 { // APP0 to APP15, COM, RST0 to RST7
			t.Errorf("%q: %d markers are accepted and %d refused, want 25 accepted", s.style, accepted, refused)
		}
	}
}

func TestOpen_AFrameThatNoReaderReadsIsRefused(t *testing.T) {
	file := sketch{width: 40, height: 30, components: 3}.write(t, scenery(rand.New(rand.NewPCG(17, 18)), 9))
	four := sketch{width: 40, height: 30, components: 4}.write(t, scenery(rand.New(rand.NewPCG(17, 18)), 9))
	change := func(at int, to ...byte) []byte {
		data := slices.Clone(file.data)
		copy(data[file.frame+at:], to)
		return data
	}
	for name, data := range map[string][]byte{
		"arithmetic code":                   change(1, 0xC9),
		"lossless":                          change(1, 0xC3),
		"12 bits":                           change(4, 12),
		"sampling factors of 0":             change(11, 0),
		"sampling factors of 5":             change(11, 0x51),
		"two components of one id":          change(13, 1),
		"four components of unknown colour": four.data,
		"a short segment":                   slices.Insert(slices.Clone(file.data), file.frame, 0xFF, 0xE0, 0, 1),
		"a restart interval of 3 bytes":     slices.Insert(slices.Clone(file.data), file.frame, 0xFF, 0xDD, 0, 5, 0, 0, 0),
		"a Huffman table without codes":     slices.Insert(slices.Clone(file.data), file.frame, append([]byte{0xFF, 0xC4, 0, 19, 0x10}, make([]byte, 16)...)...),
	} {
		if _, err := jpeg.Decode(bytes.NewReader(data)); err == nil {
			t.Errorf("%s: image/jpeg reads the file", name)
		}
		if photo, err := jpegscan.Open(data); err == nil {
			t.Errorf("%s: Open = %d × %d, want an error", name, photo.Width, photo.Height)
		}
	}
}

func TestWork_CountsTheScansAndTheirBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(19, 20))
	thumbnail := []byte("\xFF\xE1\x00\x0A\xFF\xDA\xFF\xDA\xFF\xDA\xFF\xD9")
	// 40 × 30 pixels are 5 × 4 blocks, and 3 × 2 MCUs of 16 × 16 pixels.
	for name, c := range map[string]struct {
		sketch
		want           jpegscan.Work
		whole, quarter int64 // bytes
	}{
		"ordinary":             {sketch{components: 3, h: 2, v: 2}, jpegscan.Work{Scans: 1, Blocks: 36, Picture: 36}, 36 * 64, 36 * 4},
		"grey, 2 × 2 of none":  {sketch{components: 1, h: 2, v: 2}, jpegscan.Work{Scans: 1, Blocks: 20, Picture: 20}, 20 * 64, 20 * 4},
		"a scan to each":       {sketch{components: 3, style: "scans"}, jpegscan.Work{Scans: 3, Blocks: 60, Picture: 60}, 60 * 64, 60 * 4},
		"progressive":          {sketch{components: 3, h: 2, v: 2, style: "progressive"}, jpegscan.Work{Scans: 4, Blocks: 72, Picture: 36}, 36 * 64 * 3, 36 * (4 + 128)},
		"with restart markers": {sketch{components: 3, style: "progressive", interval: 2}, jpegscan.Work{Scans: 4, Blocks: 120, Picture: 60}, 60 * 64 * 3, 60 * (4 + 128)},
		"with a thumbnail":     {sketch{components: 3, style: "scans", before: thumbnail}, jpegscan.Work{Scans: 3, Blocks: 60, Picture: 60}, 60 * 64, 60 * 4},
		"unlike sampling":      {sketch{components: 3, sampling: [][2]int{{2, 2}, {1, 1}, {1, 2}}}, jpegscan.Work{Scans: 1, Blocks: 42, Picture: 42}, 42*64 + 3*40*30, 42*4 + 3*10*8},
		"RGB":                  {sketch{components: 3, before: adobe(0)}, jpegscan.Work{Scans: 1, Blocks: 60, Picture: 60}, 60*64 + 3*40*30, 60*4 + 3*10*8},
		"CMYK, progressive":    {sketch{components: 4, before: adobe(0), style: "progressive"}, jpegscan.Work{Scans: 5, Blocks: 160, Picture: 80}, 80*64*3 + 4*40*30, 80*(4+128) + 4*10*8},
	} {
		c.width, c.height = 40, 30
		photo, err := jpegscan.Open(c.write(t, scenery(random, 9)).data)
		if err != nil {
			t.Errorf("Open %s: got %v, want no error", name, err)
			continue
		}
		if got := photo.Work(); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
		if whole, quarter := photo.Bytes(true), photo.Bytes(false); whole != c.whole || quarter != c.quarter {
			t.Errorf("%s: got %d bytes for the whole and %d for a quarter, want %d and %d", name, whole, quarter, c.whole, c.quarter)
		}
	}
}
