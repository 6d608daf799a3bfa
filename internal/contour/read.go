package contour

import (
	"encoding/json"
	"slices"
	"strings"

	"tagma/internal/jsonscan"
)

// Read reads any JSON value. A plain polygon is read as one, in either nesting;
// whatever else it is stays what it is, for Check to judge.
func (u *Unchecked) Read(s *jsonscan.Scanner) bool {
	probe := *s
	if polygon, ok := readPolygon(&probe); ok {
		u.value, *s = polygon, probe
		return true
	}
	text, ok := s.Skip()
	if !ok || !json.Valid([]byte(text)) {
		return false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return d.Decode(&u.value) == nil
}

// IsNull says whether nothing was given.
func (u Unchecked) IsNull() bool { return u.value == nil }

// stackVertices is how many vertices there is room for before it is known how many come.
const stackVertices = 64

// readPolygon reads [[x,y],…] or [[[x,y]],…].
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
