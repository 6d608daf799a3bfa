package persisted

import (
	"testing"

	"tagma/internal/base/fault"
)

func TestResolve_WhatIsNamedIsFoundAndTheRestIsRefusedByItsReason(t *testing.T) {
	trusted := map[string]string{"a1": "{ a }", hashOf("{ h }"): "{ h }"}
	open, only := New(trusted, false), New(trusted, true)
	for _, d := range []*Documents{open, only} {
		d.Register(t.Context(), hashOf("{ t }"), "{ t }")
		d.Register(t.Context(), hashOf("{ t }")[1:], "{ wrong }")
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
			text, err := d.Resolve(t.Context(), c.request)
			if want == "" && (err != nil || text != c.text) || want != "" && (fault.CodeOf(err) != want || text != "") {
				t.Errorf("%+v, only %v: %q, %v", c.request, d.trustedOnly, text, err)
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
			t.Errorf("%s: got %v, %v, want the documents a1 and b2", name, got, err)
		}
	}
	for _, file := range []string{"", "[]", "{}", "null", `{"a": 1}`, `{"": "{ a }"}`, `{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}`} {
		if got, err := Read([]byte(file)); err == nil {
			t.Errorf("%s is taken: %v", file, got)
		}
	}
}
