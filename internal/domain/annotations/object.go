package annotations

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"tagma/internal/base/contour"
	"tagma/internal/base/fault"
	"tagma/internal/base/rawjson"
)

// Bounds of one annotation.
const (
	MaxObjects      = 10_000 // of one annotation
	maxNameLength   = 200    // characters; of an object's name, and an algorithm's name and version
	maxColourLength = 50

	maxAttributesLength = 20_000 // bytes of JSON; room for a vector of 1,000 numbers
)

// Object is one object in its stored form. The names and the order of fields are
// the schema's, and numbers have the spelling of answers (package rawjson), so
// that an answer contains stored values unchanged: see Scan. The one exception is
// the bounding box, which is stored as a list. Null fields are stored as null, but
// for Score and Attributes, which are then left out: most objects have neither,
// and older servers stored neither.
type Object struct {
	Name         string        `json:"name"`
	Contour      rawjson.Value `json:"contour"`
	FillColour   *string       `json:"fillColour"`
	StrokeColour *string       `json:"strokeColour"`
	Value        *int          `json:"value"`
	BoundingBox  Box           `json:"boundingBox"`
	Area         float64       `json:"area"`                 // square pixels
	Score        *float64      `json:"score,omitempty"`      // 0 to 1
	Attributes   rawjson.Value `json:"attributes,omitempty"` // an object with at least one member; nil for null
}

// Box is an upright rectangle in pixels of the original image, with the origin
// at the top left corner.
type Box struct{ X, Y, Width, Height float64 }

// UnmarshalJSON reads the stored form: [x, y, width, height].
func (b *Box) UnmarshalJSON(text []byte) error {
	var numbers [len(BoxFields)]float64
	err := json.Unmarshal(text, &numbers)
	*b = Box{numbers[0], numbers[1], numbers[2], numbers[3]}
	return err
}

// NewObject is one object as the caller passes it.
type NewObject struct {
	Name         string
	Contour      contour.Input
	FillColour   *string
	StrokeColour *string
	Value        *int
	Score        *float64
	Attributes   rawjson.Value
}

// Decode returns the objects of a stored annotation. A non-nil name selects the
// objects of that name.
func Decode(storedObjects rawjson.Value, name *string) ([]Object, error) {
	var objects []Object
	if err := json.Unmarshal(storedObjects, &objects); err != nil {
		return nil, err
	}
	if name == nil {
		return objects, nil
	}
	matches := objects[:0]
	for _, object := range objects {
		if object.Name == *name {
			matches = append(matches, object)
		}
	}
	return matches, nil
}

// size is the size of an image, in pixels; the zero value means no image.
type size struct{ width, height int }

// Encode returns objects in their stored form, for the benchmark and the demo,
// which fill a database without Put. The error reports every problem.
func Encode(objects []NewObject) (rawjson.Value, error) {
	var problems fault.Problems
	encoded := encodeObjects(objects, size{}, &problems, []any{"objects"})
	return encoded, problems.Err()
}

// typicalSize is the typical stored size of an object, in bytes.
const typicalSize = 300

// encodeObjects returns the stored form of objects, and adds all problems.
func encodeObjects(objects []NewObject, imageSize size, problems *fault.Problems, path []any) rawjson.Value {
	b := append(make(rawjson.Value, 0, 2+typicalSize*len(objects)), '[')
	for n := range objects {
		if n > 0 {
			b = append(b, ',')
		}
		b = objects[n].encode(b, imageSize, problems, append(path[:len(path):len(path)], n))
	}
	return append(b, ']')
}

