package transport

import (
	"encoding/json"
	"fmt"
	"reflect"
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
		got, ok := decodeLate(document)
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

func TestLate_WhatIsOddOrShortIsLeft(t *testing.T) {
	list := `["` + strings.Repeat("x", longList) + `"]`
	for name, document := range map[string]string{
		"short":               `{"query": "{ x }", "variables": {"list": []}}`,
		"no object":           `[{"query": "{ x }", "variables": {"list": ` + list + `}}]`,
		"cut short":           `{"query": "{ x }", "variables": {"list": ` + list,
		"more after it":       `{"query": "{ x }", "variables": {"list": ` + list + `}} {}`,
		"a member twice":      `{"query": "{ x }", "query": "{ y }", "variables": {"list": ` + list + `}}`,
		"a variable twice":    `{"query": "{ x }", "variables": {"list": ` + list + `, "list": 1}}`,
		"twice, deep within":  `{"query": "{ x }", "variables": {"list": ` + list + `, "o": {"a": 1, "a": 2}}}`,
		"no query":            `{"variables": {"list": ` + list + `}}`,
		"a query of no text":  `{"query": 3, "variables": {"list": ` + list + `}}`,
		"half a character":    `{"query": "{ x }", "variables": {"list": ["\ud800", ` + list[1:] + `}}`,
		"a named document":    `{"query": "{ x }", "documentId": "d", "variables": {"list": ` + list + `}}`,
		"variables of a list": `{"query": "{ x }", "variables": ` + list + `}`,
	} {
		if params, ok := decodeLate([]byte(document)); ok {
			t.Errorf("%s: %s", name, fmt.Sprintf("%.200v", params))
		}
	}
}
