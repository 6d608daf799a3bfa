// Package instant owns Tagma's one notion of time: a moment in UTC, to the
// millisecond, held as the number of milliseconds since 1970-01-01T00:00:00Z.
//
// It is that integer in both databases too, so that a time sorts, compares and
// falls into a bucket in the same way everywhere (docs/adr/0003-times.md). It
// does not own time zones: a time without one is read as UTC only in the form
// that the traps use for file names.
package instant

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"tagma/internal/fault"
)

// TrapLayout is the form of a time in the name of a trap's file, always UTC.
const TrapLayout = "2006-01-02_15-04-05"

// layout is what Tagma writes. Milliseconds appear only where there are some.
const layout = "2006-01-02T15:04:05.999Z"

// Instant is a moment: milliseconds since the Unix epoch, UTC.
type Instant int64

// Clock tells the present. Everything that needs the time is given one, so
// that a test can say what time it is.
type Clock func() Instant

// System is the machine's clock.
func System() Instant { return Of(time.Now()) }

// Of is t without what lies below the millisecond.
func Of(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Parse reads RFC 3339 with a zone, or the traps' own form, which is UTC.
// Years outside 0001–9999 are refused, because they cannot be written back.
func Parse(s string) (Instant, error) {
	if i, ok := parseWholeSeconds(s); ok {
		return i, nil
	}
	t, ok := parseText(s)
	if year := t.UTC().Year(); !ok || year < 1 || year > 9999 {
		return 0, fault.New(fault.BadInput, "%.40q is not a time: write RFC 3339 with its zone, as 2020-06-20T21:33:24Z, or the traps' form 2020-06-20_21-33-24 (UTC)", s)
	}
	return Of(t), nil
}

// parseWholeSeconds reads the form that Tagma writes for whole seconds, 2020-06-20T21:33:24Z,
// at a tenth of what time.Parse takes. It leaves all else to read.
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
	// What is not a date, or not a time of day, has become another.
	y, m, d := t.Date()
	ok := year > 0 && y == year && int(m) == month && d == day && twoDigits(14) < 60 && twoDigits(17) < 60
	return Of(t), ok
}

// parseText is strict where time.Parse is not: that takes hours of one digit, a
// comma before a fraction, and a zone a day away.
func parseText(s string) (time.Time, bool) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		_, offset := t.Zone()
		return t, strings.HasPrefix(s, t.Format("2006-01-02T15:04:05")) && !strings.Contains(s, ",") && max(offset, -offset) < 24*3600
	}
	t, err := time.Parse(TrapLayout, s)
	return t, err == nil && t.Format(TrapLayout) == s
}

// Time is i as Go's own type, in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Add is i moved by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub is the time that passed from earlier to i.
func (i Instant) Sub(earlier Instant) time.Duration {
	return time.Duration(i-earlier) * time.Millisecond
}

// String is RFC 3339 in UTC.
func (i Instant) String() string { return i.Time().Format(layout) }

// Trap is i in the form of the traps' file names.
func (i Instant) Trap() string { return i.Time().Format(TrapLayout) }

// AppendJSON writes String's text as JSON.
func (i Instant) AppendJSON(b []byte) []byte {
	t := i.Time()
	year, month, day := t.Date()
	if year < 0 || year > 9999 || i%1000 != 0 {
		return append(t.AppendFormat(append(b, '"'), layout), '"')
	}
	// time.Format would read its layout anew, at five times the cost.
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

// MarshalJSON writes RFC 3339 in UTC.
func (i Instant) MarshalJSON() ([]byte, error) {
	return i.AppendJSON(nil), nil
}

// UnmarshalJSON reads what Parse reads.
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

// UnmarshalGQL reads the scalar DateTime.
func (i *Instant) UnmarshalGQL(v any) error {
	s, ok := v.(string)
	if !ok {
		return fault.New(fault.BadInput, "%.40q is not a DateTime: write a string such as \"2020-06-20T21:33:24Z\"", fmt.Sprint(v))
	}
	parsed, err := Parse(s)
	if err != nil {
		return err
	}
	*i = parsed
	return nil
}
