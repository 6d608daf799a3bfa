// Package instant owns Tagma's single representation of time: a moment in UTC,
// to the millisecond, as the number of milliseconds since 1970-01-01T00:00:00Z.
//
// Both databases store the same integer, so a time sorts, compares and falls
// into a bucket in the same way everywhere (docs/adr/0003-times.md). Package
// instant does not own time zones: a time without a zone is read as UTC only in
// the form of the traps' file names.
package instant

import (
	"encoding/json"
	"io"
	"strings"
	"time"

	"tagma/internal/base/fault"
)

// TrapLayout is the form of the time in a trap's file name, always UTC.
const TrapLayout = "2006-01-02_15-04-05"

// layout is the form of all times in Tagma's answers. The milliseconds are left
// out if 0.
const layout = "2006-01-02T15:04:05.999Z"

// Instant is a moment: milliseconds since the Unix epoch, UTC.
type Instant int64

// Clock returns the present. Code takes a Clock instead of calling time.Now, so
// tests can set the time.
type Clock func() Instant

// System returns the time of the machine's clock.
func System() Instant { return Of(time.Now()) }

// Of returns t truncated to the millisecond.
func Of(t time.Time) Instant { return Instant(t.UnixMilli()) }

// forms is the part of an error message about the accepted forms.
const forms = "write RFC 3339 with its zone, as 2020-06-20T21:33:24Z, or the traps' form 2020-06-20_21-33-24 (UTC)"

// Parse returns the moment of a text in RFC 3339 with a zone, or in the traps'
// form, which is UTC. Parse refuses years outside 0001–9999, because String
// cannot write them. The error is a *fault.Error.
func Parse(s string) (Instant, error) {
	if i, ok := parseWholeSeconds(s); ok {
		return i, nil
	}
	t, ok := parseText(s)
	if year := t.UTC().Year(); !ok || year < 1 || year > 9999 {
		return 0, fault.New(fault.BadInput, "%.40q is not a time: %s", s, forms)
	}
	return Of(t), nil
}

// parseWholeSeconds parses the form of layout for whole seconds,
// 2020-06-20T21:33:24Z, in a tenth of the time of time.Parse. For every other
// form parseWholeSeconds returns false, and the caller calls parseText.
func parseWholeSeconds(s string) (Instant, bool) {
	const form = "0000-00-00T00:00:00Z"
	if len(s) != len(form) {
		return 0, false
	}
	for n := range len(form) {
		if digit := s[n]-'0' <= 9; digit != (form[n] == '0') || !digit && s[n] != form[n] {
			return 0, false
		}
	}
	twoDigits := func(n int) int { return 10*int(s[n]-'0') + int(s[n+1]-'0') }
	year, month, day := 100*twoDigits(0)+twoDigits(2), twoDigits(5), twoDigits(8)
	t := time.Date(year, time.Month(month), day, twoDigits(11), twoDigits(14), twoDigits(17), 0, time.UTC)
	// time.Date normalises an invalid date or time of day into a different one.
	y, m, d := t.Date()
	ok := year > 0 && y == year && int(m) == month && d == day && twoDigits(14) < 60 && twoDigits(17) < 60
	return Of(t), ok
}

// parseText is stricter than time.Parse, which accepts hours of one digit, a
// comma before a fraction, and a zone of 24 hours or more.
func parseText(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		_, offset := t.Zone()
		return t, strings.HasPrefix(s, t.Format("2006-01-02T15:04:05")) && !strings.Contains(s, ",") && max(offset, -offset) < 24*3600
	}
	t, err := time.Parse(TrapLayout, s)
	return t, err == nil && t.Format(TrapLayout) == s
}

// Time returns i as a time.Time in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Add returns i plus d, truncated to the millisecond.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub returns the duration from earlier to i.
func (i Instant) Sub(earlier Instant) time.Duration {
	return time.Duration(i-earlier) * time.Millisecond
}

// String returns i in RFC 3339, in UTC.
func (i Instant) String() string { return i.Time().Format(layout) }

// Trap returns i in the form of the traps' file names.
func (i Instant) Trap() string { return i.Time().Format(TrapLayout) }

// AppendJSON appends the text of String as a JSON string.
func (i Instant) AppendJSON(b []byte) []byte {
	t := i.Time()
	year, month, day := t.Date()
	if year < 0 || year > 9999 || i%1000 != 0 {
		return append(t.AppendFormat(append(b, '"'), layout), '"')
	}
	// time.Format parses its layout on each call and takes five times as long.
	hour, minute, second := t.Clock()
	appendTwo := func(n int, separator byte) { b = append(b, separator, '0'+byte(n/10), '0'+byte(n%10)) }
	appendTwo(year/100, '"')
	b = append(b, '0'+byte(year/10%10), '0'+byte(year%10))
	appendTwo(int(month), '-')
	appendTwo(day, '-')
	appendTwo(hour, 'T')
	appendTwo(minute, ':')
	appendTwo(second, ':')
	return append(b, 'Z', '"')
}

// MarshalJSON returns RFC 3339 in UTC as a JSON string.
func (i Instant) MarshalJSON() ([]byte, error) {
	return i.AppendJSON(nil), nil
}

// UnmarshalJSON accepts the same texts as Parse.
func (i *Instant) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return i.UnmarshalGQL(s)
}

// MarshalGQL writes the scalar DateTime.
func (i Instant) MarshalGQL(w io.Writer) {
	_, _ = w.Write(i.AppendJSON(nil))
}

// UnmarshalGQL reads the scalar DateTime. Unlike Parse, UnmarshalGQL returns an
// error without the value: the value may be a password in the wrong place.
func (i *Instant) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fault.New(fault.BadInput, "the value is not a DateTime: write a string such as \"2020-06-20T21:33:24Z\"")
	}
	parsed, err := Parse(s)
	if err != nil {
		return fault.New(fault.BadInput, "the value is not a time: %s", forms)
	}
	*i = parsed
	return nil
}
