package annotations

import (
	"cmp"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tagma/internal/base/rawjson"
)

func TestScan_FindsWhatDecodeReads(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := encode(r, drawn().Draw(r, "objects"))
		if rapid.Bool().Draw(r, "as ent writes it") {
			var err error
			if b, err = json.Marshal(b); err != nil {
				r.Fatal(err)
			}
		}
		want, err := Decode(b, nil)
		if err != nil {
			r.Fatal(err)
		}
		n := 0
		err = Scan(b, func(m *Members) error {
			object := []byte{}
			for field, name := range Fields {
				if m[field] == nil { // Object has null as no member
					continue
				}
				object = append(append(object, `{,,,,,,`[min(field, 1)], '"'), name+`":`...)
				if object, err = m.Append(object, field); err != nil {
					return err
				}
			}
			var got Object
			if err := json.Unmarshal(append(object, '}'), &got); err != nil || !reflect.DeepEqual(got, want[n]) {
				r.Errorf("found\n%+v, want\n%+v: %v", got, want[n], err)
			}
			if text := rawjson.AppendText(nil, got.Name); !strings.Contains(string(object), `"name":`+string(text)+",") {
				r.Errorf("%s: not as answers have it", object)
			}
			if !m.HasName(want[n].Name) || m.HasName(want[n].Name+"x") {
				r.Errorf("%s: is it named %q?", m[0], want[n].Name)
			}
			n++
			return nil
		})
		if err != nil || n != len(want) {
			r.Errorf("found %d of %d: %v", n, len(want), err)
		}
	})
}

// square is an object as it is kept.
const square = `{"name":"a","contour":[[0,0],[1,0],[1,1]],"fillColour":null,"strokeColour":null,"value":1,"boundingBox":[0,0,1,1],"area":0.5}`

func TestScan_TakesNoOtherSpelling(t *testing.T) {
	for _, text := range []string{
		"", "null", "[", "{}", "[{}]", "[" + square, "[" + square + "," + "]", "[" + square + square + "]", " [" + square + "]",
		"[" + strings.Replace(square, `"name":`, `"name": `, 1) + "x", "[" + strings.Replace(square, `"value":1,`, "", 1) + "]",
		"[" + strings.Replace(square, `"name":"a"`, `"name":"a`, 1) + "]", "[" + strings.Replace(square, `:0.5}`, `:0.5,"more":1}`, 1) + "]",
		"[" + strings.Replace(square, `:0.5}`, `:0.5,"attributes":{},"score":1}`, 1) + "]", "[" + strings.Replace(square, `:0.5}`, `:0.5,"attributes":{}`, 1) + "]",
		"[" + strings.Replace(square, `:0.5}`, `:0.5,"score":}`, 1) + "]",
	} {
		if err := Scan(rawjson.Value(text), func(*Members) error { return nil }); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	if err := Scan(rawjson.Value("["+square+","+square+"]"), func(*Members) error { return nil }); err != nil {
		t.Errorf("scan of two stored objects: got error %v, want nil", err)
	}
}

// answered is an object in the form of answers.
type answered struct {
	Name                     string
	Contour                  rawjson.Value
	FillColour, StrokeColour *string
	Value                    *int
	BoundingBox              map[string]float64
	Area                     float64
	Score                    *float64
	Attributes               json.RawMessage
}

func TestAppendAll_WritesBoundingBoxesAsObjectsAndAbsentFieldsAsNull(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		fields := rapid.SampledFrom([]int{RequiredFields, len(Fields)}).Draw(r, "fields")
		b := encode(r, drawn().Draw(r, "objects"))
		objects, err := Decode(b, nil)
		if err != nil {
			r.Fatal(err)
		}
		want := make([]answered, len(objects))
		for n, o := range objects {
			box := map[string]float64{"x": o.BoundingBox.X, "y": o.BoundingBox.Y, "width": o.BoundingBox.Width, "height": o.BoundingBox.Height}
			want[n] = answered{o.Name, o.Contour, o.FillColour, o.StrokeColour, o.Value, box, o.Area, nil, nil}
			if fields == len(Fields) {
				want[n].Score, want[n].Attributes = o.Score, json.RawMessage(cmp.Or(string(o.Attributes), "null"))
			}
		}
		text, ok := AppendAll([]byte("before"), b, len(objects), fields)
		if hasEscape := strings.Contains(string(b), `\`); ok == hasEscape {
			r.Fatalf("AppendAll of %s returns %v", b, ok)
		} else if hasEscape {
			return
		}
		if n := strings.Count(string(text), `"score":`); n < len(objects)*(fields-RequiredFields)/2 {
			r.Errorf("%s: got %d scores, want %d at least", text, n, len(objects))
		}
		var got []answered
		if err := json.Unmarshal(text[len("before"):], &got); err != nil || !reflect.DeepEqual(got, want) {
			r.Errorf("got\n%s, want\n%+v: %v", text, want, err)
		}
	})
}

func TestAppendAll_RefusesOtherSpellingsAndNumbers(t *testing.T) {
	const one = "[" + square + "]"
	for _, c := range []struct {
		text  string
		count int
	}{
		{one, 2},
		{"[" + square + "," + square + "]", 1},
		{strings.Replace(one, `"a"`, `"\u0061"`, 1), 1},
		{strings.Replace(one, "[0,0,1,1]", "[0,0,1]", 1), 1},
		{strings.Replace(one, "[0,0,1,1]", "[0,0,1,1,1]", 1), 1},
		{strings.Replace(one, "[0,0,1,1]", "[0,0,1,1", 1), 1},
		{strings.Replace(one, "[0,0,1,1]", "null", 1), 1},
		{strings.Replace(one, `"area":`, `"size":`, 1), 1},
		{strings.Replace(one, `0.5}`, `0.5,"attributes":{"a":1`, 1), 1},
		{strings.Replace(one, `0.5}`, `0.5,"score":}`, 1), 1},
		{strings.Replace(one, `"boundingBox":`, `"boundingBox": `, 1), 1},
	} {
		if got, ok := AppendAll(nil, rawjson.Value(c.text), c.count, len(Fields)); ok {
			t.Errorf("AppendAll(%s, %d) = %s, want a refusal", c.text, c.count, got)
		}
	}
	const want = `[{"name":"a","contour":[[0,0],[1,0],[1,1]],"fillColour":null,"strokeColour":null,"value":1,"boundingBox":{"x":0,"y":0,"width":1,"height":1},"area":0.5}]`
	if got, ok := AppendAll(nil, rawjson.Value(one), 1, RequiredFields); !ok || string(got) != want {
		t.Errorf("AppendAll = %s, %v, want %s", got, ok, want)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("[" + square + "," + square + "]")
	f.Add("[" + strings.Replace(square, ":0.5}", `:0.5,"score":1,"attributes":{"a":[{"b":"}"}]}}`, 1) + "," + square + "]")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = AppendAll(nil, rawjson.Value(text), 2, len(Fields)) // does not panic
		_ = Scan(rawjson.Value(text), func(m *Members) error {     // and does not panic
			m.HasName("a")
			_, _ = m.Box()
			for field := range Fields {
				_, _ = m.Append(nil, field)
			}
			return nil
		})
	})
}
