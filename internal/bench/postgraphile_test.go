package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func parsed(t *testing.T, text string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// Answers of PostGraphile, and Tagma's to the same.
func TestPostGraphile_ItsAnswersAreBroughtIntoTagmasWords(t *testing.T) {
	for name, one := range map[string]struct{ theirs, ours string }{
		"a list of scalars": {
			`{"data": {"imageSeries": [{"id": "7", "takenAt": "1590969600000", "md5": "ab", "size": "2036568", "temperature": null}]}}`,
			`{"data": {"imageSeries": {"nodes": [{"id": "Image:7", "takenAt": "2020-06-01T00:00:00Z", "md5": "ab", "size": 2036568, "temperature": null}]}}}`,
		},
		"objects": {
			`{"data": {"imageSeries": [{"id": "7", "takenAt": "0", "annotations": [
				{"id": "8", "objectCount": "1", "algorithmName": "a", "algorithmVersion": "b", "objects": [{"name": "moth", "area": 4}]}]}]}}`,
			`{"data": {"imageSeries": {"nodes": [{"id": "Image:7", "takenAt": "1970-01-01T00:00:00Z", "annotations": [
				{"id": "Annotation:8", "objectCount": 1, "algorithm": {"name": "a", "version": "b"}, "objects": [{"name": "moth", "area": 4}]}]}]}}}`,
		},
		"one image": {
			`{"data": {"image": {"id": "7", "takenAt": "0", "annotations": [
				{"id": "8", "objectCount": "20", "createdAt": "1500", "algorithmName": "a", "algorithmVersion": "b"}]}}}`,
			`{"data": {"image": {"id": "Image:7", "takenAt": "1970-01-01T00:00:00Z", "annotations": [
				{"id": "Annotation:8", "objectCount": 20, "createdAt": "1970-01-01T00:00:01.5Z", "algorithm": {"name": "a", "version": "b"}}]}}}`,
		},
		"no image": {`{"data": {"image": null}}`, `{"data": {"image": null}}`},
		"a page": { // its cursors are ["…", "00000001", "5000"], Tagma's ["00000001", 5000]
			`{"data": {"imageSeries": {"nodes": [{"id": "7"}], "pageInfo": {"hasNextPage": true, "hasPreviousPage": false,
				"startCursor": "WyJkaWdlc3QiLCIwMDAwMDAwMSIsIjUwMDAiXQ==", "endCursor": "WyJkaWdlc3QiLCIwMDAwMDAwMSIsIjUwMDAiXQ=="}}}}`,
			`{"data": {"imageSeries": {"nodes": [{"id": "Image:7"}], "pageInfo": {"hasNextPage": true, "hasPreviousPage": true,
				"startCursor": "WyIwMDAwMDAwMSIsNTAwMF0", "endCursor": "WyIwMDAwMDAwMSIsNTAwMF0"}}}}`,
		},
	} {
		got, err := translatePostGraphile(parsed(t, one.theirs))
		if err != nil {
			t.Errorf("%s: got %v, want no error", name, err)
		} else if where := firstDifference("", parsed(t, one.ours), got); where != "" {
			t.Errorf("%s: not the same at %s", name, where)
		}
	}
}

func TestPostGraphile_AnAnswerOfAnotherFormIsAnError(t *testing.T) {
	for _, answer := range []string{
		`[]`,
		`{"data": {"imageSeries": [{"id": "7", "size": "many"}]}}`,
		`{"data": {"image": {"id": "7", "takenAt": "2020-06-01"}}}`,
		`{"data": {"imageSeries": {"nodes": [], "pageInfo": {"startCursor": "7", "endCursor": "7"}}}}`,
	} {
		if got, err := translatePostGraphile(parsed(t, answer)); err == nil {
			t.Errorf("%s is taken for %v", answer, got)
		}
	}
}

func TestDiffer_NamesThePlaceWhereTwoAnswersDiffer(t *testing.T) {
	for _, one := range []struct{ a, b, at string }{
		{`{"a": [1, {"b": "x"}]}`, `{"a": [1, {"b": "x"}]}`, ""},
		{`{"a": 0.1}`, `{"a": 0.10000000000000001}`, ""},
		{`{"a": [1, {"b": "x"}]}`, `{"a": [1, {"b": "y"}]}`, ".a[1].b: x and y"},
		{`{"a": 1}`, `{"a": 1.001}`, ".a: 1 and 1.001"},
		{`{"a": 1}`, `{"a": "1"}`, ".a: 1 and 1"},
		{`{"a": 1}`, `{"a": 1, "b": 2}`, ": an object"},
		{`[1, 2]`, `[1]`, ": a list"},
		{`{"a": null}`, `{"a": 0}`, ".a: <nil> and 0"},
	} {
		if got := firstDifference("", parsed(t, one.a), parsed(t, one.b)); !strings.HasPrefix(got, one.at) || (one.at == "") != (got == "") {
			t.Errorf("%s and %s differ at %q, not %q", one.a, one.b, got, one.at)
		}
	}
}
