package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tagma/internal/testing/testenv"
)

// annotationRules are things that are wrong with an annotation of the image at
// 0, which has 160×120 pixels, and where.
func annotationRules(md5 string) []struct {
	input      vars
	code, path string
} {
	with := func(change func(addition, object vars)) vars {
		object := insect("moth", 10)
		one := addition(trap, 0, md5, "wrong", object)
		change(one, object)
		return one
	}
	contour := func(c any) vars { return with(func(_, object vars) { object["contour"] = c }) }
	long := strings.Repeat("ü", 201)
	return []struct {
		input      vars
		code, path string
	}{
		{with(func(a, _ vars) { a["image"] = vars{"device": "trap", "takenAt": at(0)} }), "BAD_USER_INPUT", "image device"},
		{with(func(a, _ vars) { a["image"] = vars{"device": trap, "takenAt": "2020-06-20T20:00:00.5Z"} }), "BAD_USER_INPUT", "image takenAt"},
		{with(func(a, _ vars) { a["image"] = key(trap, 9) }), "NOT_FOUND", "image"},
		{with(func(a, _ vars) { a["md5"] = hexOf("another") }), "CONFLICT", "md5"},
		{with(func(a, _ vars) { a["md5"] = "" }), "CONFLICT", "md5"},
		{with(func(a, _ vars) { a["algorithm"] = vars{"name": "", "version": "1"} }), "BAD_USER_INPUT", "algorithm name"},
		{with(func(a, _ vars) { a["algorithm"] = vars{"name": "x", "version": long} }), "BAD_USER_INPUT", "algorithm version"},
		{with(func(a, _ vars) { a["algorithm"] = vars{"name": "x\x00", "version": "1"} }), "BAD_USER_INPUT", "algorithm name"},
		{with(func(a, o vars) { a["objects"] = slices.Repeat([]vars{{"name": "x", "contour": 0}}, 10_001) }), "TOO_LARGE", "objects"},
		{with(func(_, o vars) { o["name"] = "" }), "BAD_USER_INPUT", "objects 0 name"},
		{with(func(_, o vars) { o["name"] = long }), "BAD_USER_INPUT", "objects 0 name"},
		{with(func(_, o vars) { o["fillColour"] = "" }), "BAD_USER_INPUT", "objects 0 fillColour"},
		{with(func(_, o vars) { o["strokeColour"] = long }), "BAD_USER_INPUT", "objects 0 strokeColour"},
		{contour(nil), "", ""}, // the schema's own
		{contour("x"), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([]int{1, 2, 3}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([][2]int{{0, 0}, {1, 1}}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([][]int{{0, 0}, {1, 1}, {2}}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([][]int{{0, 0}, {1, 1}, {2, 3, 4}}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([]any{[]any{0, 0}, []any{1, 1}, []any{2, "3"}}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([]any{[]any{0, 0}, []any{1, 1}, []any{2, json.Number("1e999")}}), "BAD_USER_INPUT", "objects 0 contour"},
		{contour([][2]float64{{0, 0}, {1, 1}, {320.5, 3}}), "BAD_USER_INPUT", "objects 0 contour 2"},
		{contour([][2]float64{{0, -120.5}, {1, 1}, {2, 3}}), "BAD_USER_INPUT", "objects 0 contour 0"},
	}
}

func TestAnnotations_EachRuleIsToldWithItsPlace(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
		for n, rule := range annotationRules(md5) {
			if rule.code == "" {
				if got := admin.do(putAnnotations, vars{"input": rule.input}); got.code() != "BAD_USER_INPUT" {
					t.Errorf("rule %d is answered %s", n, got.Body)
				}
				continue
			}
			good := addition(trap, 0, md5, "good", insect("moth", 10))
			path := append([]string{"input", "1"}, strings.Fields(rule.path)...)
			right := func(p []problem) bool {
				return len(p) == 1 && p[0].Code == rule.code && slices.Equal(p[0].Path, path) && p[0].Message != ""
			}
			got := admin.do(putAnnotations, vars{"input": []vars{good, rule.input}, "atomic": true})
			if got.code() != rule.code || !right(got.Errors[0].Extensions.Problems) {
				t.Errorf("rule %d (%s) is answered %.500s", n, rule.path, got.Body)
			}
		}
		if left := admin.versions(0); len(left) != 0 {
			t.Errorf("all or none has left %v", left)
		}
	})
}

// versions is those of the annotations of the image at n.
func (c *client) versions(n int) []string {
	c.t.Helper()
	var got struct {
		Annotations []struct{ Algorithm struct{ Version string } }
	}
	c.must(&got, `query($images: [ImageKey!]!) { annotations(images: $images) { algorithm { version } } }`, vars{"images": []vars{key(trap, n)}})
	var versions []string
	for _, one := range got.Annotations {
		versions = append(versions, one.Algorithm.Version)
	}
	return versions
}

func TestAnnotations_AllProblemsAreToldAtOnceAndWithoutAtomicTheGoodOnesAreAdded(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
		bad := addition(trap, 0, hexOf("another"), "", vars{"name": "", "contour": [][2]int{{0, 0}}}, insect("moth", 10), insect("far", 1000))
		input := []vars{
			addition(trap, 0, md5, "1", insect("moth", 10)), bad,
			addition(trap, 7, md5, "2"), addition(trap, 0, strings.ToUpper(md5), "2"),
		}
		want := [][]string{
			{"input", "1", "md5"}, {"input", "1", "algorithm", "version"}, {"input", "1", "objects", "0", "name"},
			{"input", "1", "objects", "0", "contour"}, {"input", "1", "objects", "2", "contour", "0"}, {"input", "2", "image"},
		}
		got := admin.do(putAnnotations, vars{"input": input})
		if len(got.Errors) != 1 {
			t.Fatalf("it is answered %s", got.Body)
		}
		var paths [][]string
		for _, p := range got.Errors[0].Extensions.Problems {
			paths = append(paths, p.Path)
		}
		if !reflect.DeepEqual(paths, want) {
			t.Errorf("the problems are at %v", paths)
		}
		if left := admin.versions(0); len(left) != 0 {
			t.Errorf("all or none has left %v", left)
		}

		results := admin.put(false, input...)
		if len(results) != 4 || results[0].Annotation == nil || len(results[0].Problems) != 0 || results[1].Annotation != nil || len(results[1].Problems) != 5 ||
			len(results[2].Problems) != 1 || results[3].Annotation == nil {
			t.Errorf("without atomic the results are %+v", results)
		}
		if left := admin.versions(0); !slices.Equal(left, []string{"1", "2"}) {
			t.Errorf("the good ones are %v", left)
		}
	})
}

func TestAnnotations_TheSameAgainIsHarmlessAndAnotherOneIsAConflict(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
		nested := insect("moth", 10)
		nested["contour"] = []any{[]any{[]float64{10, 10}}, []any{[]float64{20, 10}}, []any{[]float64{20, 20}}, []any{[]float64{10, 20}}}
		same := addition(trap, 0, md5, "1", insect("moth", 10))
		first := admin.put(true, same, same)
		again := admin.put(true, addition(strings.ToUpper(trap), 0, md5, "1", nested))
		if *first[0].Annotation != *first[1].Annotation || *first[0].Annotation != *again[0].Annotation {
			t.Errorf("the same are %+v %+v", first, again)
		}
		for _, other := range []vars{
			addition(trap, 0, md5, "1"),
			addition(trap, 0, md5, "1", insect("moth", 11)),
			addition(trap, 0, md5, "1", insect("fly", 10)),
			addition(trap, 0, md5, "1", insect("moth", 10), insect("moth", 10)),
		} {
			got := admin.put(false, other)[0]
			if got.Annotation != nil || len(got.Problems) != 1 || got.Problems[0].Code != "CONFLICT" || !slices.Equal(got.Problems[0].Path, []string{"input", "0", "algorithm"}) {
				t.Errorf("another one is answered %+v", got)
			}
		}
		twice := admin.put(false, addition(trap, 0, md5, "2"), addition(trap, 0, md5, "2", insect("moth", 10)))
		if twice[0].Annotation == nil || len(twice[1].Problems) != 1 {
			t.Errorf("two that differ in one request: %+v", twice)
		}

		// At once, in whatever order.
		input := make([]vars, 50)
		for n := range input {
			input[n] = addition(trap, 0, md5, fmt.Sprintf("many %02d", n), insect("moth", n))
		}
		backwards := slices.Clone(input)
		slices.Reverse(backwards)
		together(t, 8, func(n int) (any, error) {
			return nil, admin.tryDo(nil, putAnnotations, vars{"input": [][]vars{input, backwards}[n%2]})
		})
		if got := admin.versions(0); len(got) != 52 {
			t.Errorf("there are %d: %v", len(got), got)
		}
	})
}

