// Package contour owns the geometry of an annotated object: a polygon in pixels
// of the original image, origin top left, x to the right, y down. Package
// contour does not own the other properties of an object: package annotations
// does.
package contour

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Bounds of one polygon. No image has coordinates near maxCoordinate; the bound
// keeps boxes and areas finite.
const (
	MaxVertices   = 100_000
	maxCoordinate = 1e9 // pixels, positive or negative
)

// Point is a vertex: x, y.
type Point [2]float64

// Polygon is a closed outline: the vertices in order, the last joined to the
// first. Parse returns at least three vertices.
type Polygon []Point

// Parse returns the polygon of decoded JSON: [[x, y], …], or [[[x, y]], …] as
// OpenCV nests points. Parse returns an error unless every coordinate is a
// finite number within maxCoordinate.
func Parse(v any) (Polygon, error) {
	if polygon, ok := v.(Polygon); ok { // already parsed by Input.Read
		if err := checkLength(len(polygon)); err != nil {
			return nil, err
		}
		return polygon, nil
	}
	if err := checkForm(v); err != nil {
		return nil, err
	}
	list, _ := v.([]any) // checkForm refuses any other type
	if err := checkLength(len(list)); err != nil {
		return nil, err
	}
	polygon := make(Polygon, len(list))
	for i, item := range list {
		point, err := parsePoint(item)
		if err != nil {
			return nil, fmt.Errorf("vertex %d %w", i, err)
		}
		polygon[i] = point
	}
	return polygon, nil
}

func checkLength(vertices int) error {
	if vertices < 3 {
		return fmt.Errorf("a contour has at least 3 vertices, this one has %d", vertices)
	}
	if vertices > MaxVertices {
		return fmt.Errorf("a contour has at most %d vertices, this one has %d", MaxVertices, vertices)
	}
	return nil
}

func parsePoint(v any) (Point, error) {
	pair, ok := v.([]any)
	if ok && len(pair) == 1 && isList(pair[0]) { // OpenCV's nesting
		pair, _ = pair[0].([]any)
	}
	if !ok {
		return Point{}, fmt.Errorf("is %s, not a pair [x, y]", jsonType(v))
	}
	if len(pair) != 2 {
		return Point{}, fmt.Errorf("is not a pair [x, y]: its length is %d", len(pair))
	}
	var point Point
	for i, coordinate := range pair {
		n, err := parseNumber(coordinate)
		if err != nil {
			return Point{}, err
		}
		point[i] = n
	}
	return point, nil
}

func parseNumber(v any) (float64, error) {
	var n float64
	var err error
	switch v := v.(type) {
	case json.Number:
		n, err = v.Float64()
	case float64:
		n = v
	case int64:
		n = float64(v)
	case int:
		n = float64(v)
	default:
		return 0, fmt.Errorf("has %s as a coordinate: a coordinate is a number of pixels", jsonType(v))
	}
	if err != nil || math.IsNaN(n) || math.Abs(n) > maxCoordinate {
		return 0, fmt.Errorf("has the coordinate %.40q, which is not a finite number of pixels", fmt.Sprint(v))
	}
	return n, nil
}

// Box returns the smallest upright rectangle around p: x, y, width, height.
func (p Polygon) Box() [4]float64 {
	low, high := p[0], p[0]
	for _, point := range p[1:] {
		for axis := range point {
			low[axis] = math.Min(low[axis], point[axis])
			high[axis] = math.Max(high[axis], point[axis])
		}
	}
	return [4]float64{
		low[0], low[1],
		withoutNoise(high[0]-low[0], sumDigits, math.Max(math.Abs(low[0]), math.Abs(high[0]))),
		withoutNoise(high[1]-low[1], sumDigits, math.Max(math.Abs(low[1]), math.Abs(high[1]))),
	}
}

