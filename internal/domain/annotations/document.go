package annotations

import (
	"bytes"
	"encoding/json"
	"fmt"

	ent "tagma/ent/generated"
	"tagma/internal/base/contour"
	"tagma/internal/base/rawjson"
)

// documentFields are the fields of an object in a document. A document holds the
// members of attributes beside these fields, so that attributes have no member of
// the same name.
var documentFields = []string{"contour", "name", "stroke_colour", "fill_colour", "value", "score"}

// parseAttributes returns attributes in their stored form: the members sorted by
// name, without spaces, in the spelling of answers. parseAttributes returns nil for
// null and for an object without members.
func parseAttributes(attributes rawjson.Value) (rawjson.Value, error) {
	if len(attributes) == 0 || bytes.Equal(attributes, []byte("null")) {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(attributes))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("is not an object: give an object, such as {\"sharpness\": 0.5}")
	}
	if len(members) == 0 {
		return nil, nil
	}
	for _, name := range documentFields {
		if _, ok := members[name]; ok {
			return nil, fmt.Errorf("has the member %q, which means a field of the object in documents: use another name", name)
		}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(members); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(text) > maxAttributesLength {
		return nil, fmt.Errorf("has %d bytes: at most %d are taken", len(text), maxAttributesLength)
	}
	return text, nil
}

// Document returns the annotation as a document of the Sticky Pi API
// (put_uid_annotations), with contours in OpenCV's nesting. Null fields are
// left out. The members of an object's attributes follow the fields of the object.
func Document(ann *ent.Annotation, img *ent.Image, storedObjects rawjson.Value) (rawjson.Value, error) {
	type object struct {
		Contour      json.RawMessage `json:"contour"`
		Name         string          `json:"name"`
		StrokeColour *string         `json:"stroke_colour,omitempty"`
		FillColour   *string         `json:"fill_colour,omitempty"`
		Value        *int            `json:"value,omitempty"`
		Score        *float64        `json:"score,omitempty"`
	}
	type metadata struct {
		AlgoName    string `json:"algo_name"`
		AlgoVersion string `json:"algo_version"`
		Device      string `json:"device"`
		Datetime    string `json:"datetime"`
		MD5         string `json:"md5"`
	}
	objects, err := Decode(storedObjects, nil)
	if err != nil {
		return nil, err
	}
	items := make([]rawjson.Value, len(objects))
	for n, o := range objects {
		var points []any
		if err := json.Unmarshal(o.Contour, &points); err != nil {
			return nil, err
		}
		polygon, err := contour.Parse(points)
		if err != nil {
			return nil, err
		}
		item, err := rawjson.Of(object{polygon.AppendOpenCV(nil), o.Name, o.StrokeColour, o.FillColour, o.Value, o.Score})
		if err != nil {
			return nil, err
		}
		if len(o.Attributes) > 0 { // {…,"score":0.5} and {"sharpness":0.5}
			item = append(append(item[:len(item)-1], ','), o.Attributes[1:]...)
		}
		items[n] = item
	}
	return rawjson.Of(struct {
		Annotations []rawjson.Value `json:"annotations"`
		Metadata    metadata        `json:"metadata"`
	}{items, metadata{ann.AlgorithmName, ann.AlgorithmVersion, img.DeviceID, img.TakenAt.Trap(), img.Md5}})
}
