package thumbnail

import (
	"image"
	"image/color"
)

// picture is what JPEG stores of one: a plane of luminance, and for colour two
// of chrominance. It is reduced in this form, because RGB would be three whole
// planes, and two conversions.
type picture struct {
	width, height float64 // in pixels of luminance; the last may be a part
	planes        []plane
}

// plane is one component of a picture.
type plane struct {
	pix           []byte
	stride        int
	width, height int
	perX, perY    int // pixels of luminance to one of this plane
}

// pictureOf takes an image apart, width × height pixels of it.
func pictureOf(m image.Image, width, height float64) picture {
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
		return pictureOf(toYCbCr(m), width, height)
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

// toYCbCr converts what is stored otherwise, which is RGB and CMYK.
func toYCbCr(m image.Image) *image.YCbCr {
	b := m.Bounds()
	out := image.NewYCbCr(image.Rect(0, 0, b.Dx(), b.Dy()), image.YCbCrSubsampleRatio444)
	at := colours(m)
	for y := range b.Dy() {
		for x := range b.Dx() {
			i := y*out.YStride + x
			out.Y[i], out.Cb[i], out.Cr[i] = color.RGBToYCbCr(at(b.Min.X+x, b.Min.Y+y))
		}
	}
	return out
}

// colours returns a function that reads the colour of a pixel. Those of the two
// kinds of image that image/jpeg makes allocate nothing, as image.Image.At does
// for each pixel.
func colours(m image.Image) func(x, y int) (r, g, b byte) {
	switch m := m.(type) {
	case *image.RGBA:
		return func(x, y int) (r, g, b byte) {
			c := m.RGBAAt(x, y)
			return c.R, c.G, c.B
		}
	case *image.CMYK:
		return func(x, y int) (r, g, b byte) {
			c := m.CMYKAt(x, y)
			return color.CMYKToRGB(c.C, c.M, c.Y, c.K)
		}
	}
	return func(x, y int) (byte, byte, byte) {
		r, g, b, _ := m.At(x, y).RGBA()
		return byte(r >> 8), byte(g >> 8), byte(b >> 8)
	}
}

// resize makes a picture of w × h pixels, with half as much chrominance each
// way.
func (p picture) resize(w, h int) picture {
	out := picture{width: float64(w), height: float64(h)}
	var across, down filter
	for i, from := range p.planes {
		to := plane{width: w, height: h, perX: 1, perY: 1}
		if i > 0 {
			to = plane{width: (w + 1) / 2, height: (h + 1) / 2, perX: 2, perY: 2}
		}
		to.stride = to.width
		if i < 2 { // the planes of chrominance are alike
			across = newFilter(to.width, from.width, p.width/out.width*float64(to.perX)/float64(from.perX))
			down = newFilter(to.height, from.height, p.height/out.height*float64(to.perY)/float64(from.perY))
		}
		to.pix = from.resize(across, down)
		out.planes = append(out.planes, to)
	}
	return out
}

// image is what resize made, as the standard library has it.
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
