package nodeid

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
)

func TestID_ComesBackAsItWasGiven(t *testing.T) {
	types := rapid.StringMatching(`[A-Z][A-Za-z]{0,20}`)
	rapid.Check(t, func(r *rapid.T) {
		id := Of(types.Draw(r, "type"), rapid.StringMatching(`[!-~]{1,60}`).Draw(r, "key"))
		if rapid.Bool().Draw(r, "numbered") {
			number := rapid.Int64Range(1, math.MaxInt64).Draw(r, "number")
			id = Of(id.Type, number)
			if n, ok := id.Number(); !ok || n != number {
				r.Errorf("%s has the number %d, %t", id, n, ok)
			}
		}
		var wire strings.Builder
		id.MarshalGQL(&wire)
		var text string
		if err := json.Unmarshal([]byte(wire.String()), &text); err != nil || text != id.String() {
			r.Fatalf("%s is written as %s: %v", id, wire.String(), err)
		}
		var parsed ID
		if err := parsed.UnmarshalGQL(text); err != nil || parsed != id {
			r.Errorf("%s is read as %s: %v", id, parsed, err)
		}
	})
}

func TestID_WhatThisServerNeverGaveIsRefused(t *testing.T) {
	for _, v := range []any{
		"", ":", "Image", "Image:", ":42", "Device:\x00", "Device:\n", "Image:4 2", "Device:ä", "Device:\xff", "İmage:1",
		"Image:" + strings.Repeat("1", 100), 42, 42.0, nil, true, []any{"Image:42"}, map[string]any{}, json.Number("1"),
	} {
		var id ID
		if err := id.UnmarshalGQL(v); fault.CodeOf(err) != fault.BadInput || id != (ID{}) {
			t.Errorf("%#v: got %s, error %v, want code %s", v, id, err, fault.BadInput)
		}
	}
}

func TestNumber_IsOnlyWhatARowCanHave(t *testing.T) {
	for _, key := range []string{"0", "-1", "+1", "01", "1.0", "1e3", "0x1", "1_000", "９", "1:1", "9223372036854775808", "x"} {
		if n, ok := (ID{"Image", key}).Number(); ok {
			t.Errorf("Number of the key %s: got %d, want none", key, n)
		}
	}
	if n, ok := (ID{"Image", strconv.Itoa(math.MaxInt64)}).Number(); !ok || n != math.MaxInt64 {
		t.Error(n, ok)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("Image:42")
	f.Add("Device:\x00")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err == nil && id.String() != s {
			t.Errorf("%q: got %q", s, id)
		}
		if err != nil && fault.CodeOf(err) != fault.BadInput {
			t.Errorf("error: got %v, want code %s", err, fault.BadInput)
		}
	})
}

func TestMarshalGQL_AnyKeyIsJSON(t *testing.T) {
	for _, key := range []string{"\a", "\x7f", "é\"\\", "\x00", "\u2028"} {
		var wire strings.Builder
		id := Of("Device", key)
		id.MarshalGQL(&wire)
		var text string
		if err := json.Unmarshal([]byte(wire.String()), &text); err != nil || text != id.String() {
			t.Errorf("the key %q: got %s, read as %q, %v, want %q", key, wire.String(), text, err, id.String())
		}
	}
}
