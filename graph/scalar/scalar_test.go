package scalar

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"pgregory.net/rapid"

	"tagma/internal/base/caller"
	"tagma/internal/base/contour"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/rawjson"
)

func into[T any, P interface {
	*T
	UnmarshalGQL(any) error
}](v any) error {
	return P(new(T)).UnmarshalGQL(v)
}

// readers are all that read what a caller wrote.
var readers = map[string]func(any) error{
	"Int":      func(v any) error { _, err := UnmarshalInt(v); return err },
	"Long":     func(v any) error { _, err := UnmarshalLong(v); return err },
	"Float":    func(v any) error { _, err := UnmarshalFloat(v); return err },
	"String":   func(v any) error { _, err := UnmarshalString(v); return err },
	"Duration": func(v any) error { _, err := UnmarshalDuration(v); return err },
	"Upload":   func(v any) error { _, err := UnmarshalUpload(v); return err },
	"ID":       into[nodeid.ID],
	"DateTime": into[instant.Instant],
	"Role":     into[caller.Role],
	"JSON":     into[rawjson.Value],
	"Contour":  into[contour.Input],
}

func TestScalars_WhateverIsWrongIsTheCallersFault(t *testing.T) {
	values := []any{
		nil, true, "", "x", "P1Y", "P1M", "PT", "-", 1.5, math.NaN(), math.Inf(1), json.Number(""), json.Number("x"),
		json.Number("1.0"), json.Number("1e3"), json.Number("99999999999999999999"), int64(math.MaxInt64), int64(math.MinInt64),
		[]any{}, []any{nil}, map[string]any{}, map[string]any{"a": 1}, "\x00", "\xff", strings.Repeat("9", 10_000),
	}
	for name, read := range readers {
		for _, v := range values {
			if err := read(v); err != nil {
				known, ok := errors.AsType[*fault.Error](err)
				if !ok || known.Code != fault.BadInput || len(known.Message) > 400 {
					t.Errorf("%s of %.20v: got %v, want BAD_USER_INPUT with at most 400 bytes", name, v, err)
				}
			}
		}
	}
}

func TestInt_IsAWholeNumberOf32Bits(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(math.MinInt32-2, math.MinInt32+2), rapid.Int64Range(math.MaxInt32-2, math.MaxInt32+2)).Draw(r, "n")
		text, _ := json.Marshal(n)
		for _, v := range []any{n, int(n), json.Number(text)} {
			got, err := UnmarshalInt(v)
			if fits := n == int64(int32(n)); fits != (err == nil) || fits && int64(got) != n {
				r.Errorf("UnmarshalInt(%T %d): got %d, %v, want the number if 32 bits hold the number, else an error", v, n, got, err)
			}
		}
	})
	var wire strings.Builder
	MarshalInt(-7).MarshalGQL(&wire)
	if wire.String() != "-7" {
		t.Error(wire.String())
	}
}

func TestInt_MayHaveAFractionOfZero(t *testing.T) {
	for text, want := range map[string]int64{
		"1.0": 1, "-42.000": -42, "42e0": 42, "4.2e1": 42, "420E-1": 42, "0.0": 0, "-0.0": 0, "0e99999999999999999999": 0, "2147483647.0": math.MaxInt32,
		"-2147483648.0": math.MinInt32, "0.00042e5": 42, "1e9": 1_000_000_000,
	} {
		for _, v := range []any{json.Number(text), mustFloat(t, text)} {
			if got, err := UnmarshalInt(v); err != nil || int64(got) != want {
				t.Errorf("Int of %T %s: got %d, %v, want %d", v, text, got, err, want)
			}
			if got, err := UnmarshalLong(v); err != nil || got != want {
				t.Errorf("Long of %T %s: got %d, %v, want %d", v, text, got, err, want)
			}
		}
	}
	if got, err := UnmarshalLong(json.Number("9223372036854775807.0")); err != nil || got != math.MaxInt64 {
		t.Errorf("Long of the largest number: got %d, %v, want %d", got, err, int64(math.MaxInt64))
	}
	for text, want := range map[string]string{
		"1.5": "with a fraction", "1e-1": "with a fraction", "1.00000000000000000000000000001": "with a fraction", "1e-99999999999999999999": "with a fraction",
		"2147483648": "too large", "2147483648.0": "too large", "1e10": "too large", "1e99999999999999999999": "too large", "-9e18": "too large",
	} {
		if got, err := UnmarshalInt(json.Number(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Int of %s: got %d, %v, want an error that says %s", text, got, err, want)
		}
	}
	for _, text := range []string{"9223372036854775808.0", "1e19", "-1e99999999999999999999"} {
		if got, err := UnmarshalLong(json.Number(text)); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("Long of %s: got %d, %v, want an error that says too large", text, got, err)
		}
	}
}

