package jpegscan

import (
	"image"
	"image/color"
)

// colours are the colours of the components.
type colours byte

const (
	grey colours = iota
	yCbCr
	rgb
	cmyk
	yCbCrK
)

// colours returns the colours of the components, by the rules of libjpeg.
func (p *Photo) colours() colours {
	c := p.components
	switch {
	case len(c) == 1:
		return grey
	case len(c) == 4 && p.transform == 0:
		return cmyk
	case len(c) == 4:
		return yCbCrK
	case p.jfif:
		return yCbCr
	case p.adobe && p.transform == 0, !p.adobe && c[0].id == 'R' && c[1].id == 'G' && c[2].id == 'B':
		return rgb
	}
	return yCbCr
}

// picture returns the pixels as an image of the standard library.
func (d *decoder) picture() image.Image {
	width, height := ceil(d.photo.Width*d.side, 8), ceil(d.photo.Height*d.side, 8)
	rect := image.Rect(0, 0, width, height)
	y := &d.planes[0]
	kind := d.photo.colours()
	if kind == grey {
		return &image.Gray{Pix: y.pix, Stride: y.stride, Rect: rect}
	}
	if ratio, ok := d.photo.ratio(); ok && kind == yCbCr {
		return &image.YCbCr{
			Y: y.pix, Cb: d.planes[1].pix, Cr: d.planes[2].pix,
			YStride: y.stride, CStride: d.planes[1].stride,
			SubsampleRatio: ratio, Rect: rect,
		}
	}
	m := image.NewYCbCr(rect, image.YCbCrSubsampleRatio444)
	full := [][]byte{m.Y, m.Cb, m.Cr}
	if len(d.planes) == 4 {
		full = append(full, make([]byte, width*height))
	}
	h, v := d.photo.largest()
	for i, to := range full {
		d.planes[i].repeat(to, width, height, h, v)
	}
	convert(full, kind)
	return m
}

// convert replaces the first three planes by luminance and chrominance. Adobe's files hold the
// complements of cyan, magenta, yellow and black.
func convert(planes [][]byte, from colours) {
	if from == yCbCr {
		return
	}
	for i := range planes[0] {
		r, g, b := planes[0][i], planes[1][i], planes[2][i]
		if from == yCbCrK {
			r, g, b = color.YCbCrToRGB(r, g, b)
			r, g, b = ^r, ^g, ^b
		}
		if from != rgb {
			r, g, b = times(r, planes[3][i]), times(g, planes[3][i]), times(b, planes[3][i])
		}
		planes[0][i], planes[1][i], planes[2][i] = color.RGBToYCbCr(r, g, b)
	}
}

// times returns the product of two fractions of 255.
func times(a, b byte) byte { return byte((int(a)*int(b) + 127) / 255) }

// ratio returns the subsampling of the chrominance of a photograph of three components, and
// reports whether package image has the ratio.
func (p *Photo) ratio() (image.YCbCrSubsampleRatio, bool) {
	if len(p.components) != 3 {
		return 0, false
	}
	y, cb, cr := p.components[0], p.components[1], p.components[2]
	if cb.h != cr.h || cb.v != cr.v || y.h%cb.h != 0 || y.v%cb.v != 0 {
		return 0, false
	}
	switch [2]int{y.h / cb.h, y.v / cb.v} {
	case [2]int{1, 1}:
		return image.YCbCrSubsampleRatio444, true
	case [2]int{1, 2}:
		return image.YCbCrSubsampleRatio440, true
	case [2]int{2, 1}:
		return image.YCbCrSubsampleRatio422, true
	case [2]int{2, 2}:
		return image.YCbCrSubsampleRatio420, true
	case [2]int{4, 1}:
		return image.YCbCrSubsampleRatio411, true
	case [2]int{4, 2}:
		return image.YCbCrSubsampleRatio410, true
	}
	return 0, false
}

// repeat writes width × height pixels: each pixel of the plane as often as the plane has fewer
// pixels than a plane of the sampling factors h and v.
func (p *plane) repeat(to []byte, width, height, h, v int) {
	for y := range height {
		row := p.pix[y*p.v/v*p.stride:]
		for x := range width {
			to[y*width+x] = row[x*p.h/h]
		}
	}
}
