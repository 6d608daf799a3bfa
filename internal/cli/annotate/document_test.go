package annotate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	square   = `[[0,0],[1,0],[1,1]]`
	metadata = `{"algo_name":"uid","algo_version":"1","device":"0a5bb6f4","datetime":"2020-06-20_20-00-00","md5":"00"}`
)

// withObject is a document of one object, which has the given fields besides name and contour.
func withObject(fields string) string {
	return `{"annotations":[{"name":"moth","contour":` + square + fields + `}],"metadata":` + metadata + `}`
}

func TestParse_WholeNumbersInEverySpellingAreIntegers(t *testing.T) {
	for spelling, want := range map[string]int{"1": 1, "1.0": 1, "42.0": 42, "-3.000": -3, "1e2": 100, "1.5E1": 15, "-0.0": 0, "2147483647.0": 2147483647} {
		d := parse("a.json", json.RawMessage(withObject(`,"value":`+spelling)))
		if len(d.problems) > 0 || d.input.Objects[0].Value == nil || *d.input.Objects[0].Value != want {
			t.Errorf("the value %s: got %v and problems %q, want %d", spelling, d.input.Objects[0].Value, d.problems, want)
		}
	}
}

func TestParse_EachProblemNamesItsFieldAndTheTypeOfJSON(t *testing.T) {
	for text, want := range map[string][]string{
		withObject(`,"value":1.5`):         {"annotations.0.value is 1.5, where a whole number is wanted"},
		withObject(`,"value":3000000000`):  {"annotations.0.value is 3000000000: give a whole number from -2147483648 to 2147483647"},
		withObject(`,"value":"1"`):         {`annotations.0.value is a string, "1", where a whole number is wanted`},
		withObject(`,"value":true`):        {"annotations.0.value is a boolean, true, where a whole number is wanted"},
		withObject(`,"score":"0.9"`):       {`annotations.0.score is a string, "0.9", where a number is wanted`},
		withObject(`,"score":[0.9]`):       {"annotations.0.score is a list, where a number is wanted"},
		withObject(`,"score":1e999`):       {"annotations.0.score is 1e999, which is too large"},
		withObject(`,"fill_colour":{}`):    {"annotations.0.fill_colour is an object, where a string is wanted"},
		withObject(`,"value":1,"value":2`): {`annotations.0 has the field "value" twice`},
		`7`:                                {"it is a number, where an object is wanted"},
		`[]`:                               {"it is a list, where an object is wanted"},
		`{"annotations":[]}`:               {`it is no annotation: {"annotations": […], "metadata": {…}}`},
		`{"annotations":{},"metadata":7}`:  {"metadata is a number, where an object is wanted", "annotations is an object, where a list is wanted"},
		`{"annotations":[7,{},{"name":"moth","contour":[[1,1],[2,2]]},{"name":"","contour":[]},{"name":7,"contour":null}],"metadata":` + metadata + `}`: {
			"annotations.0 is a number, where an object is wanted",
			"annotations.1.name is missing", "annotations.1.contour is missing",
			"annotations.4.name is a number, 7, where a string is wanted", "annotations.4.contour is missing",
			"annotations.2.contour: a contour has at least 3 vertices, this one has 2", "annotations.3.contour: a contour has at least 3 vertices, this one has 0",
		},
		`{"annotations":[],"metadata":{"algo_version":1,"datetime":"noon","md5":null}}`: {
			"metadata.algo_name is missing", "metadata.algo_version is a number, 1, where a string is wanted", "metadata.device is missing",
			"metadata.md5 is missing", `metadata.datetime: "noon" is not`,
		},
	} {
		got := parse("a.json", json.RawMessage(text)).problems
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("%s: got the problems\n%s\nwant\n%s", text, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func TestParse_NoFieldIsDroppedInSilence(t *testing.T) {
	d := parse("a.json", json.RawMessage(
		`{"annotations":[{"name":"moth","contour":`+square+`,"score":0.93,"Sharpness":1.50,"box":{"b":1,"a":[null]}}],"version":2,"metadata":`+
			strings.Replace(metadata, "{", `{"camera":"x",`, 1)+`}`))
	if len(d.problems) > 0 {
		t.Fatalf("problems: got %q, want none", d.problems)
	}
	o := d.input.Objects[0]
	if o.Score == nil || *o.Score != 0.93 || o.Attributes == nil || string(*o.Attributes) != `{"Sharpness":1.50,"box":{"a":[null],"b":1}}` {
		t.Errorf("object: got score %v and attributes %s, want 0.93 and both other fields", o.Score, *o.Attributes)
	}
	if want := []string{"metadata.camera", "version"}; !reflect.DeepEqual(d.unknown, want) {
		t.Errorf("fields without a place: got %q, want %q", d.unknown, want)
	}
	if o := parse("a.json", json.RawMessage(withObject(""))).input.Objects[0]; o.Score != nil || o.Attributes != nil {
		t.Errorf("object without other fields: got score %v and attributes %v, want none", o.Score, o.Attributes)
	}
}

// places are the places and problems of the documents in a file.
func places(t *testing.T, content string) (all []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	err := source{name: "a.json", path: path}.read(func(d *document) error {
		all = append(all, d.place+": "+strings.Join(d.problems, ", "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRead_DocumentsStandOneAfterAnotherOrInLists(t *testing.T) {
	const mark = "\xef\xbb\xbf"
	one := withObject("")
	large := withObject(`,"note":"` + strings.Repeat("x", 10_000) + `"`)
	for name, c := range map[string]struct {
		content string
		want    []string
	}{
		"one":               {one, []string{"a.json: "}},
		"a mark":            {mark + one, []string{"a.json: "}},
		"files joined":      {mark + one + "\r\n" + mark + large + mark + one, []string{"a.json: ", "a.json, document 2: ", "a.json, document 3: "}},
		"a list":            {" [" + one + ",\n" + large + "]\n", []string{"a.json: ", "a.json, document 2: "}},
		"a list and pairs":  {mark + "[" + one + "]" + one + "[" + one + "]", []string{"a.json: ", "a.json, document 2: ", "a.json, document 3: "}},
		"nothing":           {"", []string{"a.json: it is empty"}},
		"a mark alone":      {mark + "\n", []string{"a.json: it is empty"}},
		"an empty list":     {"[]", []string{"a.json: it is a list without documents"}},
		"half":              {one[:50], []string{"a.json: it is cut short"}},
		"half a list":       {"[" + one + ",", []string{"a.json: ", "a.json, document 2: it is cut short"}},
		"a list not closed": {"[" + one, []string{"a.json: ", "a.json, document 2: it is cut short"}},
		"NaN":               {one + `{"score": NaN}`, []string{"a.json: ", fmt.Sprintf("a.json, document 2: it is no JSON from byte %d on: invalid character 'N' looking for beginning of value; JSON has neither NaN nor Infinity: write null", len(one)+11)}},
		"NaN after a mark":  {mark + `{"score": NaN}`, []string{"a.json: it is no JSON from byte 14 on: invalid character 'N' looking for beginning of value; JSON has neither NaN nor Infinity: write null"}},
		"UTF-16":            {"\xff\xfe{\x00}\x00", []string{"a.json: it is UTF-16: save it as UTF-8"}},
		"Latin-1":           {strings.Replace(one, "moth", "K\xe4fer", 1) + one, []string{"a.json: it is not UTF-8 from byte 27 of the document on: save it as UTF-8", "a.json, document 2: "}},
		"half a character":  {strings.Replace(one, "moth", `\ud83d!`, 1) + strings.Replace(one, "moth", `a\uDE00`, 1), []string{`a.json: it has the escape \ud83d, half of a character: write the whole character`, `a.json, document 2: it has the escape \uDE00, half of a character: write the whole character`}},
		"whole characters":  {strings.Replace(one, "moth", `\ud83d\ude00 \\ud83d \"\u00e4\\`, 1), []string{"a.json: "}},
		"a list in a list":  {"[[" + one + "]]", []string{"a.json: it is a list, where an object is wanted"}},
	} {
		if got := places(t, c.content); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestContradictions_OfTwoDocumentsNeitherIsFirst(t *testing.T) {
	write := func(folder, name, content string) source {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return source{name: name, path: path}
	}
	folder := t.TempDir()
	one := withObject("")
	nested := strings.Replace(one, square, `[[[0,0.0]],[[1,0]],[[1,1]]]`, 1)
	files := []source{
		write(folder, "one", one), write(folder, "nested", nested), // the same objects
		write(folder, "score", withObject(`,"score":0.5`)),
		write(folder, "other file", strings.Replace(withObject(`,"score":0.1`), `"md5":"00"`, `"md5":"01"`, 1)),
		write(folder, "other version", strings.Replace(withObject(`,"score":0.1`), `"algo_version":"1"`, `"algo_version":"2"`, 1)),
		write(folder, "broken", withObject(`,"value":"x"`)), write(folder, "line", strings.Replace(one, square, `[[0,0],[1,1]]`, 1)),
	}
	pairs := map[string]bool{}
	for range 2 {
		slices.Reverse(files)
		c, err := findContradictions(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		var refused []string
		for _, s := range files {
			err := s.read(func(d *document) error {
				if other := c.of(d); other != "" {
					refused = append(refused, d.place)
					pairs[d.place+" and "+other] = true
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(refused)
		if want := []string{"nested", "one", "score"}; !slices.Equal(refused, want) {
			t.Errorf("documents that contradict each other: got %q, want %q", refused, want)
		}
	}
	if pairs["one and one"] || pairs["score and score"] || !pairs["score and one"] {
		t.Errorf("each document with the other one: got %v, want score and one", pairs)
	}
}

func FuzzRead(f *testing.F) {
	one := withObject(`,"value":1.0,"score":0.5,"note":[1,{"a":"\u00e4"}]`)
	f.Add([]byte(one))
	f.Add([]byte("\xef\xbb\xbf[" + one + "," + one + "]\n" + one))
	f.Add([]byte("[[]]{}\xef\xbb"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r := newReader(bytes.NewReader(content))
		for documents := 0; ; documents++ {
			text, err := r.next()
			if err != nil {
				return
			}
			if documents > len(content) {
				t.Fatalf("documents of %d bytes: got more than %d, want fewer", len(content), documents)
			}
			if checkText(text) != nil {
				continue
			}
			d := parse("a.json", text)
			if !d.isComparable() {
				continue
			}
			if _, err := json.Marshal(d.input); err != nil {
				t.Errorf("the input of %q: got error %v, want none", text, err)
			}
			d.identity()
			d.content()
		}
	})
}
