package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"tagma/internal/base/instant"
)

// The annotation receiver is what labelling pages spoke to before Tagma. This
// test lets both judge the same payloads: Tagma itself, and a reading of the
// receiver's validator in Go.

// field is a member of a JSON object: its name, and its value as it is written.
// Like Python's json, a value may be NaN or Infinity.
type field struct{ name, value string }

type object []field

func (o object) at(name string) int {
	return slices.IndexFunc(o, func(f field) bool { return f.name == name })
}

// set gives a field a value; "" takes it away.
func (o object) set(name, value string) object {
	o = slices.Clone(o)
	switch n := o.at(name); {
	case n < 0:
		return append(o, field{name, value})
	case value == "":
		return slices.Delete(o, n, n+1)
	default:
		o[n].value = value
		return o
	}
}

func (o object) text(rename map[string]string) string {
	var b strings.Builder
	for n, f := range o {
		name := f.name
		if to, ok := rename[name]; ok {
			name = to
		}
		fmt.Fprintf(&b, "%s%q: %s", strings.Repeat(", ", min(n, 1)), name, f.value)
	}
	return "{" + b.String() + "}"
}

// payload is a submission in the annotation receiver's form.
type payload struct {
	fields object   // but for the labels
	labels []object // unless
	raw    string   // the labels are this
}

func (p payload) text(rename map[string]string) string {
	labels := p.raw
	if labels == "" {
		var all []string
		for _, l := range p.labels {
			all = append(all, l.text(rename))
		}
		labels = "[" + strings.Join(all, ", ") + "]"
	}
	if labels == "none" {
		return p.fields.text(rename)
	}
	return append(slices.Clone(p.fields), field{"labels", labels}).text(rename)
}

// inContract are the receiver's names and the contract's.
var inContract = map[string]string{
	"video_url": "videoUrl", "frame_index": "frameIndex", "total_frames": "totalFrames", "frame_width": "frameWidth",
	"frame_height": "frameHeight", "id": "key", "pixel_x": "pixelX", "pixel_y": "pixelY",
}

var rat = []string{"left_front_paw", "right_front_paw", "left_hind_paw", "right_hind_paw", "nose", "tail_base"}

// original is a payload with nothing wrong.
func original() payload {
	p := payload{fields: object{
		{"video_url", `"https://example.com/video.mp4"`}, {"frame_index", "42"}, {"total_frames", "1000"}, {"fps", "30.0"},
		{"frame_width", "1920"}, {"frame_height", "1080"}, {"timestamp", `"2024-01-15T12:34:56Z"`},
	}}
	for n, id := range rat {
		l := object{{"id", strconv.Quote(id)}, {"name", `"Ä point"`}, {"placed", "true"}, {"pixel_x", fmt.Sprintf("%d.5", 100*n)}, {"pixel_y", fmt.Sprint(20 * n)}}
		if n == 3 {
			l = l.set("placed", "false").set("pixel_x", "null").set("pixel_y", "null")
		}
		p.labels = append(p.labels, l)
	}
	return p
}

