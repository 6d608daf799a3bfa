package jsonscan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// scanValue reads any value as encoding/json reads it.
func scanValue(s *Scanner) (v any, ok bool) {
	switch c := s.Next(); {
	case c == '{':
		object := map[string]any{}
		ok = s.Members(func(name string) bool {
			_, twice := object[name]
			object[name], ok = scanValue(s)
			return ok && !twice
		})
		return object, ok
	case c == '[':
		list := []any{}
		ok = s.List(func() bool {
			item, ok := scanValue(s)
			list = append(list, item)
			return ok
		})
		return list, ok
	case c == '"':
		return s.Text()
	case c == 'n':
		return nil, s.Null()
	case c == 't' || c == 'f':
		return s.Bool()
	}
	return s.Number()
}

// check holds a text that is read against encoding/json.
func check(t rapid.TB, text string) (read bool) {
	if !utf8.ValidString(text) {
		return false
	}
	s := New(text)
	got, ok := scanValue(s)
	var want any
	err := json.Unmarshal([]byte(text), &want)
	if ok = ok && s.End(); ok && (err != nil || !reflect.DeepEqual(got, want)) {
		t.Errorf("%s is read as %v, want %v: %v", text, got, want, err)
	}
	if skipped, found := New(text).Skip(); err == nil && (!found || skipped != strings.Trim(text, " \t\r\n")) {
		t.Errorf("the end of %s is found after %s (%t)", text, skipped, found)
	}
	return ok
}

var texts = []string{
	`0`, `-0`, `7`, `-12`, `2147483647`, `2147483648`, `12345678901234567890`, `0.5`, `1e3`, `1E-7`, `-2.5e+2`, `1e400`, `01`, `1.`, `.5`, `+1`, `-`, `1e`, `0x1`, `1_0`, `Infinity`, `NaN`,
	`""`, `"a"`, `"\n\"\\\/\u00e9"`, `"\ud83e\udeb2"`, `"\ud800"`, `"\x"`, `"\u12"`, `"\"`, `"`, `"é 🪲"`, "\"\x01\"", "\"\u2028\"",
	`null`, `nul`, `nulls`, `true`, `false`, `truefalse`, `t`, `[]`, `[1]`, `[1,]`, `[,1]`, `[1 2]`, `[1,[2],{"a":"b"}]`, `{}`, `{"a":1}`, `{"a":1,}`, `{"a"}`, `{"a":1,"a":2}`, `{"a":1 "b":2}`, `{a:1}`, `]`, `}`, ``, ` `,
	" [ 1\t,\n2\r] ", `[1]]`, `{"a":{}}}`, `["]"]`, `{"}":"\\"}`, "\u00a01", `"a""b"`,
}

func TestScanner_ReadsWhatEncodingJSONReads(t *testing.T) {
	for _, text := range texts {
		check(t, text)
	}
	count := 0
	rapid.Check(t, func(r *rapid.T) {
		text := []byte(rapid.SampledFrom([]string{
			`{"device": "0a5bb6f4", "takenAt": ["x", {"y": "\u00e9z"}], "n": null}`, `[[1,2],[3.5,-4],[[5,6e1]]]`, `[{"a":"b","c":12},{"a":"","c":-0}]`,
		}).Draw(r, "text"))
		for range rapid.IntRange(0, 2).Draw(r, "changes") {
			pos := rapid.IntRange(0, len(text)-1).Draw(r, "where")
			if rapid.Bool().Draw(r, "out") && len(text) > 1 {
				text = append(text[:pos], text[pos+1:]...)
			} else {
				text[pos] = rapid.SampledFrom([]byte(`{}[]",:\ 0eux-.n`)).Draw(r, "byte")
			}
		}
		if check(r, string(text)) {
			count++
		}
	})
	if count < 20 {
		t.Errorf("got %d texts that were read, want at least 20", count)
	}
}

func TestLoneSurrogate_IsHalfOfAPair(t *testing.T) {
	for text, want := range map[string]int{
		`"\ud800"`: 1, `"a\uD83Db"`: 2, `"\udc00"`: 1, `"\ude00\ud83d"`: 1, `"\ud83d\ud83d\ude00"`: 1, `"\ud83d\u0041"`: 1, `"\ud83d\n"`: 1, `"\ud83d`: 1,
		`"\ud83d\ude00"`: -1, `"\uD83D\uDE00"`: -1, `"\\ud800"`: -1, `"\\\ud800"`: 3, `"\n\t\u00e9"`: -1, `"\ufffd"`: -1, `"ud800"`: -1, "\"\ufffd\"": -1, `\`: -1, `\u12`: -1, ``: -1,
	} {
		if got := LoneSurrogate([]byte(text)); got != want {
			t.Errorf("%s: got %d, want %d", text, got, want)
		}
	}
}

func FuzzScanner(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { check(t, text) })
}

func TestScanner_WhatIsPlainIsRead(t *testing.T) {
	for _, text := range []string{
		`-0`, `7`, `1234567890`, `0.5`, `1e3`, `""`, `"\n\"\\\/\u00e9"`, `"\ud83e\udeb2"`, `"é 🪲"`, `null`, `[]`, `{}`, `{"a":1,"b":[2,"c"]}`, " [ 1\t,\n2\r] ",
	} {
		if !check(t, text) {
			t.Errorf("%s is not read", text)
		}
	}
}

func TestObject_HasItsMembersAndNoOthers(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":1,"b":2,"c":3}`: true, `{"c":3,"a":1,"b":2}`: true, `{"a":1,"b":2}`: true, `{"b":2,"a":1}`: true,
		`{"a":1,"c":3}`: false, `{}`: false, `{"a":1,"b":2,"d":4}`: false, `{"a":1,"b":2,"a":3}`: false, `{"a":1,"b":2,"c":3,"c":3}`: false, `{"a":1,"b":2,"A":3}`: false,
	} {
		s := New(text)
		got := map[int]float64{}
		ok := s.Object([]string{"a", "b", "c"}, 2, func(n int) (ok bool) {
			got[n], ok = s.Number()
			return ok
		})
		if ok != want || ok && (got[0] != 1 || got[1] != 2) {
			t.Errorf("%s: got %t, %v, want %t", text, ok, got, want)
		}
	}
}

func TestWhole_TakesWhatIsWrittenWholeAndHas32Bits(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "-0": 0, "-7": -7, " 2147483647": 2147483647, "-2147483648": -2147483648} {
		if got, ok := New(text).Int32(); !ok || got != want {
			t.Errorf("%s is read as %d (%t)", text, got, ok)
		}
	}
	for _, text := range []string{"", "2147483648", "-2147483649", "1.0", "1e2", "null", `"1"`, "-", "+1"} {
		if got, ok := New(text).Int32(); ok {
			t.Errorf("%s is read as %d", text, got)
		}
	}
}