// encode appends the stored form of an object to b, and adds all problems.
func (o *NewObject) encode(b []byte, imageSize size, problems *fault.Problems, path []any) []byte {
	subpath := func(field string) []any { return append(path[:len(path):len(path)], field) }
	if !isPlainText(o.Name) { // avoids the cost of a path for each object
		validateText(problems, subpath("name"), o.Name, maxNameLength)
	}
	if o.FillColour != nil && !isPlainText(*o.FillColour) {
		validateText(problems, subpath("fillColour"), *o.FillColour, maxColourLength)
	}
	if o.StrokeColour != nil && !isPlainText(*o.StrokeColour) {
		validateText(problems, subpath("strokeColour"), *o.StrokeColour, maxColourLength)
	}
	if o.Value != nil && int(int32(*o.Value)) != *o.Value { //nolint:gosec // the very question
		problems.Add(fault.BadInput, subpath("value"), "%d does not fit in 32 bits", *o.Value)
	}
	if o.Score != nil && !(*o.Score >= 0 && *o.Score <= 1) { // also refuses NaN
		problems.Add(fault.BadInput, subpath("score"), "%g is not from 0 to 1: divide a percentage by 100", *o.Score)
	}
	attributes, err := parseAttributes(o.Attributes)
	if err != nil {
		problems.Add(fault.BadInput, subpath("attributes"), "%s", err)
	}
	polygon, err := o.Contour.Check()
	if err != nil {
		problems.Add(fault.BadInput, subpath("contour"), "%s", err)
		return b
	}
	for n, point := range polygon {
		if imageSize != (size{}) && (isFarOutside(point[0], imageSize.width) || isFarOutside(point[1], imageSize.height)) {
			problems.Add(fault.BadInput, append(subpath("contour"), n),
				"vertex (%g, %g) is outside the image of %d×%d pixels by more than its own size: is it in pixels of the original image, x first?",
				point[0], point[1], imageSize.width, imageSize.height)
			break
		}
	}
	return o.appendJSON(b, polygon, attributes)
}

// isFarOutside reports whether a coordinate is outside 0…side by more than
// side.
func isFarOutside(v float64, side int) bool {
	return v < -float64(side) || v > 2*float64(side)
}

func validateText(problems *fault.Problems, path []any, s string, maxLength int) {
	length := utf8.RuneCountInString(s)
	switch {
	case length == 0:
		problems.Add(fault.BadInput, path, "is empty: give it 1 to %d characters", maxLength)
	case length > maxLength:
		problems.Add(fault.BadInput, path, "%.40q… has %d characters: at most %d are taken", s, length, maxLength)
	case !isText(s):
		problems.Add(fault.BadInput, path, "%.40q is not text", s)
	}
}

// isText reports whether both databases can store s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// isPlainText reports whether s is short ASCII that needs no escapes in JSON.
func isPlainText(s string) bool {
	for n := range len(s) {
		if c := s[n]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= maxColourLength
}

// appendJSON appends an object in the JSON form of Object, with the result of
// parseAttributes.
func (o *NewObject) appendJSON(b []byte, polygon contour.Polygon, attributes rawjson.Value) []byte {
	b = append(b, `{"name":`...)
	b = appendText(b, &o.Name)
	b = append(b, `,"contour":`...)
	b = polygon.AppendJSON(b)
	b = append(b, `,"fillColour":`...)
	b = appendText(b, o.FillColour)
	b = append(b, `,"strokeColour":`...)
	b = appendText(b, o.StrokeColour)
	b = append(b, `,"value":`...)
	if o.Value == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(*o.Value), 10)
	}
	b = append(b, `,"boundingBox":[`...)
	for n, v := range polygon.Box() {
		if n > 0 {
			b = append(b, ',')
		}
		b = rawjson.AppendFloat(b, v)
	}
	b = append(b, `],"area":`...)
	b = rawjson.AppendFloat(b, polygon.Area())
	if o.Score != nil {
		b = append(b, scoreKey...)
		b = rawjson.AppendFloat(b, *o.Score)
	}
	if attributes != nil {
		b = append(b, attributesKey...)
		b = append(b, attributes...)
	}
	return append(b, '}')
}

// scoreKey and attributesKey are the keys of the fields that storage leaves out
// if their values are null.
const (
	scoreKey      = `,"score":`
	attributesKey = `,"attributes":`
)

func appendText(b []byte, s *string) []byte {
	if s != nil && isPlainText(*s) {
		return append(append(append(b, '"'), *s...), '"')
	}
	text, err := json.Marshal(s)
	if err != nil { // json.Marshal accepts every string
		panic(err)
	}
	return append(b, text...)
}