// values that fields get, of every type, and near every edge.
var (
	anyType = []string{"null", "true", "false", "0", "1", "-1", "42.0", "1e2", "30", `""`, `"30"`, `"x"`, "[]", "{}", "[1]", "NaN", "Infinity", "-Infinity"}
	numbers = []string{"0", "-0", "-1", "1", "999", "1000", "1001", "1920", "1920.01", "1080", "1080.5", "-0.001", "2147483647", "2147483648", "99999999999999999999", "1e308", "1e400", "0.5", "1e-9"}
	urls    = []string{
		"http://example.com/a", "HTTPS://example.com/a", "ftp://example.com/a", "example.com/a", "//example.com/a", "", "https:", "https://", "https:///a", "http:a",
		"https://u:p@example.com/a", "https://u@example.com/a", " https://example.com/a", "https://example.com/a b", "https://example.com/\\u0001", "https://example.com/\\n",
		"https://example.com:99999/a", "https://[::1]/a", "https://[::1", "https://example.com/ü?q=1&r=<>#f", "https://example.com/%zz", "javascript:alert(1)", "file:///a",
	}
	times = []string{
		"2024-01-15T12:34:56Z", "2024-01-15T12:34:56+00:00", "2024-01-15T12:34:56.789Z", "2024-01-15T12:34:56.123456789+05:30", "2024-01-15T12:34:56-11:00",
		"2024-01-15T12:34:56", "2024-01-15 12:34:56Z", "2024-01-15", "20240115T123456Z", "2024-01-15T12:34Z", "2024-01-15T12Z", "2024-01-15T12:34:56,5Z",
		"2024-01-15T24:00:00Z", "2024-01-15T12:60:00Z", "2024-01-15T12:34:60Z", "2024-02-30T12:34:56Z", "2023-02-29T12:34:56Z", "2024-02-29T12:34:56Z", "0000-01-01T00:00:00Z",
		"2024-1-5T12:34:56Z", "15.01.2024", "yesterday", "", "1705322096000", "2024-01-15T12:34:56z", "2024-01-15t12:34:56Z", "2024-01-15T12:34:56+24:00", "2024-01-15T12:34:56+0530",
		"2020-06-30_20-41-05", "2024-01-15T12:34:56 Z", "2024-01-15T12:34:56+05", "2024-01-15T12:34:56.Z", "9999-12-31T23:59:59Z", "2024-13-01T00:00:00Z",
	}
	names = []string{"Nose", "", strings.Repeat("ä", 200), strings.Repeat("ä", 201), "a\\nb", "\\u0000", "<b>", "😀"}
)

// mutate changes one thing.
func mutate(r *rand.Rand, p payload) payload {
	one := func(all []string) string { return all[r.IntN(len(all))] }
	quoted := func(all []string) string { return `"` + one(all) + `"` }
	p.labels = slices.Clone(p.labels)
	n := r.IntN(len(p.labels))
	scalar := func() string { return p.fields[r.IntN(len(p.fields))].name }
	numeric := []string{"frame_index", "total_frames", "fps", "frame_width", "frame_height"}
	switch r.IntN(18) {
	case 0:
		if len(p.fields) > 1 {
			p.fields = p.fields.set(scalar(), "")
		}
	case 1:
		p.fields = p.fields.set(scalar(), one(anyType))
	case 2, 3:
		p.fields = p.fields.set(one(numeric), one(numbers))
	case 4:
		p.fields = p.fields.set("video_url", quoted(urls))
	case 5:
		p.fields = p.fields.set("timestamp", quoted(times))
	case 6:
		p.fields = append(slices.Clone(p.fields), field{one([]string{"extra", "labelset", "frameindex", "fps2"}), one(anyType)})
	case 7: // there twice: the last counts
		f := p.fields[r.IntN(len(p.fields))]
		p.fields = append(slices.Clone(p.fields), field{f.name, one([]string{f.value, "1", `"x"`})})
	case 8:
		p.labels = slices.Delete(p.labels, n, n+1)
		if len(p.labels) == 0 {
			p.raw = "[]"
			p.labels = original().labels
		}
	case 9:
		p.labels = append(p.labels, p.labels[n])
	case 10:
		p.labels = append(p.labels, p.labels[n].set("id", one([]string{`"tooth"`, `"Nose"`, "null", "5", `""`, `"nose "`})))
	case 11:
		p.labels[n] = p.labels[n].set(one([]string{"id", "name", "placed", "pixel_x", "pixel_y"}), "")
	case 12:
		p.labels[n] = p.labels[n].set(one([]string{"id", "name", "placed", "pixel_x", "pixel_y"}), one(anyType))
	case 13:
		p.labels[n] = p.labels[n].set(one([]string{"pixel_x", "pixel_y"}), one(numbers))
	case 14:
		p.labels[n] = p.labels[n].set("placed", one([]string{"true", "false"}))
	case 15:
		p.labels[n] = p.labels[n].set("name", quoted(names))
	case 16:
		p.labels[n] = append(slices.Clone(p.labels[n]), field{"score", "0.9"})
	case 17:
		switch r.IntN(3) {
		case 0:
			r.Shuffle(len(p.labels), func(i, j int) { p.labels[i], p.labels[j] = p.labels[j], p.labels[i] })
		case 1:
			p.raw = one(append(anyType, "none", p.labels[0].text(nil)))
		case 2: // not placed, properly
			p.labels[n] = p.labels[n].set("placed", "false").set("pixel_x", "null").set("pixel_y", "null")
		}
	}
	return p
}

