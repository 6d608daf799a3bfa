package contour

import (
	"encoding/json"
	"fmt"
	"math"
)

// checkForm returns an error that describes a value in another form than a list
// of vertices. checkForm knows the forms of COCO and GeoJSON.
func checkForm(v any) error {
	const want = "a contour is a list of vertices: [[x, y], …]"
	if object, ok := v.(map[string]any); ok {
		if _, ok := object["counts"]; ok {
			return fmt.Errorf("is a mask in COCO's run-length form: trace the outline of the mask; %s", want)
		}
		if _, ok := object["coordinates"]; ok {
			return fmt.Errorf("is a GeoJSON object: give its outer ring alone; %s", want)
		}
	}
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("is %s: %s", jsonType(v), want)
	}
	if len(list) == 0 {
		return nil
	}
	if isNumber(list[0]) {
		return fmt.Errorf("is a flat list of numbers, as COCO writes [x, y, x, y, …]: give each vertex as a pair; %s", want)
	}
	first, ok := list[0].([]any)
	switch {
	case !ok || len(first) < 2:
		return nil
	case isList(first[0]) && len(list) == 1:
		return fmt.Errorf("is a list of one ring, as GeoJSON and COCO nest outlines: give the ring itself; %s", want)
	case isList(first[0]):
		return fmt.Errorf("has %d rings: an outline has no holes and one part; give the outer ring alone, and each further part as an object of its own", len(list))
	case isNumber(first[0]) && len(first) > 3:
		return fmt.Errorf("has a flat list of %d numbers, as COCO writes [[x, y, x, y, …]]: give each vertex as a pair, and each further part as an object of its own; %s", len(first), want)
	}
	return nil
}

func isList(v any) bool { _, ok := v.([]any); return ok }

func isNumber(v any) bool { return jsonType(v) == numberType }

const numberType = "a number"

// jsonType returns the JSON type of a decoded value, with its article.
func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case json.Number, float64, int64, int:
		return numberType
	}
	return fmt.Sprintf("a %T", v)
}

// flatness is the distance of a vertex from a line, relative to the length of the
// line, below which the vertex is on the line. Float64 computes the distance with
// a smaller error.
const flatness = 1e-9

// checkInterior returns an error if all vertices are on one line.
func (p Polygon) checkInterior() error {
	// The line leads from the first vertex to the vertex farthest away. The squares
	// of lengths save a square root for each vertex.
	var line Point
	square := 0.0
	for _, vertex := range p[1:] {
		x, y := vertex[0]-p[0][0], vertex[1]-p[0][1]
		if length := x*x + y*y; length > square {
			line, square = Point{x, y}, length
		}
	}
	if square == 0 {
		return fmt.Errorf("has %d vertices at one point: a contour encloses an area", len(p))
	}
	for _, vertex := range p[1:] {
		x, y := vertex[0]-p[0][0], vertex[1]-p[0][1]
		if math.Abs(line[0]*y-line[1]*x) > flatness*square { // distance times length
			return nil
		}
	}
	return fmt.Errorf("has %d vertices on one line: a contour encloses an area", len(p))
}
