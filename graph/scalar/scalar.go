// Package scalar owns reading and writing the scalars with a Go type of the standard
// library or of gqlgen. A wrong value is the caller's fault, and the error names the
// remedy. The error does not repeat the value, because the value may be a password in
// the wrong place. The path of the error leads to the value.
//
// Package scalar does not own scalars with a Go type of Tagma, such as DateTime.
package scalar

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/sosodev/duration"

	"tagma/internal/base/fault"
	"tagma/internal/gql/variables"
)

// wrongKind returns the error for a value with a JSON type outside the scalar.
func wrongKind(v any, scalar, takes string) error {
	return fault.New(fault.BadInput, "the value is %s: %s takes %s", variables.Kind(v), scalar, takes)
}

// MarshalInt writes the scalar Int.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// UnmarshalInt reads the scalar Int: a whole number of 32 bits.
func UnmarshalInt(v any) (int, error) {
	n, err := unmarshalWhole(v, "Int", 32)
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// MarshalLong writes the scalar Long.
func MarshalLong(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalLong reads the scalar Long: a whole number of 64 bits.
func UnmarshalLong(v any) (int64, error) { return unmarshalWhole(v, "Long", 64) }

// unmarshalWhole returns a whole number of at most the given bits. JSON has one type
// of number, so 42.0 and 4.2e1 are the whole number 42: some programs write each
// number with a fraction.
func unmarshalWhole(v any, scalar string, bits int) (int64, error) {
	takes := "a whole number of " + strconv.Itoa(bits) + " bits, such as 42"
	var n int64
	ok := true
	switch v := v.(type) {
	case int64:
		n = v
	case int:
		n = int64(v)
	case json.Number:
		var integral bool
		if n, integral, ok = wholeNumber(string(v)); !integral {
			return 0, fault.New(fault.BadInput, "the value is a number with a fraction: %s takes %s", scalar, takes)
		}
	case float64:
		var integral bool
		if n, integral, ok = wholeNumber(strconv.FormatFloat(v, 'f', -1, 64)); !integral {
			return 0, fault.New(fault.BadInput, "the value is a number with a fraction: %s takes %s", scalar, takes)
		}
	default:
		return 0, wrongKind(v, scalar, takes)
	}
	if !ok || bits == 32 && (n < math.MinInt32 || n > math.MaxInt32) {
		return 0, fault.New(fault.BadInput, "the value is a number too large: %s takes %s", scalar, takes)
	}
	return n, nil
}

// wholeNumber returns the value of a decimal number. integral reports whether the
// number has no fraction. fits reports whether 64 bits hold the number.
func wholeNumber(text string) (n int64, integral, fits bool) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, true, true
	}
	mantissa, exponent := text, 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		var err error
		mantissa = text[:at]
		if exponent, err = strconv.Atoi(text[at+1:]); err != nil { // beyond every number that fits
			exponent = math.MaxInt32
			if strings.HasPrefix(text[at+1:], "-") {
				exponent = math.MinInt32
			}
		}
	}
	digits, negative := strings.CutPrefix(mantissa, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	fraction = strings.TrimRight(fraction, "0")
	digits = strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	for exponent < 0 && strings.HasSuffix(digits, "0") {
		digits, exponent = digits[:len(digits)-1], exponent+1
	}
	switch {
	case strings.Trim(digits, "0123456789") != "":
		return 0, false, false // not a number: NaN, or Inf
	case digits == "":
		return 0, true, true
	case exponent < 0:
		return 0, false, true
	case len(digits)+exponent > 19: // digits of the largest number of 64 bits
		return 0, true, false
	}
	digits += strings.Repeat("0", exponent)
	if negative {
		digits = "-" + digits
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, true, err == nil
}

// MarshalFloat writes the scalar Float.
func MarshalFloat(x float64) graphql.Marshaler { return graphql.MarshalFloat(x) }

// UnmarshalFloat reads the scalar Float. A string with the digits of a number is not
// a Float.
func UnmarshalFloat(v any) (float64, error) {
	const takes = "a number of 64 bits, such as 1.5"
	var x float64
	var err error
	switch v := v.(type) {
	case json.Number:
		x, err = v.Float64()
	case float64:
		x = v
	case int64:
		x = float64(v)
	case int:
		x = float64(v)
	default:
		return 0, wrongKind(v, "Float", takes)
	}
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fault.New(fault.BadInput, "the value is a number too large: Float takes %s", takes)
	}
	return x, nil
}

// MarshalString writes the scalar String.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads the scalar String. A number is not a String.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", wrongKind(v, "String", "a string: put it in quotes")
	}
	return s, nil
}

// UnmarshalBoolean reads the scalar Boolean.
func UnmarshalBoolean(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, wrongKind(v, "Boolean", "true or false")
	}
	return b, nil
}

// MarshalDuration writes the scalar Duration.
func MarshalDuration(d time.Duration) graphql.Marshaler { return graphql.MarshalDuration(d) }

// longest is the longest Duration, in seconds: a hundred years. A time.Duration can
// hold longest.
const longest = 100 * 365 * 24 * 3600

// UnmarshalDuration reads the scalar Duration: ISO 8601 without years and months,
// because years and months differ in length.
func UnmarshalDuration(v any) (time.Duration, error) {
	if d, ok := v.(time.Duration); ok { // coerced before
		return d, nil
	}
	s, ok := v.(string)
	if !ok {
		return 0, wrongKind(v, "Duration", "a string such as \"PT15M\"")
	}
	d, err := duration.Parse(s)
	if err != nil || !strings.ContainsAny(s, "0123456789") || d.Years != 0 || d.Months != 0 ||
		((d.Weeks*7+d.Days)*24+d.Hours)*3600+d.Minutes*60+d.Seconds > longest {
		return 0, fault.New(fault.BadInput, "the value is not a length of time: write ISO 8601 without years and months, such as PT1H, PT15M or P1D")
	}
	return d.ToTimeDuration(), nil
}

// MarshalUpload returns null. gqlgen requires the function, but no field returns a
// file.
func MarshalUpload(graphql.Upload) graphql.Marshaler { return graphql.Null }

// UnmarshalUpload reads the scalar Upload.
func UnmarshalUpload(v any) (graphql.Upload, error) {
	file, ok := v.(graphql.Upload)
	if !ok {
		return graphql.Upload{}, fault.New(fault.BadInput, "a file must come as the GraphQL multipart request specification says: null in the variables, and a part of its own in the form")
	}
	return file, nil
}
