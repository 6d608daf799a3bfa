package thumbnail

import (
	"fmt"
	"image"
)

// picture is a photograph in JPEG's form: a plane of luminance, and for colour
// two planes of chrominance. Resizing this form is cheaper than RGB, which
// would need three full planes and two conversions.
type picture struct {
	width, height float64 // in pixels of luminance; may have a fraction
	planes        []plane
}

// plane is one component of a picture.
type plane struct {
	pix           []byte
	stride        int
	width, height int
	perX, perY    int // pixels of luminance per pixel of this plane
}

// newPicture returns width × height pixels of an image of package jpegscan.
func newPicture(m image.Image, width, height float64) picture {
	b := m.Bounds()
	p := picture{width: width, height: height}
	switch m := m.(type) {
	case *image.Gray:
		p.planes = []plane{{m.Pix, m.Stride, b.Dx(), b.Dy(), 1, 1}}
	case *image.YCbCr:
		perX, perY := subsampling(m.SubsampleRatio)
		w, h := (b.Dx()+perX-1)/perX, (b.Dy()+perY-1)/perY
		p.planes = []plane{
			{m.Y, m.YStride, b.Dx(), b.Dy(), 1, 1},
			{m.Cb, m.CStride, w, h, perX, perY},
			{m.Cr, m.CStride, w, h, perX, perY},
		}
	default:
		panic(fmt.Sprintf("thumbnail: the picture is an %T", m))
	}
	return p
}

func subsampling(ratio image.YCbCrSubsampleRatio) (x, y int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	default:
		return 1, 1
	}
}

// resize returns a picture of w × h pixels, with chrominance at half the width
// and height.
func (p picture) resize(w, h int) picture {
	result := picture{width: float64(w), height: float64(h)}
	var horizontal, vertical filter
	for i, src := range p.planes {
		dst := plane{width: w, height: h, perX: 1, perY: 1}
		if i > 0 {
			dst = plane{width: (w + 1) / 2, height: (h + 1) / 2, perX: 2, perY: 2}
		}
		dst.stride = dst.width
		if i < 2 { // both planes of chrominance use the same filters
			horizontal = newFilter(dst.width, src.width, p.width/result.width*float64(dst.perX)/float64(src.perX))
			vertical = newFilter(dst.height, src.height, p.height/result.height*float64(dst.perY)/float64(src.perY))
		}
		dst.pix = src.resize(horizontal, vertical)
		result.planes = append(result.planes, dst)
	}
	return result
}

// image returns the result of resize as an image of the standard library.
func (p picture) image() image.Image {
	y := p.planes[0]
	rect := image.Rect(0, 0, y.width, y.height)
	if len(p.planes) == 1 {
		return &image.Gray{Pix: y.pix, Stride: y.stride, Rect: rect}
	}
	return &image.YCbCr{
		Y: y.pix, Cb: p.planes[1].pix, Cr: p.planes[2].pix,
		YStride: y.stride, CStride: p.planes[1].stride,
		SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: rect,
	}
}
