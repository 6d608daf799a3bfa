package labels

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURLLength bounds the address of a video, in bytes.
const maxURLLength = 2048

// validateURL returns the problem of a video's URL, or "".
func validateURL(s string) string {
	switch {
	case len(s) > maxURLLength:
		return "the URL is too long: at most 2048 bytes are taken"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(s):
		return "the URL holds control characters"
	case strings.ContainsFunc(s, unicode.IsSpace):
		return "the URL holds a blank: leave out blanks at the ends, and write %20 for a blank within"
	}
	u, err := url.Parse(escapePercents(s))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(u.Host, "%") && u.Host[0] != '[':
		return "the URL must be a whole http or https URL, such as https://example.com/video.mp4"
	case u.User != nil:
		return "the URL holds a user name or password: give it without"
	}
	return ""
}

// escapePercents returns a URL in which each percent sign without two hex digits
// after the sign is escaped. Browsers accept such a sign
// (https://url.spec.whatwg.org/#string-percent-decode), but net/url returns an error.
func escapePercents(s string) string {
	var b strings.Builder
	for n := range len(s) {
		b.WriteByte(s[n])
		if s[n] == '%' && (n+2 >= len(s) || !isHex(s[n+1]) || !isHex(s[n+2])) {
			b.WriteString("25")
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}
