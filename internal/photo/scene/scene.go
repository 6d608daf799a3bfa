// Package scene owns drawn photographs for tests and the demo: a yellow sticky card with
// insects. No part of the product depends on the drawings.
package scene

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"

	"tagma/internal/photo"
)

// Options determine the drawing. The same options return the same bytes.
type Options struct {
	Width, Height int // pixels; 320 and 240 if not set
	Seed          uint64
	Insects       int
	Grain         int // range of random brightness of a pixel, at most 200 levels; 0 means 8

	// The EXIF tags, written by photo.WithMetadata.
	Make, UserComment string
}

// JPEG returns the photograph, a baseline JPEG with 4:2:0 subsampling as of a trap.
func JPEG(o Options) []byte {
	o = o.withDefaults()
	canvas := image.NewRGBA(image.Rect(0, 0, o.Width, o.Height))
	grain := rand.New(rand.NewPCG(o.Seed, 0))
	for y := range o.Height {
		light := 200 + 40*y/o.Height // brighter towards the flash
		for x := range o.Width {
			shade := light + 8 - o.Grain + grain.IntN(o.Grain)
			canvas.SetRGBA(x, y, color.RGBA{uint8(shade), uint8(shade * 7 / 8), uint8(shade / 3), 255})
		}
	}
	for _, box := range o.Boxes() {
		drawInsect(canvas, box)
	}

	var b bytes.Buffer
	if err := jpeg.Encode(&b, canvas, &jpeg.Options{Quality: 85}); err != nil {
		panic("scene: " + err.Error()) // the size is impossible for a JPEG
	}
	return photo.WithMetadata(b.Bytes(), o.Make, o.UserComment)
}

// Boxes returns the boxes of the insects, in pixels from the upper left corner. An insect is
// an ellipse that fills its box.
func (o Options) Boxes() []image.Rectangle {
	o = o.withDefaults()
	place := rand.New(rand.NewPCG(o.Seed, 1))
	boxes := make([]image.Rectangle, o.Insects)
	for i := range boxes {
		w := min(o.Width, 3+place.IntN(1+o.Width/10))
		h := min(o.Height, 3+place.IntN(1+o.Height/10))
		x, y := place.IntN(1+o.Width-w), place.IntN(1+o.Height-h)
		boxes[i] = image.Rect(x, y, x+w, y+h)
	}
	return boxes
}

func (o Options) withDefaults() Options {
	if o.Width == 0 {
		o.Width = 320
	}
	if o.Height == 0 {
		o.Height = 240
	}
	if o.Grain == 0 {
		o.Grain = 8
	}
	return o
}

func drawInsect(canvas *image.RGBA, box image.Rectangle) {
	w, h := box.Dx(), box.Dy()
	for y := range h {
		for x := range w {
			// The offset from the centre, in units of the half axes.
			dx := float64(2*x+1)/float64(w) - 1
			dy := float64(2*y+1)/float64(h) - 1
			if dx*dx+dy*dy <= 1 {
				canvas.SetRGBA(box.Min.X+x, box.Min.Y+y, color.RGBA{40, 30, 25, 255})
			}
		}
	}
}