// As Python reads JSON: nil, bool, integer, float64, string, []any or
// map[string]any.

// integer is Python's int, which has no bound.
type integer float64

func python(v any) any {
	switch v := v.(type) {
	case json.Number:
		x, _ := strconv.ParseFloat(string(v), 64) // out of range is endless in Python too
		if strings.ContainsAny(string(v), ".eE") {
			return x
		}
		return integer(x)
	case []any:
		for n := range v {
			v[n] = python(v[n])
		}
	case map[string]any:
		for name := range v {
			v[name] = python(v[name])
		}
	case string:
		switch v {
		case "\x00NaN":
			return math.NaN()
		case "\x00Infinity":
			return math.Inf(1)
		case "\x00-Infinity":
			return math.Inf(-1)
		}
	}
	return v
}

var nonFinite = regexp.MustCompile(`: (NaN|-?Infinity)`)

func readAsPython(t *testing.T, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(nonFinite.ReplaceAllString(text, `: "\u0000$1"`)))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: got %v, want JSON", text, err)
	}
	return python(v).(map[string]any)
}

// The reading of the receiver's validator.

// isNumber is isinstance(v, (int, float)); a bool is an int.
func isNumber(v any) bool {
	_, float := v.(float64)
	return float || isInt(v)
}

func isInt(v any) bool {
	switch v.(type) {
	case integer, bool:
		return true
	}
	return false
}

func number(v any) float64 {
	switch v := v.(type) {
	case integer:
		return float64(v)
	case float64:
		return v
	case bool:
		if v {
			return 1
		}
	}
	return 0
}

func is[T any](v any) bool { _, ok := v.(T); return ok }

// receiverTakes is validate_payload: whether nothing is wrong.
func receiverTakes(p map[string]any) bool {
	for name, right := range map[string]func(any) bool{
		"video_url": is[string], "frame_index": isInt, "total_frames": isInt, "fps": isNumber,
		"frame_width": isInt, "frame_height": isInt, "timestamp": is[string], "labels": is[[]any],
	} {
		if v, there := p[name]; !there || !right(v) {
			return false
		}
	}
	if scheme := schemeOf(p["video_url"].(string)); scheme != "http" && scheme != "https" {
		return false
	}
	if number(p["frame_index"]) < 0 || number(p["total_frames"]) < 0 || number(p["fps"]) <= 0 ||
		number(p["frame_width"]) < 0 || number(p["frame_height"]) < 0 {
		return false
	}
	if !isISO(p["timestamp"].(string)) {
		return false
	}
	labels := p["labels"].([]any)
	seen := map[string]bool{}
	for _, one := range labels {
		label, ok := one.(map[string]any)
		if !ok {
			return false
		}
		for _, name := range []string{"id", "name", "placed", "pixel_x", "pixel_y"} {
			if _, there := label[name]; !there {
				return false
			}
		}
		if id, ok := label["id"].(string); ok {
			if seen[id] {
				return false
			}
			seen[id] = true
		}
		placed, ok := label["placed"].(bool)
		if !ok {
			return false
		}
		for _, v := range []any{label["pixel_x"], label["pixel_y"]} {
			if v != nil && !isNumber(v) || placed == (v == nil) {
				return false
			}
		}
	}
	return len(seen) == len(rat) && !slices.ContainsFunc(rat, func(id string) bool { return !seen[id] })
}

