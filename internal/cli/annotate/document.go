package annotate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"tagma/internal/base/contour"
	"tagma/internal/base/instant"
	"tagma/internal/base/jsonscan"
	"tagma/internal/cli/client/generated"
)

// document is a document of the Sticky Pi API, the form of the field
// Annotation.document.
type document struct {
	place    string // such as "night.json" or "night.json, document 2"
	input    generated.AnnotationInput
	polygons []contour.Polygon // by object; nil for an invalid contour
	unknown  []string          // fields outside the objects without a place in an annotation
	problems []string
}

// parse returns the document in valid JSON. If the form of the document has problems,
// document.problems also holds the problems of the contours. The server finds all
// other problems.
func parse(place string, text json.RawMessage) *document {
	d := &document{place: place}
	members, ok := d.readMembers("it", text)
	if !ok {
		return d
	}
	if isNull(members["metadata"]) || isNull(members["annotations"]) {
		d.problem(`it is no annotation: {"annotations": […], "metadata": {…}}`)
		return d
	}
	d.readMetadata(members["metadata"])
	d.readObjects(members["annotations"])
	d.addUnknown("", members, "metadata", "annotations")
	return d
}

func (d *document) problem(format string, args ...any) {
	d.problems = append(d.problems, fmt.Sprintf(format, args...))
}

// readMembers returns the members of an object by name. A repeated name is a problem,
// because only the last value could be sent.
func (d *document) readMembers(path string, text json.RawMessage) (map[string]json.RawMessage, bool) {
	if typ := jsonType(text); typ != objectType {
		d.problem("%s is %s, where an object is wanted", path, typ)
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	members := map[string]json.RawMessage{}
	_, err := decoder.Token() // the opening brace
	for err == nil && decoder.More() {
		var token json.Token
		if token, err = decoder.Token(); err != nil {
			break
		}
		name, _ := token.(string)
		if _, repeated := members[name]; repeated {
			d.problem("%s has the field %q twice", path, name)
		}
		var value json.RawMessage
		err = decoder.Decode(&value)
		members[name] = value
	}
	if err != nil {
		d.problem("%s is no JSON: %s", path, err)
	}
	return members, err == nil
}

// addUnknown adds the names of the members outside of names.
func (d *document) addUnknown(prefix string, members map[string]json.RawMessage, names ...string) {
	for name := range members {
		if !slices.Contains(names, name) {
			d.unknown = append(d.unknown, prefix+name)
		}
	}
}

func (d *document) readMetadata(text json.RawMessage) {
	members, ok := d.readMembers("metadata", text)
	if !ok {
		return
	}
	var takenAt string
	for _, field := range []struct {
		name string
		to   *string
	}{
		{"algo_name", &d.input.Algorithm.Name}, {"algo_version", &d.input.Algorithm.Version},
		{"device", &d.input.Image.Device}, {"datetime", &takenAt}, {"md5", &d.input.Md5},
	} {
		if value := d.text("metadata."+field.name, members[field.name], true); value != nil {
			*field.to = *value
		}
	}
	d.addUnknown("metadata.", members, "algo_name", "algo_version", "device", "datetime", "md5")
	if takenAt == "" {
		return
	}
	at, err := instant.Parse(takenAt)
	if err != nil {
		d.problem("metadata.datetime: %s", err)
	}
	d.input.Image.TakenAt = at
}

func (d *document) readObjects(text json.RawMessage) {
	if typ := jsonType(text); typ != listType {
		d.problem("annotations is %s, where a list is wanted", typ)
		return
	}
	var items []json.RawMessage
	if err := json.Unmarshal(text, &items); err != nil {
		d.problem("annotations is no JSON: %s", err)
		return
	}
	d.input.Objects = make([]generated.AnnotatedObjectInput, len(items))
	d.polygons = make([]contour.Polygon, len(items))
	var contourProblems []string
	for n, item := range items {
		path := fmt.Sprintf("annotations.%d", n)
		members, ok := d.readMembers(path, item)
		if !ok {
			continue
		}
		d.input.Objects[n] = d.readObject(path, members)
		if isNull(members["contour"]) {
			d.problem("%s.contour is missing", path)
			continue
		}
		var err error
		if d.polygons[n], err = parseContour(members["contour"]); err != nil {
			contourProblems = append(contourProblems, fmt.Sprintf("%s.contour: %s", path, err))
		}
	}
	if len(d.problems) > 0 { // the document is not sent, so the server cannot report these problems
		d.problems = append(d.problems, contourProblems...)
	}
}

// readObject returns an object with an unchecked contour. Fields without a place in
// the input become attributes.
func (d *document) readObject(path string, members map[string]json.RawMessage) generated.AnnotatedObjectInput {
	o := generated.AnnotatedObjectInput{
		Contour:      members["contour"],
		StrokeColour: d.text(path+".stroke_colour", members["stroke_colour"], false),
		FillColour:   d.text(path+".fill_colour", members["fill_colour"], false),
		Value:        d.integer(path+".value", members["value"]),
		Score:        d.number(path+".score", members["score"]),
	}
	if name := d.text(path+".name", members["name"], true); name != nil {
		o.Name = *name
	}
	attributes := map[string]any{}
	for name, value := range members {
		switch name {
		case "contour", "stroke_colour", "fill_colour", "value", "score", "name":
		default:
			attributes[name] = decode(value)
		}
	}
	if len(attributes) > 0 {
		text, err := json.Marshal(attributes) // sorts the members
		if err != nil {
			d.problem("%s: %s", path, err)
		}
		o.Attributes = (*json.RawMessage)(&text)
	}
	return o
}

// text returns a string, or nil for null and for other types. Other types are
// problems.
func (d *document) text(path string, text json.RawMessage, required bool) *string {
	switch typ := jsonType(text); {
	case isNull(text) && required:
		d.problem("%s is missing", path)
	case isNull(text):
	case typ != stringType:
		d.problem("%s is %s, where a string is wanted", path, shown(text))
	default:
		value, _ := decode(text).(string)
		return &value
	}
	return nil
}

// number returns a number, or nil for null and for other types. Other types are
// problems.
func (d *document) number(path string, text json.RawMessage) *float64 {
	if isNull(text) {
		return nil
	}
	if jsonType(text) != numberType {
		d.problem("%s is %s, where a number is wanted", path, shown(text))
		return nil
	}
	value, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		d.problem("%s is %s, which is too large", path, text)
		return nil
	}
	return &value
}

