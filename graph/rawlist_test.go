package graph

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tagma/graph/generated"
	"tagma/internal/base/caller"
)

// lists are long ones that are made up.
type lists struct{ plain bool } // with nothing that the schema does not allow

// other is a value of JSON in the place of a right one: mostly that.
func (l lists) other(r *rapid.T, right any) any {
	if l.plain || rapid.IntRange(0, 25).Draw(r, "otherwise") > 0 {
		return right
	}
	return rapid.SampledFrom([]any{
		nil, "", "text", 3, 2.5, -1, json.Number("1e2"), json.Number("1e400"), json.Number("2147483648"), true, []any{}, map[string]any{}, []any{right},
	}).Draw(r, "other")
}

// members is an object with another member now and then, or without one.
func (l lists) members(r *rapid.T, right map[string]any) any {
	if l.plain {
		return right
	}
	switch rapid.IntRange(0, 150).Draw(r, "members") {
	case 0:
		right["more"] = 1
	case 1:
		right["__typename"] = "T"
	case 2: // one only: which of several is told of is a matter of luck
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(right))).Draw(r, "member")
		right[strings.ToUpper(name)] = right[name]
	case 3, 4:
		delete(right, rapid.SampledFrom(slices.Sorted(maps.Keys(right))).Draw(r, "member"))
	}
	return l.other(r, right)
}

// wide is enough space to make a list a raw list. With items instead of space, the
// server would answer thousands of items again and again.
var wide = bytes.Repeat([]byte(" \n\t\r"), 5000)

func drawPrints(r *rapid.T) []any {
	l := lists{plain: rapid.Bool().Draw(r, "plain")}
	items := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) any {
		return l.members(r, map[string]any{
			"device":  l.other(r, rapid.SampledFrom([]string{traps[0], strings.ToUpper(traps[1]), "x", odd[2]}).Draw(r, "device")),
			"takenAt": l.other(r, rapid.SampledFrom([]any{taken(1), "2020-06-20T23:33:24.000+02:00", "2020"}).Draw(r, "taken")),
			"md5":     l.other(r, rapid.SampledFrom([]string{hashed, strings.ToUpper(hashed), "short"}).Draw(r, "md5")),
		})
	}), 0, 3).Draw(r, "prints")
	return append(items, print(0, 77, hashed))
}

func drawAdditions(r *rapid.T) []any {
	l := lists{plain: rapid.Bool().Draw(r, "plain")}
	point := rapid.Custom(func(r *rapid.T) any {
		return l.other(r, []any{l.other(r, rapid.IntRange(-10, 1500).Draw(r, "x")), l.other(r, rapid.Float64Range(-1, 1500).Draw(r, "y"))})
	})
	object := rapid.Custom(func(r *rapid.T) any {
		contour := any(rapid.SliceOfN(point, 2, 5).Draw(r, "contour"))
		if rapid.IntRange(0, 5).Draw(r, "nested") == 0 { // as OpenCV has it
			contour = []any{[]any{[]any{1, 2}}, []any{[]any{3, 4}}, []any{[]any{5, 7}}}
		}
		return l.members(r, map[string]any{
			"name": l.other(r, rapid.SampledFrom(odd).Draw(r, "name")), "contour": l.other(r, contour),
			"fillColour": l.other(r, nil), "strokeColour": l.other(r, "#ff0000"), "value": l.other(r, 7),
			"score": l.other(r, 0.5), "attributes": l.other(r, map[string]any{"b": []any{json.Number("1.50"), "<"}, "a": nil}),
		})
	})
	items := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) any {
		// The first image has no size, and so takes any outline; the second none.
		n := rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(r, "image")
		return l.members(r, map[string]any{
			"image": l.members(r, map[string]any{"device": l.other(r, traps[0]), "takenAt": l.other(r, taken(n))}),
			"md5":   l.other(r, []string{odd[0], hashed}[n]),
			"algorithm": l.members(r, map[string]any{
				"name": l.other(r, rapid.SampledFrom(odd).Draw(r, "algorithm")), "version": l.other(r, rapid.SampledFrom([]string{"1", "2", "\x00"}).Draw(r, "version")),
			}),
			"objects": l.other(r, rapid.SliceOfN(object, 0, 3).Draw(r, "objects")),
		})
	}), 1, 2).Draw(r, "additions")
	return append(items, map[string]any{
		"image": imageKey(1, 1), "md5": hashed, "algorithm": map[string]any{"name": "filler", "version": "1"},
		"objects": []any{map[string]any{"name": "moth", "contour": []any{[]any{0, 0}, []any{1, 0}, []any{1, 1.5}}, "value": nil}},
	})
}

