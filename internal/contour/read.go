package contour

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// UnmarshalJSON reads any JSON value. A plain polygon is read as one; whatever
// else it is stays what it is, for Check to judge.
func (u *Unchecked) UnmarshalJSON(text []byte) error {
	if polygon, ok := read(text); ok {
		u.value = polygon
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(&u.value)
}

// IsNull says whether nothing was given.
func (u Unchecked) IsNull() bool { return u.value == nil }

// read reads [[x,y],…] of valid JSON. It knows no other form.
func read(text []byte) (Polygon, bool) {
	r := reader{rest: text}
	if !r.take('[') {
		return nil, false
	}
	if bytes.Count(text, []byte{'['}) < 2 {
		return nil, false
	}
	polygon := make(Polygon, 0, bytes.Count(text, []byte{'['})-1)
	for {
		var point Point
		ok := r.take('[') && r.number(&point[0]) && r.take(',') && r.number(&point[1]) && r.take(']')
		if !ok {
			return nil, false
		}
		polygon = append(polygon, point)
		if r.take(']') {
			return polygon, true
		}
		if !r.take(',') {
			return nil, false
		}
	}
}

// reader goes through valid JSON.
type reader struct{ rest []byte }

func (r *reader) space() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\n' || r.rest[0] == '\t' || r.rest[0] == '\r') {
		r.rest = r.rest[1:]
	}
}

// take takes a byte, if it is the next.
func (r *reader) take(c byte) bool {
	r.space()
	if len(r.rest) == 0 || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// number takes a number within reason, if it is the next.
func (r *reader) number(into *float64) bool {
	r.space()
	whole, n := 0, 0
	for n < len(r.rest) && r.rest[n] >= '0' && r.rest[n] <= '9' && n < 9 {
		whole = 10*whole + int(r.rest[n]-'0')
		n++
	}
	if n > 0 && n < len(r.rest) && (r.rest[n] == ',' || r.rest[n] == ']') {
		*into, r.rest = float64(whole), r.rest[n:]
		return true
	}
	for n < len(r.rest) && bytes.IndexByte([]byte("+-.0123456789Ee"), r.rest[n]) >= 0 {
		n++
	}
	x, err := strconv.ParseFloat(string(r.rest[:n]), 64)
	*into, r.rest = x, r.rest[n:]
	return n > 0 && err == nil && x <= maxCoordinate && x >= -maxCoordinate
}
