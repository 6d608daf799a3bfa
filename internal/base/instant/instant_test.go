package instant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
)

const (
	first = Instant(-62135596800000) // 0001-01-01T00:00:00Z
	last  = Instant(253402300799999) // 9999-12-31T23:59:59.999Z
)

func anyInstant() *rapid.Generator[Instant] {
	return rapid.Custom(func(r *rapid.T) Instant {
		i := Instant(rapid.Int64Range(int64(first), int64(last)).Draw(r, "milliseconds"))
		if rapid.Bool().Draw(r, "whole") {
			i -= i % 1000
		}
		return i
	})
}

func TestInstant_IsTheSameInJSONAsInText(t *testing.T) {
	for _, i := range []Instant{first, last, first - 1, last + 1, 0, -1, -1000} {
		if got := string(i.AppendJSON(nil)); got != `"`+i.String()+`"` {
			t.Errorf("JSON of %d: got %s, want the quoted %s", i, got, i)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		i := anyInstant().Draw(r, "instant")
		if got := string(i.AppendJSON([]byte("x"))); got != `x"`+i.String()+`"` {
			r.Fatalf("%d is %s, not %s", i, got, i)
		}
	})
}

func TestInstant_ComesBackAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		i := anyInstant().Draw(r, "i")
		if parsed, err := Parse(i.String()); err != nil || parsed != i {
			r.Errorf("%s is read as %s: %v", i, parsed, err)
		}
		if parsed, err := Parse(i.Trap()); err != nil || parsed != i-((i%1000)+1000)%1000 {
			r.Errorf("%s, written as %s, is read as %s: %v", i, i.Trap(), parsed, err)
		}
		text, err := json.Marshal(i)
		var parsed Instant
		if err != nil || json.Unmarshal(text, &parsed) != nil || parsed != i {
			r.Errorf("%s is %s in JSON, and read as %s: %v", i, text, parsed, err)
		}
		var wire strings.Builder
		i.MarshalGQL(&wire)
		if wire.String() != string(text) {
			r.Errorf("%s in GraphQL, %s in JSON", wire.String(), text)
		}
		if Of(i.Time()) != i || i.Time().Location() != time.UTC {
			r.Errorf("%s, as Go has it %s", i, i.Time())
		}
	})
}

func TestInstant_OrderOfTheTextIsTheOrderOfTime(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b := anyInstant().Draw(r, "a"), anyInstant().Draw(r, "b")
		if a.Time().Unix() != b.Time().Unix() && (a.Trap() < b.Trap()) != (a < b) {
			r.Errorf("%s and %s", a.Trap(), b.Trap())
		}
	})
}

func TestParse_ReadsAnyZoneAndFraction(t *testing.T) {
	for text, want := range map[string]string{
		"2020-06-20T21:33:24Z":                "2020-06-20T21:33:24Z",
		"2020-06-20T23:33:24+02:00":           "2020-06-20T21:33:24Z",
		"2020-06-20T14:03:24-07:30":           "2020-06-20T21:33:24Z",
		"2020-06-20T21:33:24.5Z":              "2020-06-20T21:33:24.5Z",
		"2020-06-20T21:33:24.1239999Z":        "2020-06-20T21:33:24.123Z",
		"2020-06-20T21:33:24.0009Z":           "2020-06-20T21:33:24Z",
		"1969-12-31T23:59:59.9999Z":           "1969-12-31T23:59:59.999Z",
		"2020-06-20_21-33-24":                 "2020-06-20T21:33:24Z",
		"2020-02-29T00:00:00Z":                "2020-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z":                "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999Z":            "9999-12-31T23:59:59.999Z",
		"0001-01-01T01:00:00+01:00":           "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999999+00:00": "9999-12-31T23:59:59.999Z",
	} {
		got, err := Parse(text)
		if err != nil || got.String() != want {
			t.Errorf("%s is read as %s: %v", text, got, err)
		}
	}
}

