package rawjson

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tagma/internal/base/fault"
)

func TestValue_PassesThroughAsItStands(t *testing.T) {
	for _, text := range []string{`null`, `0`, `1.50`, `"a"`, `[]`, `{"b":1,"a":[1,2]}`, `"<&>"`} {
		v := Value(text)
		var wire strings.Builder
		v.MarshalGQL(&wire)
		if wire.String() != text {
			t.Errorf("%s is written as %s", text, &wire)
		}
		var result struct{ V Value }
		if err := json.Unmarshal([]byte(`{"V":`+text+`}`), &result); err != nil || text != "null" && string(result.V) != text {
			t.Errorf("%s is read as %s: %v", text, result.V, err)
		}
	}
}

func TestValue_NothingIsNull(t *testing.T) {
	var wire strings.Builder
	Value(nil).MarshalGQL(&wire)
	text, err := json.Marshal(struct{ V Value }{})
	if wire.String() != "null" || string(text) != `{"V":null}` || err != nil {
		t.Errorf("the empty value: got %s in GraphQL and %s in JSON, error %v, want null", &wire, text, err)
	}
}

func TestValue_KeepsACopyOfWhatItRead(t *testing.T) {
	text := []byte(`[1]`)
	var v Value
	if err := v.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	text[1] = '2'
	if string(v) != "[1]" {
		t.Errorf("it changed to %s", v)
	}
}

func TestOf_IsWhatEncodingJSONMakes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		input := rapid.MapOf(rapid.String(), rapid.SliceOf(rapid.Int())).Draw(r, "in")
		v, err := Of(input)
		if err != nil {
			r.Fatal(err)
		}
		var output map[string][]int
		if err := json.Unmarshal(v, &output); err != nil || len(input) != len(output) {
			r.Errorf("%s: got %v with %d members (%v), want %d", v, output, len(output), err, len(input))
		}
		var fromRequest Value
		if err := fromRequest.UnmarshalGQL(input); err != nil || !reflect.DeepEqual(fromRequest, v) {
			r.Errorf("%s, by a request %s: %v", v, fromRequest, err)
		}
	})
}

func TestUnmarshalGQL_WhatIsNotJSONIsTheCallersFault(t *testing.T) {
	var v Value
	if err := v.UnmarshalGQL(math.NaN()); fault.CodeOf(err) != fault.BadInput {
		t.Errorf("NaN: got error %v, want code %s", err, fault.BadInput)
	}
	if _, err := Of(math.Inf(1)); err == nil {
		t.Errorf("infinity is %s", v)
	}
}
