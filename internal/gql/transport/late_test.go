package transport

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestLate_ALongDocumentSaysWhatItWouldSayAtOnce(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.SampledFrom([]any{nil, true, "", `a "quoted" \ text`, "\u2028 ä 🪲", json.Number("1e400"), json.Number("-0.5"), json.Number("12345678901234567890")}),
		rapid.Map(rapid.String(), func(s string) any { return s }),
	)
	rapid.Check(t, func(r *rapid.T) {
		long := []any{strings.Repeat("x", longList)}
		for range rapid.IntRange(0, 5).Draw(r, "items") {
			long = append(long, map[string]any{"a": scalar.Draw(r, "a"), "b": []any{scalar.Draw(r, "b")}})
		}
		document, err := json.Marshal(map[string]any{
			"query": "query($list: [X!]!) { x }", "operationName": rapid.String().Draw(r, "operation"), "more": scalar.Draw(r, "more"),
			"variables": map[string]any{"list": long, "short": []any{scalar.Draw(r, "short")}, "other": scalar.Draw(r, "other")},
		})
		if err != nil {
			r.Fatal(err)
		}
		want, err := decodeParams("the body", document)
		if err != nil {
			r.Fatal(err)
		}
		got, ok := decodeLate(string(document))
		if !ok {
			r.Fatalf("%s is not read", document)
		}
		late, ok := got.Variables["list"].(Late)
		if !ok {
			r.Fatalf("the list is a %T", got.Variables["list"])
		}
		if got.Variables["list"], err = late.Decode(); err != nil || !reflect.DeepEqual(got, want) {
			r.Errorf("%+v, want %+v; %v", got, want, err)
		}
	})
}

func TestLate_AShortDocumentSaysTheSame(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		plain := rapid.OneOf(
			rapid.SampledFrom([]any{nil, true, false, json.Number("1e400"), json.Number("-0.5"), json.Number("12345678901234567890")}),
			rapid.Map(rapid.String(), func(s string) any { return s }),
		)
		if depth == 0 {
			return plain
		}
		return rapid.OneOf(plain,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(list []any) any { return list }),
			rapid.Map(rapid.MapOfN(rapid.String(), value(depth-1), 0, 3), func(object map[string]any) any { return object }),
		)
	}
	rapid.Check(t, func(r *rapid.T) {
		document, err := json.Marshal(map[string]any{
			"query":         rapid.StringN(1, -1, -1).Draw(r, "query"),
			"operationName": rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s })).Draw(r, "operation"),
			"variables":     rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.MapOfN(rapid.String(), value(3), 0, 4), func(o map[string]any) any { return o })).Draw(r, "variables"),
			"more":          value(2).Draw(r, "more"),
		})
		if err != nil {
			r.Fatal(err)
		}
		want, err := decodeParams("the body", document)
		if err != nil {
			r.Fatal(err)
		}
		got, ok := decodeLate(string(document))
		if !ok || !reflect.DeepEqual(got, want) {
			r.Errorf("%s: %+v, want %+v", document, got, want)
		}
	})
}

func TestLate_WhatIsOddIsLeft(t *testing.T) {
	list := `["` + strings.Repeat("x", longList) + `"]`
	for name, document := range map[string]string{
		"no object":           `[{"query": "{ x }", "variables": {"list": ` + list + `}}]`,
		"cut short":           `{"query": "{ x }", "variables": {"list": ` + list,
		"more after it":       `{"query": "{ x }", "variables": {"list": ` + list + `}} {}`,
		"a member twice":      `{"query": "{ x }", "query": "{ y }", "variables": {"list": ` + list + `}}`,
		"a variable twice":    `{"query": "{ x }", "variables": {"list": ` + list + `, "list": 1}}`,
		"twice, deep within":  `{"query": "{ x }", "variables": {"list": ` + list + `, "o": {"a": 1, "a": 2}}}`,
		"deep within":         `{"query": "{ x }", "variables": {"list": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}}`,
		"no query":            `{"variables": {"list": ` + list + `}}`,
		"a query of no text":  `{"query": 3, "variables": {"list": ` + list + `}}`,
		"a comma too many":    `{"query": "{ x }", "variables": {"list": ` + list + `, "o": 1,}}`,
		"a named document":    `{"query": "{ x }", "documentId": "d", "variables": {"list": ` + list + `}}`,
		"variables of a list": `{"query": "{ x }", "variables": ` + list + `}`,
	} {
		if params, ok := decodeLate(document); ok {
			t.Errorf("%s: got %s, want no late list", name, fmt.Sprintf("%.200v", params))
		}
	}
}

func TestLate_WhatIsOddWithinAListIsDecodedAsAtOnce(t *testing.T) {
	rest := `"` + strings.Repeat("x", longList) + `"]`
	for _, item := range []string{`"\ud800"`, `{"a": 1, "a": 2}`, `"\u0000"`, `1e400`, `"a" "b"`, `{`, `]`, `nul`, `"\x"`, `01`} {
		document := `{"query": "{ x }", "variables": {"o": {"a": 1}, "list": [` + item + `, ` + rest + `}}`
		want, wanted := decodeParams(theBody, []byte(document))
		got, ok := decodeLate(document)
		if !ok {
			continue // its end is not found
		}
		late := got.Variables["list"].(Late)
		var err error
		got.Variables["list"], err = late.Decode()
		if (wanted == nil) != (err == nil) || err == nil && !reflect.DeepEqual(got, want) || err != nil && err.Error() != wanted.Error() {
			t.Errorf("%s: %v, want %v", item, err, wanted)
		}
	}
}

func TestLate_WhatIsKeptOfADocumentIsNotAllOfIt(t *testing.T) {
	const size, many = 1 << 20, 64
	var kept []string
	heap := func() uint64 {
		var now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&now)
		return now.HeapAlloc
	}
	before := heap()
	for n := range many {
		params, ok := decodeLate(fmt.Sprintf(`{"query": "{ x%d }", "operationName": "o", "variables": {"v": "w"}, "more": "%s"}`, n, strings.Repeat("x", size)))
		if !ok {
			t.Fatal("not read")
		}
		kept = append(kept, params.Query, params.OperationName, params.Variables["v"].(string))
	}
	if grown := int64(heap() - before); grown > size {
		t.Errorf("%d texts of %d documents keep %d bytes", len(kept), many, grown)
	}
	runtime.KeepAlive(kept)
}
