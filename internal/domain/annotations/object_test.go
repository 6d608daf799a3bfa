package annotations

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	ent "tagma/ent/generated"
	"tagma/internal/base/contour"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/rawjson"
)

// imageSize is the size of the image that drawn objects are on.
var imageSize = size{1600, 1200}

// drawn are objects that have nothing wrong with them, and their polygons.
func drawn() *rapid.Generator[[]NewObject] {
	text := rapid.OneOf(rapid.SampledFrom([]string{"insect", "<b>&\"\\", "Käfer", "😀\u2028", "\x01\n"}),
		rapid.StringMatching(`[a-z #0-9]{1,20}`))
	colour := rapid.Ptr(rapid.SampledFrom([]string{"#ff0000", "red", "<red>"}), true)
	coordinate := func(side int) *rapid.Generator[float64] {
		return rapid.OneOf(rapid.Map(rapid.IntRange(-side, 2*side), func(n int) float64 { return float64(n) }),
			rapid.Float64Range(-float64(side), 2*float64(side)), rapid.Float64Range(0, 1e-6))
	}
	attributes := rapid.Map(rapid.SampledFrom([]string{
		"", "", "null", "{}", `{"a":1}`, `{"z":[{"Box":[1,2]}],"b": 1e2}`, `{"text":"ab \\ \"}\"","none":null}`, `{"nameBox":[0,0,1,1]}`,
	}), func(text string) rawjson.Value { return rawjson.Value(text) })
	anyObject := rapid.Custom(func(r *rapid.T) NewObject {
		var points []any
		for range rapid.IntRange(3, 8).Draw(r, "vertices") {
			x, y := coordinate(imageSize.width).Draw(r, "x"), coordinate(imageSize.height).Draw(r, "y")
			point := any([]any{x, y})
			if rapid.Bool().Draw(r, "nested as OpenCV does") {
				point = []any{point}
			}
			points = append(points, point)
		}
		return NewObject{
			Name:         text.Draw(r, "name"),
			Contour:      contour.NewInput(points),
			FillColour:   colour.Draw(r, "fill"),
			StrokeColour: colour.Draw(r, "stroke"),
			Value:        rapid.Ptr(rapid.Map(rapid.Int32(), func(n int32) int { return int(n) }), true).Draw(r, "value"),
			Score:        rapid.Ptr(rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 0.93, 1e-7}), rapid.Float64Range(0, 1)), true).Draw(r, "score"),
			Attributes:   attributes.Draw(r, "attributes"),
		}
	}).Filter(func(o NewObject) bool {
		_, err := o.Contour.Check() // refuses vertices on one line
		return err == nil
	})
	return rapid.SliceOfN(anyObject, 0, 5)
}

// encode is what is kept of objects on an image of that size.
func encode(t interface{ Fatal(...any) }, objects []NewObject) rawjson.Value {
	var problems fault.Problems
	b := encodeObjects(objects, imageSize, &problems, nil)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return b
}

// as is an object as the schema has it, made without looking at how it is
// kept.
func as(t interface{ Fatal(...any) }, o NewObject) Object {
	polygon, err := o.Contour.Check()
	if err != nil {
		t.Fatal(err)
	}
	points, err := rawjson.Of(polygon)
	if err != nil {
		t.Fatal(err)
	}
	box := polygon.Box()
	return Object{o.Name, points, o.FillColour, o.StrokeColour, o.Value, Box{box[0], box[1], box[2], box[3]}, polygon.Area(), o.Score, members(t, o.Attributes)}
}