func TestParse_RefusesWhatIsNotOneMoment(t *testing.T) {
	for _, text := range []string{
		"", "now", "2020", "2020-06-20", "1592688804", "2020-06-20T21:33:24", "2020-06-20 21:33:24Z", "2020-06-20T21:33Z",
		"2020-02-30T00:00:00Z", "2021-02-29T00:00:00Z", "2020-13-01T00:00:00Z", "2020-06-20T25:00:00Z", "2020-06-20T21:33:60Z",
		"2020-06-20_21-33-61", "2020-06-31_21-33-24", "2020-06-20_21-33-24Z", "20-06-20T21:33:24Z", "12020-06-20T21:33:24Z",
		"2020-06-20T21:33:24z ", "2020-06-20T21:33:24+0200", "2020-06-20T21:33:24+99:00",
		"0000-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "\x00", "2020-06-20T21:33:24Z\n",
		// Go's own reader takes these; RFC 3339 and the traps do not write them.
		"2020-06-20T1:33:24Z", "2020-06-20T21:33:24,5Z", "2020-06-20T21:33:24+24:00", "2020-06-20T21:33:24-24:00", "2020-06-20_21-33-24.5", "2020-06-20_1-33-24",
	} {
		if got, err := Parse(text); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%q: got %s, error %v, want code %s", text, got, err, fault.BadInput)
		}
	}
}

func TestParse_TheUsualFormIsReadAsAllOthersAre(t *testing.T) {
	for _, text := range []string{
		"2020-06-20T21:33:24Z", "2020-02-29T00:00:00Z", "2021-02-29T00:00:00Z", "2020-06-20T24:00:00Z", "2020-06-20T23:60:00Z",
		"2020-06-20T23:59:60Z", "2020-00-20T21:33:24Z", "2020-06-00T21:33:24Z", "0000-01-01T00:00:00Z", "2020-06-20t21:33:24Z", "2020-06-20T21:33:24z",
	} {
		checkWholeSeconds(t, text)
	}
	rapid.Check(t, func(r *rapid.T) {
		text := []byte(anyInstant().Draw(r, "i").String())
		if rapid.Bool().Draw(r, "changed") {
			text[rapid.IntRange(0, len(text)-1).Draw(r, "where")] = byte(rapid.IntRange(' ', '~').Draw(r, "byte"))
		}
		checkWholeSeconds(r, string(text))
	})
}

func checkWholeSeconds(t rapid.TB, text string) {
	got, ok := parseWholeSeconds(text)
	want, valid := parseText(text)
	if year := want.UTC().Year(); ok && (!valid || Of(want) != got || year < 1 || year > 9999) {
		t.Errorf("%q is read as %s, want %s (%t)", text, got, Of(want), valid)
	}
	if plain := len(text) == len("2020-06-20T21:33:24Z") && valid && want.Location() == time.UTC && text[10] == 'T' && text[19] == 'Z'; plain && !ok && want.Year() > 0 {
		t.Errorf("%q is not read at once", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("2020-06-20T21:33:24.123Z")
	f.Add("2020-06-20_21-33-24")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := Parse(text)
		if err != nil {
			if fault.CodeOf(err) != fault.BadInput {
				t.Errorf("error: got %v, want code %s", err, fault.BadInput)
			}
			return
		}
		if i < first || i > last {
			t.Errorf("%q is read as %d", text, i)
		}
		if parsed, err := Parse(i.String()); err != nil || parsed != i {
			t.Errorf("%q is written as %s, which is read as %s: %v", text, i, parsed, err)
		}
	})
}

func TestUnmarshal_WhatIsNotATextIsTheCallersFault(t *testing.T) {
	for _, v := range []any{nil, 1592688804, 1.5, true, json.Number("1592688804"), []any{}, map[string]any{}, "yesterday"} {
		i := Instant(7)
		if err := i.UnmarshalGQL(v); fault.CodeOf(err) != fault.BadInput || i != 7 {
			t.Errorf("%#v: got %d, error %v, want 7 unchanged and code %s", v, i, err, fault.BadInput)
		}
	}
	for _, text := range []string{`1`, `{}`, `"yesterday"`} {
		i := Instant(7)
		if err := json.Unmarshal([]byte(text), &i); err == nil || i != 7 {
			t.Errorf("%s: got %d, want an error and 7 unchanged", text, i)
		}
	}
}

func TestAddAndSub_AreEachOthersOpposite(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		i := Instant(rapid.Int64Range(0, 4e12).Draw(r, "i"))
		d := time.Duration(rapid.Int64Range(-4e12, 4e12).Draw(r, "d")) * time.Millisecond
		if difference := i.Add(d).Sub(i); difference != d {
			r.Errorf("%s after %s later: %s", i, d, difference)
		}
		if want := i.Time().Add(d); i.Add(d).Time() != want {
			r.Errorf("%s and %s is %s, want %s", i, d, i.Add(d), want)
		}
	})
}

func TestSystem_IsTheMachinesClock(t *testing.T) {
	before := time.Now().UnixMilli()
	now := int64(System())
	if after := time.Now().UnixMilli(); now < before || now > after {
		t.Errorf("%d is not between %d and %d", now, before, after)
	}
}
