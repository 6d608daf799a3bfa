package annotations

import (
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
	} {
		if err := Scan(rawjson.Value(text), func(*Members) error { return nil }); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	if err := Scan(rawjson.Value("["+square+","+square+"]"), func(*Members) error { return nil }); err != nil {
		t.Errorf("scan of two stored objects: got error %v, want nil", err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add("[" + square + "," + square + "]")
	f.Fuzz(func(t *testing.T, text string) {
		_ = Scan(rawjson.Value(text), func(m *Members) error { // and does not panic
			m.HasName("a")
			for field := range Fields {
				_, _ = m.Append(nil, field)
			}
			return nil
		})
	})
}