// schemeOf is urlparse(s).scheme, or "" where that raises.
func schemeOf(s string) string {
	s = strings.TrimLeftFunc(s, func(c rune) bool { return c <= ' ' })
	s = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(s)
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*$`).MatchString(scheme) {
		return ""
	}
	if host, ok := strings.CutPrefix(rest, "//"); ok {
		host, _, _ = strings.Cut(host, "/")
		if strings.Contains(host, "[") != strings.Contains(host, "]") {
			return ""
		}
	}
	return strings.ToLower(scheme)
}

// clock is a time of day. Python does not mind one more character at its end.
const clock = `(\d\d)(?::(\d\d)(?::(\d\d)(?:[.,]\d+|[^\d])?)?)?`

var iso = regexp.MustCompile(`^(?s)(\d{4})-(\d\d)-(\d\d)(?:.(?:` + clock + `(Z|[+-]` + clock + `)?)?)?$`)

// isISO says whether datetime.fromisoformat of Python 3.11 takes s, but for
// dates by week, which this test does not make.
func isISO(s string) bool {
	// Without separators it is the same, and both do not mix.
	if m := regexp.MustCompile(`^(\d{4})(\d\d)(\d\d)(?:(.)(\d\d)(\d\d)?(\d\d)?([.,]\d+)?(Z|[+-].*)?)?$`).FindStringSubmatch(s); m != nil {
		s = m[1] + "-" + m[2] + "-" + m[3]
		if m[5] != "" {
			s += m[4] + m[5]
			for _, part := range m[6:8] {
				if part != "" {
					s += ":" + part
				}
			}
			s += m[8] + m[9]
		}
	}
	if strings.HasSuffix(s, "+0530") {
		s = strings.TrimSuffix(s, "0530") + "05:30"
	}
	m := iso.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	n := make([]int, len(m))
	for i := range m {
		n[i], _ = strconv.Atoi(m[i])
	}
	day := time.Date(n[1], time.Month(n[2]), n[3], 0, 0, 0, 0, time.UTC)
	return n[1] >= 1 && int(day.Month()) == n[2] && day.Day() == n[3] && n[4] < 24 && n[5] < 60 && n[6] < 60 &&
		n[8]*3600+n[9]*60+n[10] < 24*3600
}

// stricter are the classes of payloads that the receiver took and Tagma does
// not, in the words of docs/labels.md.
var stricter = map[string]func(map[string]any) bool{
	"A boolean is not a number.": func(p map[string]any) bool { return anyNumber(p, is[bool]) },
	"A number is finite.": func(p map[string]any) bool {
		return anyNumber(p, func(v any) bool { return math.IsNaN(number(v)) || math.IsInf(number(v), 0) })
	},
	"A whole number has at most 32 bits.": func(p map[string]any) bool {
		return slices.ContainsFunc([]string{"frame_index", "total_frames", "frame_width", "frame_height"}, func(name string) bool { return number(p[name]) > math.MaxInt32 })
	},
	"A frame is one of the video: `frameIndex` is below `totalFrames`.": func(p map[string]any) bool { return number(p["frame_index"]) >= number(p["total_frames"]) },
	"A point is inside the frame.": func(p map[string]any) bool {
		return anyLabel(p, func(l map[string]any) bool {
			outside := func(v, side any) bool { return v != nil && (number(v) < 0 || number(v) > number(side)) }
			return outside(l["pixel_x"], p["frame_width"]) || outside(l["pixel_y"], p["frame_height"])
		})
	},
	"A time is RFC 3339 with its zone.": func(p map[string]any) bool { _, err := instant.Parse(p["timestamp"].(string)); return err != nil },
	"An address is whole: it has a host, no user name or password, no blanks or control characters, and at most 2048 bytes.": func(p map[string]any) bool {
		s := p["video_url"].(string)
		u, err := url.Parse(strings.ReplaceAll(s, "%zz", "%25zz")) // Tagma takes a percent sign without hex digits
		return err != nil || u.Host == "" || u.User != nil || strings.ContainsFunc(s, unicode.IsSpace)
	},
	"The key (`id` in a file) and the name of a label are strings.": func(p map[string]any) bool {
		return anyLabel(p, func(l map[string]any) bool { return !is[string](l["id"]) || !is[string](l["name"]) })
	},
	"The name of a label has 1 to 200 characters, and no control characters.": func(p map[string]any) bool {
		return anyLabel(p, func(l map[string]any) bool {
			name, ok := l["name"].(string)
			return ok && (name == "" || utf8.RuneCountInString(name) > 200 || strings.ContainsFunc(name, unicode.IsControl))
		})
	},
	"There are no other fields.": func(p map[string]any) bool {
		return len(p) > 8 || anyLabel(p, func(l map[string]any) bool { return len(l) > 5 })
	},
}

// looser are the classes of payloads that Tagma takes and the receiver did not.
var looser = map[string]func(map[string]any) bool{
	"A coordinate that is null may be left out.": func(p map[string]any) bool {
		return anyLabel(p, func(l map[string]any) bool { return len(l) < 5 && l["placed"] == false })
	},
	"A whole number may have a fraction of zero or an exponent.": func(p map[string]any) bool {
		return slices.ContainsFunc([]string{"frame_index", "total_frames", "frame_width", "frame_height"}, func(name string) bool {
			v, ok := p[name].(float64)
			return ok && v == math.Trunc(v)
		})
	},
	"A time may be in the traps' form.": func(p map[string]any) bool { return p["timestamp"] == "2020-06-30_20-41-05" },
}

func anyLabel(p map[string]any, holds func(map[string]any) bool) bool {
	labels, _ := p["labels"].([]any)
	return slices.ContainsFunc(labels, func(l any) bool { m, ok := l.(map[string]any); return ok && holds(m) })
}

func anyNumber(p map[string]any, holds func(any) bool) bool {
	return slices.ContainsFunc([]string{"frame_index", "total_frames", "fps", "frame_width", "frame_height"}, func(name string) bool { return holds(p[name]) }) ||
		anyLabel(p, func(l map[string]any) bool { return holds(l["pixel_x"]) || holds(l["pixel_y"]) })
}

func classesOf(p map[string]any, all map[string]func(map[string]any) bool) []string {
	var found []string
	for name, holds := range all {
		if holds(p) {
			found = append(found, name)
		}
	}
	return found
}

func TestLabels_AreJudgedAsTheAnnotationReceiverDidButForWhatThePageLists(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	writer := s.person(s.admin(), "ana", "WRITER")
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]int{}
	taken, refused := 0, 0
	for n := range 2000 {
		p := original()
		for range n % 4 {
			p = mutate(r, p)
		}
		text := p.text(nil)
		theirs := receiverTakes(readAsPython(t, text))
		body := `{"query": "mutation S($input: LabelSubmissionInput!) { submitLabels(input: $input) { outcome } }", "variables": {"input": ` + p.text(inContract) + `}}`
		answer := writer.send(bytes.NewReader([]byte(body)), "application/json")
		ours := answer.code() == "" && len(answer.Errors) == 0
		if !ours && answer.code() != "BAD_USER_INPUT" {
			t.Errorf("%s\nis answered %s", text, answer.Body)
		}
		switch {
		case ours && theirs:
			taken++
			if found := classesOf(readAsPython(t, text), stricter); len(found) > 0 {
				t.Errorf("is taken, in spite of %q:\n%s", found, text)
			}
		case !ours && !theirs:
			refused++
		case theirs:
			found := classesOf(readAsPython(t, text), stricter)
			if len(found) == 0 {
				t.Errorf("only the receiver takes\n%s\n%s", text, answer.Body)
			}
			for _, name := range found {
				seen[name]++
			}
		default:
			found := classesOf(readAsPython(t, text), looser)
			if len(found) == 0 {
				t.Errorf("only Tagma takes\n%s", text)
			}
			for _, name := range found {
				seen[name]++
			}
		}
	}
	if taken < 400 || refused < 400 {
		t.Errorf("%d are taken by both and %d refused: the test is about little", taken, refused)
	}
	page, err := os.ReadFile(filepath.Join(top, "docs", "labels.md"))
	if err != nil {
		t.Fatal(err)
	}
	prose := strings.Join(strings.Fields(string(page)), " ")
	for _, name := range slices.Concat(slices.Collect(maps.Keys(stricter)), slices.Collect(maps.Keys(looser))) {
		if seen[name] == 0 {
			t.Errorf("no payload shows: %s", name)
		}
		if !strings.Contains(prose, name) {
			t.Errorf("docs/labels.md does not list: %s", name)
		}
	}
	t.Logf("taken by both %d, refused by both %d, and %v", taken, refused, seen)
}