// Area returns the area that p encloses, in square pixels, by the shoelace
// formula (A. L. F. Meister, 1769). In an outline that crosses itself, parts of
// opposite direction are subtracted from each other.
func (p Polygon) Area() float64 {
	// Differences from the first vertex keep the products small, and so keep
	// digits far from the origin.
	origin, doubleArea := p[0], 0.0
	for i := 1; i+1 < len(p); i++ {
		ax, ay := p[i][0]-origin[0], p[i][1]-origin[1]
		bx, by := p[i+1][0]-origin[0], p[i+1][1]-origin[1]
		doubleArea += ax*by - bx*ay
	}
	area := math.Abs(doubleArea) / 2
	if isExact(area) {
		return area
	}
	box := p.Box()
	farthest := math.Max(math.Abs(origin[0]), math.Abs(origin[1])) + math.Max(box[2], box[3])
	return withoutNoise(area, productDigits, farthest*math.Max(box[2], box[3]))
}

// The decimal digits that float64 computes without a visible error: of a
// difference, relative to the larger operand, and of a sum of products, relative
// to the largest possible product.
const (
	sumDigits     = 15
	productDigits = 14
)

// isExact reports whether v is a multiple of 0.5, as the measures of outlines in
// whole pixels are.
func isExact(v float64) bool { return 2*v == math.Trunc(2*v) }

// withoutNoise returns a computed value rounded to the given number of decimal
// digits of magnitude, which is the magnitude of the operands. Without rounding,
// 409.1-13.3 prints as 395.80000000000007.
func withoutNoise(v float64, digits int, magnitude float64) float64 {
	if isExact(v) {
		return v
	}
	decimals := digits - int(math.Ceil(math.Log10(magnitude)))
	if decimals < 1 || decimals > 22 { // a float64 holds powers of ten up to 1e22 exactly
		return v
	}
	unit := math.Pow10(decimals)
	return math.Round(v*unit) / unit
}

// AppendJSON appends p as [[x,y],…], with whole numbers without a decimal
// point.
func (p Polygon) AppendJSON(b []byte) []byte { return p.appendVertices(b, false) }

// AppendOpenCV appends p as [[[x,y]],…].
func (p Polygon) AppendOpenCV(b []byte) []byte { return p.appendVertices(b, true) }

func (p Polygon) appendVertices(b []byte, nested bool) []byte {
	b = append(b, '[')
	for i, point := range p {
		if i > 0 {
			b = append(b, ',')
		}
		if nested {
			b = append(b, '[')
		}
		b = append(b, '[')
		b = AppendNumber(b, point[0])
		b = append(b, ',')
		b = AppendNumber(b, point[1])
		b = append(b, ']')
		if nested {
			b = append(b, ']')
		}
	}
	return append(b, ']')
}

// AppendNumber appends a finite number as JSON, in the fewest digits that parse
// to the same number, exactly as encoding/json does.
func AppendNumber(b []byte, n float64) []byte {
	abs := math.Abs(n)
	if integer := int64(n); float64(integer) == n && integer != 0 && abs < 1e15 { // the common case
		return strconv.AppendInt(b, integer, 10)
	}
	if abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(b, n, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, n, 'e', -1, 64)
	if end := len(b); b[end-4] == 'e' && b[end-2] == '0' { // encoding/json writes e-7 for e-07
		b = append(b[:end-2], b[end-1])
	}
	return b
}

// Input is the contour of a request: any JSON value. Check runs together
// with the checks of the rest of an annotation, so that all problems are
// reported at once.
type Input struct{ value any }

// NewInput returns v as the contour of a request.
func NewInput(v any) Input { return Input{value: v} }

// Check returns the polygon of the input, or the error of Parse. Check also
// refuses a polygon without an interior: all vertices are on one line.
func (in Input) Check() (Polygon, error) {
	polygon, err := Parse(in.value)
	if err == nil {
		err = polygon.checkInterior()
	}
	if err != nil {
		return nil, err
	}
	return polygon, nil
}

// MarshalGQL writes the scalar Contour.
func (in Input) MarshalGQL(w io.Writer) { _ = json.NewEncoder(w).Encode(in.value) }

// UnmarshalGQL reads the scalar Contour.
func (in *Input) UnmarshalGQL(v any) error {
	in.value = v
	return nil
}