func TestRawList_IsDecodedAsAShortList(t *testing.T) {
	each(t, func(t *testing.T, w *ways) {
		for query, draw := range map[string]func(*rapid.T) []any{
			`query($list: [ImageFingerprint!]!) { diffImages(images: $list) { device takenAt verdict } }`:                drawPrints,
			`query($list: [ImageFingerprint!]!) { diffImages(images: $list) { takenAt verdict image { id } } }`:          drawPrints,
			`query($list: [ImageFingerprint!]) { a: diffImages(images: $list) { verdict } b: device(name: "x") { id } }`: drawPrints,
			`mutation($list: [AnnotationInput!]!) { putAnnotations(input: $list, atomic: false) {
				results { annotation { id objectCount objects { name contour value area score attributes } } problems { path message } } } }`: drawAdditions,
			`mutation($list: [AnnotationInput!]!) { putAnnotations(input: $list) { results { annotation { id } } } }`: drawAdditions,
			`query($list: [ImageKey!]!) { images(keys: $list) { id } }`: func(r *rapid.T) []any {
				return []any{imageKey(0, 1), imageKey(0, rapid.IntRange(1, 77).Draw(r, "image"))}
			},
		} {
			rapid.Check(t, func(r *rapid.T) {
				o := operation{query: query, variables: map[string]any{"list": draw(r)}, role: caller.Writer, wide: true}
				if strings.HasPrefix(query, "mutation") {
					answer(r.Context(), w.ordinary, o) // stores the rows that all runs below find
				}
				if difference := w.compare(r.Context(), o); difference != "" {
					r.Fatalf("the two ways to read a list: got a difference, want none: %.5000s", difference)
				}
			})
		}
	})
}

func TestRawList_ABodyThatIsNotJSONIsRefusedAsSuch(t *testing.T) {
	w := newWays(t, sqlite(t))
	w.fill(t)
	prints := make([]any, 300)
	for n := range prints {
		prints[n] = print(0, n, hashed)
	}
	list, err := json.Marshal(prints)
	if err != nil {
		t.Fatal(err)
	}
	send := func(h http.Handler, body string) string {
		r := httptest.NewRequestWithContext(caller.With(t.Context(), &caller.Caller{UserID: 1, Role: caller.Reader}), http.MethodPost, "/graphql", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		return fmt.Sprint(answer.Code, answer.Body)
	}
	const takes = `query($list: [ImageFingerprint!]!) { diffImages(images: $list) { verdict } }`
	for _, query := range []string{takes, `{ viewer { id } }`, `query($list: [ImageKey!]!) { images(keys: $list) { id } }`, `{ nothing }`, `{`} {
		for _, broken := range []string{
			string(list), strings.Replace(string(list), `,"`, `,"}`, 1), strings.Replace(string(list), `"},`, `"}, nul, `, 1), strings.Replace(string(list), `"},`, `"} `, 1),
			strings.Replace(string(list), `:"`, `:"\x`, 1), strings.Replace(string(list), `:"`, `:"\ud800`, 1), strings.Replace(string(list), `"}`, `","md5":"x"}`, 1),
			strings.Replace(string(list), `"}`, "\x01\"}", 1), strings.Replace(string(list), `"}`, "\xff\"}", 1), string(list) + "]", string(list[1:]), string(list[:len(list)-1]),
		} {
			question, _ := json.Marshal(query)
			body := fmt.Sprintf(`{"query": %s, "variables": {"list": %s, "other": [1]}}`, question, broken)
			if got, want := send(w.fast, body), send(w.ordinary, body); got != want {
				t.Errorf("%s of %.200s: %.500s, want %.500s", query, broken, got, want)
			}
		}
	}
}

func TestRawList_AListWithoutErrorsIsDecodedHere(t *testing.T) {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for of, text := range map[string]string{
		"ImageFingerprint": `[{"device": "0a5bb6f4", "takenAt": "2020-06-20T21:33:24Z", "md5": "0123"}]`,
		"AnnotationInput": `[{"image": {"device": "0a5bb6f4", "takenAt": "2020-06-20T21:33:24Z"}, "md5": "0123", "algorithm": {"name": "a", "version": "1"},
			"objects": [{"name": "moth", "contour": [[0, 1], [2.5, -3], [4, 5e1]], "value": 3, "fillColour": null, "score": 0.5, "attributes": {"a": [1]}}]}]`,
	} {
		if schema.Types[of] == nil {
			t.Errorf("the schema has no %s", of)
		}
		if _, ok := listDecoders[of](text); !ok {
			t.Errorf("the decoder of %s refused %s", of, text)
		}
	}
}

func TestRawList_TheGuardSeesTheLengthOfTheList(t *testing.T) {
	w := newWays(t, sqlite(t))
	w.fill(t)
	o := operation{query: `query($list: [ImageFingerprint!]!) {`, variables: map[string]any{"list": slices.Repeat([]any{map[string]any{"device": "x", "takenAt": taken(1), "md5": "y"}}, 12_000)}}
	for n := range 99 {
		o.query += fmt.Sprintf(" a%d: diffImages(images: $list) { verdict }", n)
	}
	o.query += " }"
	_, want, _ := answer(t.Context(), w.ordinary, o)
	if _, got, _ := answer(t.Context(), w.fast, o); len(want) != 1 || !strings.Contains(want[0], "TOO_LARGE") || !slices.Equal(got, want) {
		t.Errorf("%.1000s, want %.1000s", got, want)
	}
}