// integer returns a whole number of 32 bits, or nil for null and for other values.
// Other values are problems. 42.0 is a whole number: pandas and R write a decimal
// point into every number of a column with missing values.
func (d *document) integer(path string, text json.RawMessage) *int {
	if typ := jsonType(text); typ != numberType && !isNull(text) {
		d.problem("%s is %s, where a whole number is wanted", path, shown(text))
		return nil
	}
	value := d.number(path, text)
	switch {
	case value == nil:
		return nil
	case *value != math.Trunc(*value):
		d.problem("%s is %s, where a whole number is wanted", path, text)
		return nil
	case *value < math.MinInt32 || *value > math.MaxInt32:
		d.problem("%s is %s: give a whole number from %d to %d", path, text, math.MinInt32, math.MaxInt32)
		return nil
	}
	integer := int(*value)
	return &integer
}

func parseContour(text json.RawMessage) (contour.Polygon, error) {
	var input contour.Input
	input.Read(jsonscan.New(string(text))) // text is valid JSON
	return input.Check()
}

// decode returns the value of valid JSON, with numbers as the document spells them.
func decode(text json.RawMessage) any {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	_ = decoder.Decode(&value) // text is valid JSON
	return value
}

// isNull reports whether a member is null or absent.
func isNull(text json.RawMessage) bool { return len(text) == 0 || text[0] == 'n' }

// The types of JSON, with their articles.
const (
	objectType = "an object"
	listType   = "a list"
	stringType = "a string"
	numberType = "a number"
)

// jsonType returns the type of valid JSON without leading space.
func jsonType(text json.RawMessage) string {
	if isNull(text) {
		return "null"
	}
	switch text[0] {
	case '{':
		return objectType
	case '[':
		return listType
	case '"':
		return stringType
	case 't', 'f':
		return "a boolean"
	}
	return numberType
}

// shown returns the type of a value and, if the value is short, the value.
func shown(text json.RawMessage) string {
	const longest = 40 // bytes
	if typ := jsonType(text); len(text) > longest || typ == objectType || typ == listType || typ == "null" {
		return typ
	}
	return jsonType(text) + ", " + string(text)
}