// members is attributes as storage has them: sorted by name, nothing for no members.
func members(t interface{ Fatal(...any) }, attributes rawjson.Value) rawjson.Value {
	sorted := map[string]json.RawMessage{}
	if len(attributes) > 0 {
		if err := json.Unmarshal(attributes, &sorted); err != nil {
			t.Fatal(err)
		}
	}
	if len(sorted) == 0 {
		return nil
	}
	text, err := json.Marshal(sorted)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// spelt is objects as they are kept: as encoding/json has them, but with the
// measures in the spelling of answers.
func spelt(t interface{ Fatal(...any) }, objects []Object) string {
	type asKept struct {
		Object
		BoundingBox json.RawMessage `json:"boundingBox"`
		Area        json.RawMessage `json:"area"`
		Score       json.RawMessage `json:"score,omitempty"`
		Attributes  json.RawMessage `json:"attributes,omitempty"`
	}
	all := make([]asKept, len(objects))
	for n, o := range objects {
		box := []byte{'['}
		for k, v := range [...]float64{o.BoundingBox.X, o.BoundingBox.Y, o.BoundingBox.Width, o.BoundingBox.Height} {
			if k > 0 {
				box = append(box, ',')
			}
			box = rawjson.AppendFloat(box, v)
		}
		all[n] = asKept{o, append(box, ']'), rawjson.AppendFloat(nil, o.Area), nil, json.RawMessage(o.Attributes)}
		if o.Score != nil {
			all[n].Score = rawjson.AppendFloat(nil, *o.Score)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEncode_IsTheSchemasObjectAsAnswersHaveIt(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		objects := drawn().Draw(r, "objects")
		want := make([]Object, len(objects))
		for n, o := range objects {
			want[n] = as(r, o)
		}
		got := encode(r, objects)
		if text := spelt(r, want); string(got) != text {
			r.Errorf("kept as\n%s, want\n%s", got, text)
		}
		decoded, err := Decode(got, nil)
		if err != nil || !reflect.DeepEqual(decoded, want) {
			r.Errorf("read as\n%+v, want\n%+v: %v", decoded, want, err)
		}
		for _, object := range want {
			matches, err := Decode(got, &object.Name)
			if err != nil || len(matches) == 0 {
				r.Errorf("%q selects %v: %v", object.Name, matches, err)
			}
			for _, match := range matches {
				if match.Name != object.Name {
					r.Errorf("%q selects %q", object.Name, match.Name)
				}
			}
		}
	})
}

func TestDocument_TheDocumentThatWasSentComesBack(t *testing.T) {
	takenAt, err := instant.Parse("2020-06-20T21:33:24Z")
	if err != nil {
		t.Fatal(err)
	}
	image := &ent.Image{DeviceID: "0a5bb6f4", TakenAt: takenAt, Md5: strings.Repeat("0f", 16)}
	annotation := &ent.Annotation{AlgorithmName: "sticky-pi-universal-insect-detector", AlgorithmVersion: "1600000000-<x>"}
	rapid.Check(t, func(r *rapid.T) {
		objects := drawn().Draw(r, "objects")
		all := make([]any, len(objects)) // as Sticky Pi writes them
		for n, o := range objects {
			polygon, err := o.Contour.Check()
			if err != nil {
				r.Fatal(err)
			}
			points := make([]any, len(polygon))
			for k, p := range polygon {
				points[k] = []any{[]any{p[0], p[1]}}
			}
			object := map[string]any{"name": o.Name, "contour": points}
			if o.FillColour != nil {
				object["fill_colour"] = *o.FillColour
			}
			if o.StrokeColour != nil {
				object["stroke_colour"] = *o.StrokeColour
			}
			if o.Value != nil {
				object["value"] = float64(*o.Value)
			}
			if o.Score != nil {
				object["score"] = *o.Score
			}
			if attributes := members(r, o.Attributes); attributes != nil {
				if err := json.Unmarshal(attributes, &object); err != nil { // adds the members
					r.Fatal(err)
				}
			}
			all[n] = object
		}
		want := map[string]any{"annotations": all, "metadata": map[string]any{
			"algo_name": annotation.AlgorithmName, "algo_version": annotation.AlgorithmVersion,
			"device": "0a5bb6f4", "datetime": "2020-06-20_21-33-24", "md5": image.Md5,
		}}
		text, err := Document(annotation, image, encode(r, objects))
		if err != nil {
			r.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			r.Errorf("got\n%v, want\n%v: %v", got, want, err)
		}
	})
}

func TestEncode_EveryProblemIsToldAtItsPlace(t *testing.T) {
	long, empty, nul := strings.Repeat("ä", maxNameLength+1), "", "a\x00b"
	value, score := math.MaxInt32+1, 93.0
	square := contour.NewInput([]any{[]any{0.0, 0.0}, []any{1.0, 0.0}, []any{1.0, 1.0}})
	at := func(x, y float64) contour.Input {
		return contour.NewInput([]any{[]any{0.0, 0.0}, []any{x, y}, []any{1.0, 1.0}})
	}
	var problems fault.Problems
	encodeObjects([]NewObject{
		{Name: "fine", Contour: square},
		{Name: empty, Contour: contour.NewInput("x"), FillColour: &empty, StrokeColour: &long, Value: &value},
		{Name: long, Contour: square},
		{Name: nul, Contour: square},
		{Name: "a\xff", Contour: square},
		{Name: strings.Repeat("ä", maxNameLength), Contour: at(-1600, 2400)}, // just within its own size
		{Name: "beyond", Contour: at(3200.5, 0)},
		{Name: "beyond", Contour: at(0, -1200.5)},
		{Name: "sure", Contour: square, Score: &score, Attributes: rawjson.Value(`[1]`)},
		{Name: "sure", Contour: square, Attributes: rawjson.Value(`{"name":"x"}`)},
		{Name: "sure", Contour: square, Attributes: rawjson.Value(`{"a":"` + strings.Repeat("x", maxAttributesLength) + `"}`)},
		{Name: "line", Contour: at(2, 2)},
	}, imageSize, &problems, []any{"input", 0, "objects"})
	var got []string
	for _, p := range problems.List() {
		if p.Code != fault.BadInput {
			t.Errorf("problem: got %+v, want the code %s", p, fault.BadInput)
		}
		got = append(got, strings.Join(p.Path, "."))
	}
	want := []string{
		"input.0.objects.1.name", "input.0.objects.1.fillColour", "input.0.objects.1.strokeColour", "input.0.objects.1.value", "input.0.objects.1.contour",
		"input.0.objects.2.name", "input.0.objects.3.name", "input.0.objects.4.name",
		"input.0.objects.6.contour.1", "input.0.objects.7.contour.1",
		"input.0.objects.8.score", "input.0.objects.8.attributes", "input.0.objects.9.attributes", "input.0.objects.10.attributes",
		"input.0.objects.11.contour",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCheck_AnAnnotationIsMeasuredAgainstItsImage(t *testing.T) {
	image := &ent.Image{DeviceID: "0a5bb6f4", Md5: strings.Repeat("ab", 16), Width: 1600, Height: 1200}
	good := Addition{MD5: strings.ToUpper(image.Md5), Algorithm: Algorithm{"a", "1"}}
	codes := func(d *draft) (all []string) {
		d.validate(3)
		for _, p := range d.problems.List() {
			all = append(all, strings.Join(p.Path, ".")+" "+string(p.Code))
		}
		return all
	}
	if got := codes(&draft{Addition: &good, image: image}); got != nil {
		t.Errorf("an MD5 in capitals: %q", got)
	}
	other := good
	other.MD5 = strings.Repeat("cd", 16)
	other.Algorithm = Algorithm{}
	other.Objects = make([]NewObject, MaxObjects+1)
	want := []string{
		"input.3.md5 CONFLICT", "input.3.algorithm.name BAD_USER_INPUT",
		"input.3.algorithm.version BAD_USER_INPUT", "input.3.objects TOO_LARGE",
	}
	if got := codes(&draft{Addition: &other, image: image}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	lost := &draft{Addition: &good}
	lost.key.Device = "0a5bb6f4"
	if got := codes(lost); !reflect.DeepEqual(got, []string{"input.3.image NOT_FOUND"}) {
		t.Errorf("no image: %q", got)
	}
}

func TestEncode_AttributesHaveOneSpelling(t *testing.T) {
	square := contour.NewInput([]any{[]any{0.0, 0.0}, []any{1.0, 0.0}, []any{1.0, 1.0}})
	for text, want := range map[string]string{
		`{"b": [1, 2.50], "a": "<ä>"}`: `,"attributes":{"a":"<ä>","b":[1,2.50]}}]`,
		`{}`:                           `"area":0.5}]`,
		`null`:                         `"area":0.5}]`,
	} {
		got := encode(t, []NewObject{{Name: "moth", Contour: square, Attributes: rawjson.Value(text)}})
		if !strings.HasSuffix(string(got), want) {
			t.Errorf("attributes %s: got %s, want the end %s", text, got, want)
		}
	}
}

func TestSameObjects_MeasuresOfOlderServersAreNoDifference(t *testing.T) {
	const stored = `[{"name":"a","contour":[[0,0],[1,0],[1,1]],"fillColour":null,"strokeColour":null,"value":1,"boundingBox":[0,0,1,1],"area":0.5}]`
	for other, want := range map[string]bool{
		stored: true,
		strings.Replace(stored, "0.5}", "0.5000000000000001}", 1):       true,
		strings.Replace(stored, "[0,0,1,1]", "[0,0,1,1.0000002]", 1):    true,
		strings.Replace(stored, `"value":1`, `"value":2`, 1):            false,
		strings.Replace(stored, `[1,1]]`, `[1,2]]`, 1):                  false,
		strings.Replace(stored, "0.5}", `0.5,"score":1}`, 1):            false,
		strings.Replace(stored, "0.5}", `0.5,"attributes":{"a":1}}`, 1): false,
		stored[1:]: false,
	} {
		if got := sameObjects(rawjson.Value(other), rawjson.Value(stored)); got != want {
			t.Errorf("sameObjects(%s): got %t, want %t", other, got, want)
		}
	}
}