func TestAnnotations_ComeBackAsObjectsAndAsTheDocumentThatWasSent(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
		objects := []vars{
			{"name": "insect", "contour": [][][2]float64{{{10, 12}}, {{40, 12}}, {{40, 30}}, {{10, 30}}}, "fillColour": "#ff0000", "strokeColour": "#0000ff", "value": 3, "score": 0.93, "attributes": vars{"legs": 6, "a": []any{nil, "<ü>"}}},
			{"name": "Schmetterling \"ü\" 🦋 </script>", "contour": [][2]float64{{-160, 0}, {0.1, 0.2}, {320, 240}}, "value": -2147483648},
			{"name": "insect", "contour": [][2]float64{{1e-7, 0}, {1, 0}, {1, 1}}},
		}
		admin.put(true, addition(trap, 0, md5, "1", objects...), addition(trap, 0, md5, "2"))
		type object struct {
			Name                     string
			Contour                  [][]float64
			FillColour, StrokeColour *string
			Value                    *int
			BoundingBox              struct{ X, Y, Width, Height float64 }
			Area                     float64
			Score                    *float64
			Attributes               json.RawMessage
		}
		var got struct {
			Image struct {
				Annotations []struct {
					ObjectCount      int
					Objects, Insects []object
					None             []object
					Document         any
					CreatedAt        string
					CreatedBy        struct{ Username string }
					Image            struct{ Md5 string }
				}
			}
		}
		admin.must(&got, `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { annotations {
		  objectCount document createdAt createdBy { username } image { md5 }
		  objects { name contour fillColour strokeColour value boundingBox { x y width height } area score attributes }
		  insects: objects(name: "insect") { name contour value area score attributes }
		  none: objects(name: "Insect") { name } } } }`, key(trap, 0))
		if len(got.Image.Annotations) != 2 {
			t.Fatalf("there are %+v", got)
		}
		one, empty := got.Image.Annotations[0], got.Image.Annotations[1]
		if one.ObjectCount != 3 || len(one.Objects) != 3 || len(one.Insects) != 2 || len(one.None) != 0 || one.CreatedBy.Username != "admin" || one.Image.Md5 != md5 {
			t.Fatalf("the annotation is %+v", one)
		}
		if o := one.Objects[1]; o.Name != objects[1]["name"] || !reflect.DeepEqual(o.Contour, [][]float64{{-160, 0}, {0.1, 0.2}, {320, 240}}) ||
			*o.Value != -2147483648 || o.FillColour != nil || o.BoundingBox != struct{ X, Y, Width, Height float64 }{-160, 0, 480, 240} {
			t.Errorf("the object is %+v", o)
		}
		if o := one.Insects[0]; *o.Value != 3 || o.Area != 540 {
			t.Errorf("the insect is %+v", o)
		}
		for _, list := range [][]object{one.Objects, one.Insects} {
			if o := list[0]; o.Score == nil || *o.Score != 0.93 || string(o.Attributes) != `{"a":[null,"<ü>"],"legs":6}` {
				t.Errorf("the first object: got score %v and attributes %s, want what was sent", o.Score, o.Attributes)
			}
			if o := list[1]; o.Score != nil || string(o.Attributes) != "null" {
				t.Errorf("the second object: got score %v and attributes %s, want neither", o.Score, o.Attributes)
			}
		}
		want := map[string]any{
			"annotations": []any{
				map[string]any{"name": "insect", "contour": []any{[]any{[]any{10, 12}}, []any{[]any{40, 12}}, []any{[]any{40, 30}}, []any{[]any{10, 30}}}, "fill_colour": "#ff0000", "stroke_colour": "#0000ff", "value": 3, "score": 0.93, "legs": 6, "a": []any{nil, "<ü>"}},
				map[string]any{"name": objects[1]["name"], "contour": []any{[]any{[]any{-160, 0}}, []any{[]any{0.1, 0.2}}, []any{[]any{320, 240}}}, "value": -2147483648},
				map[string]any{"name": "insect", "contour": []any{[]any{[]any{1e-7, 0}}, []any{[]any{1, 0}}, []any{[]any{1, 1}}}},
			},
			"metadata": map[string]any{"algo_name": "detector", "algo_version": "1", "device": trap, "datetime": "2020-06-20_20-00-00", "md5": md5},
		}
		if !sameJSON(t, one.Document, want) {
			t.Errorf("the document is %v", one.Document)
		}
		want["annotations"] = []any{}
		want["metadata"].(map[string]any)["algo_version"] = "2"
		if empty.ObjectCount != 0 || len(empty.Objects) != 0 || !sameJSON(t, empty.Document, want) {
			t.Errorf("the empty one is %+v", empty)
		}
	})
}

