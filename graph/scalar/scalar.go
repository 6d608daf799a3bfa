// Package scalar reads and writes those scalars of the schema whose Go types
// are not Tagma's own, so that a wrong value is answered as the caller's fault
// and names the remedy. The answer does not repeat the value, which may be a
// password in the wrong place: the path of the error says where the value is.
package scalar

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/sosodev/duration"

	"tagma/internal/base/fault"
)

var errNumber = errors.New("not a number")

// MarshalInt writes the scalar Int.
func MarshalInt(n int) graphql.Marshaler { return graphql.MarshalInt(n) }

// UnmarshalInt reads the scalar Int: a whole number of 32 bits.
func UnmarshalInt(v any) (int, error) {
	var n int64
	var err error
	switch v := v.(type) {
	case json.Number:
		n, err = v.Int64()
	case int64:
		n = v
	case int:
		n = int64(v)
	default:
		err = errNumber
	}
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return 0, fault.New(fault.BadInput, "the value is not a whole number of 32 bits")
	}
	return int(n), nil
}

// MarshalLong writes the scalar Long.
func MarshalLong(n int64) graphql.Marshaler { return graphql.MarshalInt64(n) }

// UnmarshalLong reads the scalar Long: a whole number of 64 bits.
func UnmarshalLong(v any) (int64, error) {
	switch given := v.(type) {
	case json.Number:
		if n, err := given.Int64(); err == nil {
			return n, nil
		}
	case int64:
		return given, nil
	case int:
		return int64(given), nil
	}
	return 0, fault.New(fault.BadInput, "the value is not a whole number of 64 bits")
}

// MarshalFloat writes the scalar Float.
func MarshalFloat(x float64) graphql.Marshaler { return graphql.MarshalFloat(x) }

// UnmarshalFloat reads the scalar Float: a number. A string that looks like one
// is none.
func UnmarshalFloat(v any) (float64, error) {
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
		err = errNumber
	}
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fault.New(fault.BadInput, "the value is not a number of 64 bits")
	}
	return x, nil
}

// MarshalString writes the scalar String.
func MarshalString(s string) graphql.Marshaler { return graphql.MarshalString(s) }

// UnmarshalString reads the scalar String. A number is none.
func UnmarshalString(v any) (string, error) {
	s, ok := v.(string)
	if !ok {
		return "", fault.New(fault.BadInput, "the value is not a string: put it in quotes")
	}
	return s, nil
}

// MarshalDuration writes the scalar Duration.
func MarshalDuration(d time.Duration) graphql.Marshaler { return graphql.MarshalDuration(d) }

// longest bounds a Duration, in seconds: a hundred years, which fits into a
// time.Duration.
const longest = 100 * 365 * 24 * 3600

// UnmarshalDuration reads the scalar Duration: ISO 8601, without years and
// months, which have no length of their own.
func UnmarshalDuration(v any) (time.Duration, error) {
	s, _ := v.(string)
	d, err := duration.Parse(s)
	if err != nil || !strings.ContainsAny(s, "0123456789") || d.Years != 0 || d.Months != 0 ||
		((d.Weeks*7+d.Days)*24+d.Hours)*3600+d.Minutes*60+d.Seconds > longest {
		return 0, fault.New(fault.BadInput, "the value is not a length of time: write ISO 8601 without years and months, such as PT1H, PT15M or P1D")
	}
	return d.ToTimeDuration(), nil
}

// MarshalUpload is there because gqlgen wants it: nothing answers with a file.
func MarshalUpload(graphql.Upload) graphql.Marshaler { return graphql.Null }

// UnmarshalUpload reads the scalar Upload.
func UnmarshalUpload(v any) (graphql.Upload, error) {
	file, ok := v.(graphql.Upload)
	if !ok {
		return graphql.Upload{}, fault.New(fault.BadInput, "a file must come as the GraphQL multipart request specification says: null in the variables, and a part of its own in the form")
	}
	return file, nil
}
