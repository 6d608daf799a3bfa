package labels

import (
	"strings"
	"testing"
)

func TestValidateURL_TakesWhatBrowsersTakeButBlanks(t *testing.T) {
	for _, url := range []string{
		"https://example.org/100%.mp4", "https://example.org/%", "https://example.org/%2", "https://example.org/%zz/%41", "https://example.org/a?b=50%&c=%#100%",
		"https://example.org/ü%20x.mp4", "http://example.org", "https://[fe80::1%25en0]/a.mp4",
	} {
		if got := validateURL(url); got != "" {
			t.Errorf("%q: got %q, want no problem", url, got)
		}
	}
	for url, want := range map[string]string{
		"https://example.org/a b.mp4": "a blank", " https://example.org/a.mp4": "a blank", "https://example.org/a.mp4 ": "a blank", "https://exa mple.org/": "a blank",
		"https://example.org/a\u00a0b": "a blank", "https://example.org/a?b c": "a blank", "https://example.org/\u2003": "a blank",
		"https://example.org/a\tb": "control characters", "https://example.org/a\n": "control characters",
		"https://exa%mple.org/": "whole http or https", "https://exa%25mple.org/": "whole http or https", "https://%41.org/": "whole http or https", "https://a%:b%@example.org/": "a user name",
		"ftp://example.org/100%": "whole http or https", "100%": "whole http or https",
	} {
		if got := validateURL(url); !strings.Contains(got, want) {
			t.Errorf("%q: got %q, want a problem that says %q", url, got, want)
		}
	}
}

func TestSubmit_TheTimeIsStoredAsThePageWroteIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		at := func(frame int, text string) *Submission {
			s := rat(frame, 1)
			s.TimestampText = text
			return s
		}
		const paris = "2024-05-01T14:00:00.000250+02:00"
		for frame, text := range []string{"", noon.String(), paris, "2024-05-01T12:00:00.000Z"} {
			row := w.submit(at(frame, text))
			want := text
			if text == "" {
				want = noon.String()
			}
			if got, err := TimestampText(row); err != nil || got != want {
				t.Errorf("%q: got %q, %v, want %q", text, got, err, want)
			}
			if has := strings.Contains(row.Content, "timestamp_text"); has != (want != noon.String()) {
				t.Errorf("%q: got the file\n%s\nwant the line timestamp_text: %t", text, row.Content, !has)
			}
			parsed, err := parseNamed(row.Filename, []byte(row.Content))
			if err != nil || parsed.Timestamp != noon || canonical(row.Content) == row.Content != (want == noon.String()) {
				t.Errorf("%q: got %+v, %v, want a file that can be read back at %s", text, parsed, err, noon)
			}
		}
		// The same moment in other words is the same submission.
		receipt, err := w.Submit(w.ana, at(2, "2024-05-01T13:00:00+01:00"), 0)
		must(t, err)
		text, _ := TimestampText(receipt.Submission)
		same(t, "another zone", []any{receipt.Outcome, text}, []any{NoChange, paris})

		_, err = w.Submit(w.ana, at(9, "2024-05-01T12:00:00."+strings.Repeat("0", 60)+"Z"), 0)
		same(t, "too many digits", problems(t, err), []string{"input.timestamp"})
	})
}