func sameJSON(t testing.TB, a, b any) bool {
	t.Helper()
	texts := make([][]byte, 2)
	for n, v := range []any{a, b} {
		text, err := json.Marshal(v)
		if err == nil { // once more, so that numbers have one type
			var again any
			if err = json.Unmarshal(text, &again); err == nil {
				texts[n], err = json.Marshal(again)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return bytes.Equal(texts[0], texts[1])
}

func TestAnnotations_AreFoundByImagesAndBySeriesAndByWhatMadeThem(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		var input []vars
		for n, got := range admin.upload("REFUSE", snapshot(trap, 0, 1), snapshot(trap, 1, 1), snapshot(trap, 2, 1)) {
			for _, version := range []string{"1.0", "1_0", "2.0"} {
				one := addition(trap, n, got.Image.Md5, version)
				if version == "2.0" {
					one["algorithm"] = vars{"name": "Detector", "version": version}
				}
				input = append(input, one)
			}
		}
		slices.Reverse(input) // so that age and series are not the same order
		admin.put(true, input...)
		type annotation struct {
			Algorithm struct{ Name, Version string }
			Image     struct{ TakenAt string }
		}
		told := func(all []annotation) string {
			var text []string
			for _, one := range all {
				text = append(text, one.Image.TakenAt[18:19]+":"+one.Algorithm.Version)
			}
			return strings.Join(text, " ")
		}
		const fields = `{ algorithm { name version } image { takenAt } }`

		var byKeys struct{ Annotations []annotation }
		admin.must(&byKeys, `query($images: [ImageKey!]!) { annotations(images: $images, algorithm: {name: "detector"}) `+fields+` }`,
			vars{"images": []vars{key(trap, 2), key(trap, 9), key(strings.ToUpper(trap), 0), key(trap, 2)}})
		if got := told(byKeys.Annotations); got != "2:1_0 2:1.0 0:1_0 0:1.0" {
			t.Errorf("by keys there are %q", got)
		}
		for filter, want := range map[string]string{
			`{}`:                              "0:2.0 0:1_0 0:1.0",
			`{name: "%"}`:                     "0:2.0 0:1_0 0:1.0",
			`{name: "d%"}`:                    "0:1_0 0:1.0",
			`{name: "_etector"}`:              "0:2.0 0:1_0 0:1.0",
			`{version: "1_0"}`:                "0:1_0 0:1.0",
			`{version: "1\\_0"}`:              "0:1_0",
			`{name: "D%", version: "2%"}`:     "0:2.0",
			`{name: "D%", version: "1%"}`:     "",
			`{name: "detector", version: ""}`: "",
		} {
			var of struct {
				Image struct{ Annotations []annotation }
			}
			admin.must(&of, fmt.Sprintf(`query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { annotations(algorithm: %s) %s } }`, filter, fields), key(trap, 0))
			if got := told(of.Image.Annotations); got != want {
				t.Errorf("%s selects %q, want %q", filter, got, want)
			}
		}

		for size := 1; size <= 10; size += 3 {
			var walked []annotation
			var after *string
			for {
				var got struct{ AnnotationSeries connectionOf[annotation] }
				admin.must(&got, `query($series: [SeriesInput!]!, $first: Int, $after: String) {
				  annotationSeries(series: $series, first: $first, after: $after) { totalCount nodes `+fields+` pageInfo { hasNextPage endCursor } } }`,
					vars{"series": []vars{{"device": "0a%", "start": at(0), "end": at(2)}, {"device": trap, "start": at(1), "end": at(2)}}, "first": size, "after": after})
				if got.AnnotationSeries.TotalCount != 6 {
					t.Fatalf("the total is %d", got.AnnotationSeries.TotalCount)
				}
				walked = append(walked, got.AnnotationSeries.Nodes...)
				if after = got.AnnotationSeries.PageInfo.EndCursor; !got.AnnotationSeries.PageInfo.HasNextPage {
					break
				}
			}
			if got := told(walked); got != "0:2.0 0:1_0 0:1.0 1:2.0 1:1_0 1:1.0" {
				t.Errorf("the series by %d is %q", size, got)
			}
		}
	})
}

func TestAnnotations_APatternMeansTheSameInWhateverOrderTheDatabaseSorts(t *testing.T) {
	t.Parallel()
	s := start(t, testenv.Postgres(t))
	admin, db := s.admin(), s.tables()
	// As in a database that was made for a language, where a colon comes
	// before the digits and not after them.
	_, err := db.SQL.ExecContext(t.Context(), `ALTER TABLE annotations ALTER algorithm_version TYPE varchar COLLATE "en-x-icu"`)
	if err != nil {
		t.Fatal(err)
	}
	md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
	admin.put(true, addition(trap, 0, md5, "1.9.3"))
	var got struct{ Image struct{ Annotations []any } }
	admin.must(&got, `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) { annotations(algorithm: {version: "1.9%"}) { id } } }`, key(trap, 0))
	if len(got.Image.Annotations) != 1 {
		t.Errorf("1.9%% finds %v", got.Image.Annotations)
	}
}
