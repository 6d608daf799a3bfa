package contour

import (
	"encoding/json"
	"slices"
	"strings"

	"tagma/internal/base/jsonscan"
)

// Read reads any JSON value. A plain polygon in either nesting is parsed at
// once; any other value is kept for Check to refuse. Read reports whether the
// value is valid JSON.
func (in *Input) Read(s *jsonscan.Scanner) bool {
	probe := *s
	if polygon, ok := readPolygon(&probe); ok {
		in.value, *s = polygon, probe
		return true
	}
	text, ok := s.Skip()
	if !ok || !json.Valid([]byte(text)) || jsonscan.LoneSurrogate([]byte(text)) >= 0 {
		return false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(&in.value) == nil
}

// IsNull reports whether the value is null or absent.
func (in Input) IsNull() bool { return in.value == nil }

// stackVertices is the number of vertices that fit into a buffer on the stack,
// before the length of the contour is known.
const stackVertices = 64

// readPolygon reads [[x,y],…] or [[[x,y]],…]. It reports whether s holds a
// plain polygon within bounds.
func readPolygon(s *jsonscan.Scanner) (Polygon, bool) {
	var buffer [stackVertices]Point
	polygon := Polygon(buffer[:0])
	ok := s.List(func() bool {
		nested := s.Take('[') && s.Next() == '['
		if nested {
			s.Take('[')
		}
		x, ok := s.Number()
		if !ok || !s.Take(',') {
			return false
		}
		y, ok := s.Number()
		polygon = append(polygon, Point{x, y})
		return ok && inBounds(x) && inBounds(y) && s.Take(']') && (!nested || s.Take(']'))
	})
	return slices.Clone(polygon), ok && len(polygon) > 0
}

func inBounds(x float64) bool { return x <= maxCoordinate && x >= -maxCoordinate }