func mustFloat(t *testing.T, text string) float64 {
	t.Helper()
	x, err := json.Number(text).Float64()
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestScalars_AnErrorNamesTheJSONTypeThatCame(t *testing.T) {
	for _, c := range []struct {
		scalars []string
		v       any
		want    string
	}{
		{[]string{"Int", "Long", "Float"}, "5", "is a string"},
		{[]string{"String", "Duration"}, json.Number("5"), "is a number"},
		{[]string{"Int", "Long", "Float", "String", "Duration"}, true, "is a boolean"},
		{[]string{"Int", "Long", "Float", "String", "Duration"}, []any{}, "is an array"},
		{[]string{"Int", "Long", "Float", "String", "Duration"}, map[string]any{}, "is an object"},
	} {
		for _, name := range c.scalars {
			if err := readers[name](c.v); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s of %v: got %v, want an error that says %s", name, c.v, err, c.want)
			}
		}
	}
}

func TestFloat_IsANumberAndNotAStringThatLooksLikeOne(t *testing.T) {
	for v, want := range map[any]float64{json.Number("1.5"): 1.5, json.Number("-2"): -2, 1.5: 1.5, int64(3): 3, 4: 4} {
		if got, err := UnmarshalFloat(v); err != nil || got != want {
			t.Errorf("UnmarshalFloat(%T %v): got %g, %v, want %g", v, v, got, err, want)
		}
	}
	for _, v := range []any{"1.5", "NaN", true, json.Number("1e999"), math.Inf(-1), nil} {
		if got, err := UnmarshalFloat(v); err == nil {
			t.Errorf("UnmarshalFloat(%T %v): got %g, want an error", v, v, got)
		}
	}
}

func TestString_IsNotANumber(t *testing.T) {
	for _, v := range []any{json.Number("5"), 5, true, 1.5, nil} {
		if got, err := UnmarshalString(v); err == nil {
			t.Errorf("UnmarshalString(%T %v): got %q, want an error", v, v, got)
		}
	}
	if got, err := UnmarshalString("5"); err != nil || got != "5" {
		t.Errorf("UnmarshalString: got %q, %v, want 5", got, err)
	}
}

func TestDuration_IsISO8601WithoutYearsAndMonths(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "PT15M": 15 * time.Minute, "P1D": 24 * time.Hour, "P1DT12H": 36 * time.Hour, "P2W": 14 * 24 * time.Hour,
		"PT0S": 0, "PT1.5S": 1500 * time.Millisecond,
	} {
		if got, err := UnmarshalDuration(text); err != nil || got != want {
			t.Errorf("UnmarshalDuration(%s): got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "1h", "PT", "P", "P1Y", "P1M", "P1Y2D", "PT1H ", "P99999999999D", "-P99999999999D", "PT1e99H"} {
		if got, err := UnmarshalDuration(text); err == nil {
			t.Errorf("UnmarshalDuration(%q): got %s, want an error", text, got)
		}
	}
	var wire strings.Builder
	MarshalDuration(36 * time.Hour).MarshalGQL(&wire)
	if again, err := UnmarshalDuration(strings.Trim(wire.String(), `"`)); err != nil || again != 36*time.Hour {
		t.Errorf("UnmarshalDuration(%s): got %s, %v, want 36h", &wire, again, err)
	}
}

func TestUpload_IsTheFileOfAForm(t *testing.T) {
	if file, err := UnmarshalUpload(graphql.Upload{Filename: "a.jpg"}); err != nil || file.Filename != "a.jpg" {
		t.Error(file, err)
	}
}
