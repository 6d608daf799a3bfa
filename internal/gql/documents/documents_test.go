package documents

import (
	"fmt"
	"strings"
	"testing"

	"tagma/internal/base/fault"
)

func TestFind_WhatIsNamedIsFoundAndTheRestIsRefusedByItsReason(t *testing.T) {
	trusted := map[string]string{"a1": "{ a }", hashOf("{ h }"): "{ h }"}
	open, only := New(trusted, false), New(trusted, true)
	for _, d := range []*Documents{open, only} {
		d.Teach(t.Context(), hashOf("{ t }"), "{ t }")
		d.Teach(t.Context(), hashOf("{ t }")[1:], "{ wrong }")
	}
	for _, c := range []struct {
		request        Request
		text           string
		ifOpen, ifOnly fault.Code
	}{
		{Request{Text: "{ x }"}, "{ x }", "", fault.DocumentNotTrusted},
		{Request{Text: "{ a }"}, "{ a }", "", ""},
		{Request{ID: "a1"}, "{ a }", "", ""},
		{Request{ID: "a1", Text: "{ a }"}, "{ a }", "", ""},
		{Request{ID: "a1", Text: "{ x }"}, "", fault.BadInput, fault.BadInput},
		{Request{ID: "sha256:" + hashOf("{ h }")}, "{ h }", "", ""},
		{Request{Hash: hashOf("{ h }")}, "{ h }", "", ""},
		{Request{ID: "b2"}, "", fault.NotFound, fault.DocumentNotTrusted},
		{Request{Hash: hashOf("{ t }")}, "{ t }", "", fault.DocumentNotTrusted},
		{Request{Hash: hashOf("{ u }")}, "", fault.NotPersisted, fault.DocumentNotTrusted},
		{Request{Hash: hashOf("{ u }"), Text: "{ u }"}, "{ u }", "", fault.DocumentNotTrusted},
		{Request{Hash: hashOf("{ u }"), Text: "{ v }"}, "", fault.BadInput, fault.DocumentNotTrusted},
	} {
		for d, want := range map[*Documents]fault.Code{open: c.ifOpen, only: c.ifOnly} {
			text, err := d.Find(t.Context(), c.request)
			if want == "" && (err != nil || text != c.text) || want != "" && (fault.CodeOf(err) != want || text != "") {
				t.Errorf("%+v, only %v: %q, %v", c.request, d.only, text, err)
			}
		}
	}
}

func TestRead_TakesTheFormsThatToolsWrite(t *testing.T) {
	for name, file := range map[string]string{
		"by id":  `{"a1": "{ a }", "b2": "{ b }"}`,
		"Apollo": `{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "a1", "name": "A", "type": "query", "body": "{ a }"}, {"id": "b2", "body": "{ b }"}]}`,
	} {
		if got, err := Read([]byte(file)); err != nil || len(got) != 2 || got["a1"] != "{ a }" || got["b2"] != "{ b }" {
			t.Errorf("Read %s: got %v, %v, want documents a1 and b2", name, got, err)
		}
	}
	for _, file := range []string{"", "[]", "{}", "null", `{"a": 1}`, `{"": "{ a }"}`, `{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}`} {
		if got, err := Read([]byte(file)); err == nil {
			t.Errorf("%s is taken: %v", file, got)
		}
	}
}

func TestCache_KeepsWhatWasUsedLastWithinItsBytes(t *testing.T) {
	c := NewCache(100, func(key, value string) int { return len(key) + len(value) })
	for n := range 20 {
		c.Add(t.Context(), fmt.Sprintf("%02d", n), strings.Repeat("x", 18))
		c.Get(t.Context(), "00") // stays in use
	}
	c.Add(t.Context(), "too large", strings.Repeat("x", 200))
	for key, want := range map[string]bool{"00": true, "15": false, "16": true, "19": true, "too large": false} {
		if _, ok := c.Get(t.Context(), key); ok != want {
			t.Errorf("%s is there: %v", key, ok)
		}
	}
	if c.bytes != 100 || len(c.kept) != 5 || c.order.Len() != 5 {
		t.Errorf("%d bytes, %d values", c.bytes, len(c.kept))
	}
}
