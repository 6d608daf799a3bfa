package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bounds are what `server { limits }` shows.
type bounds struct {
	BodyBytes, QueryBytes, QueryTokens, Depth, Aliases, Cost, DefaultPageSize, MaxPageSize   int
	FileBytes, Files, UploadBytes, Pixels, RequestSeconds                                    int
	IntrospectionDepth, RootFields, Fields, Directives, Fragments, Repeats, LabelWaitSeconds int
}

func (s *server) limits() bounds {
	s.t.Helper()
	var got struct{ Server struct{ Limits bounds } }
	s.anonymous().must(&got, `{ server { limits { bodyBytes queryBytes queryTokens depth aliases cost defaultPageSize maxPageSize
	  fileBytes files uploadBytes pixels requestSeconds
	  introspectionDepth rootFields fields directives fragments repeats labelWaitSeconds } } }`, nil)
	return got.Server.Limits
}

// resident is how many bytes of memory the process holds.
func (s *server) resident() int {
	s.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	kilobytes, err := strconv.Atoi(string(found[1]))
	if err != nil {
		s.t.Fatal(err)
	}
	return kilobytes << 10
}

// unharmed says that the server has stood what it was sent: it holds not much
// more memory than before, and answers the next request at once.
func (s *server) unharmed(before int) {
	s.t.Helper()
	began := time.Now()
	s.anonymous().must(nil, `{ server { name } }`, nil)
	if took := time.Since(began); took > time.Second {
		s.t.Errorf("the next request took %s", took)
	}
	if grown := s.resident() - before; grown > 200<<20 {
		s.t.Errorf("the server has grown by %d MB", grown>>20)
	}
}

// nested is an operation of that many levels.
func nested(levels int) string {
	return "{ image(device: \"" + trap + "\", takenAt: \"" + at(1) + "\") " + strings.Repeat("{ next ", levels-2) + "{ id }" + strings.Repeat(" }", levels-1)
}

func TestLimits_EachThatTheServerShowsHoldsAndSaysWhatItIs(t *testing.T) {
	t.Parallel()
	const pixels = 50_000
	s := start(t, "", "--max-file-bytes", "60000", "--max-upload-bytes", "100000", "--max-files", "5", "--max-pixels", strconv.Itoa(pixels))
	admin := s.admin()
	l := s.limits()
	if l.FileBytes != 60_000 || l.UploadBytes != 100_000 || l.Files != 5 || l.Pixels != pixels || l.RequestSeconds != 30 {
		t.Errorf("the limits shown are not those set: %+v", l)
	}
	aliases := func(n int) (text string) {
		for i := range n {
			text += fmt.Sprintf(" a%d: __typename", i)
		}
		return "{ server {" + text + "} }"
	}
	ask := func(query string, variables vars) func() *answer {
		return func() *answer { return admin.do(query, variables) }
	}
	upload := func(files ...file) func() *answer {
		return func() *answer { return admin.send(form(t, uploadImages, "REFUSE", files...)) }
	}
	grown := func(f file, size int) file {
		return file{f.Name, append(f.Content, make([]byte, size-len(f.Content))...)}
	}
	small := snapshot(trap, 1, 1)
	many := func(n int, text, around string) func() *answer {
		var all strings.Builder
		for i := range n {
			all.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(i)))
		}
		return ask(fmt.Sprintf(around, all.String()), nil)
	}
	introspect := func(levels int) func() *answer {
		return ask("{ __schema { types { fields { type "+strings.Repeat("{ ofType ", levels-5)+"{ name }"+strings.Repeat(" }", levels-1), nil)
	}
	labels := func(seconds int) func() *answer {
		return ask(fmt.Sprintf(`mutation { submitLabels(wait: "PT%dS", input: {videoUrl: "no video", frameIndex: 1, totalFrames: 1, fps: 1,
		  frameWidth: 1, frameHeight: 1, timestamp: %q, labels: []}) { outcome } }`, seconds, at(1)), nil)
	}
	// Each server has 401 fields once it is expanded.
	const wide = "{ %s } fragment A on ServerInfo { ...B ...B ...B ...B ...B } fragment B on ServerInfo { ...C ...C ...C ...C } fragment C on ServerInfo { ...D ...D } " +
		"fragment D on ServerInfo { name name name name name name name name name name }"
	const paged = `query($n: Int) { devices(first: $n) { nodes { images(first: $n) { nodes { id } } } } }`
	for _, c := range []struct {
		name    string
		within  func() *answer // nil where there is nothing near the limit that is cheap to send
		beyond  func() *answer
		code    string
		reached string // what the message says: the number,
		limit   int    // and the limit
	}{
		{"body", nil, ask(`{ server { name } }`, vars{"x": strings.Repeat("x", l.BodyBytes)}), "TOO_LARGE", "", l.BodyBytes},
		{"query bytes", ask("{ server { name } }"+strings.Repeat(" ", l.QueryBytes-19), nil), ask("{ server { name } }"+strings.Repeat(" ", l.QueryBytes-18), nil), "TOO_LARGE", strconv.Itoa(l.QueryBytes + 1), l.QueryBytes},
		{"tokens", nil, ask("{ server { name "+strings.Repeat(" ,@", l.QueryTokens)+"} }", nil), "TOO_LARGE", strconv.Itoa(l.QueryTokens + 6), l.QueryTokens},
		{"depth", ask(nested(l.Depth), nil), ask(nested(l.Depth+1), nil), "TOO_LARGE", strconv.Itoa(l.Depth + 1), l.Depth},
		{"aliases", ask(aliases(l.Aliases), nil), ask(aliases(l.Aliases+1), nil), "TOO_LARGE", strconv.Itoa(l.Aliases + 1), l.Aliases},
		{"cost of variables", ask(paged, vars{"n": 400}), ask(paged, vars{"n": 500}), "TOO_LARGE", "251001", l.Cost},
		{"cost of a default", nil, ask(strings.Replace(paged, "Int)", "Int = 1000)", 1), nil), "TOO_LARGE", "1002001", l.Cost},
		{"page", ask(`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": l.MaxPageSize}), ask(`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": l.MaxPageSize + 1}), "BAD_USER_INPUT", "a first that is not from 0 to", l.MaxPageSize},
		{"page of a leaf", nil, ask(fmt.Sprintf(`{ devices(first: %d) { totalCount } }`, l.MaxPageSize+1), nil), "BAD_USER_INPUT", "a first that is not from 0 to", l.MaxPageSize},
		{"negative page", ask(`{ devices(first: 0) { totalCount } }`, nil), ask(`{ devices(first: -1) { totalCount } }`, nil), "BAD_USER_INPUT", "a first that is not from 0 to", 0},
		{"first and last", nil, ask(`{ imageSeries(series: [], first: 1, last: 1) { totalCount } }`, nil), "BAD_USER_INPUT", "first and last", -1},
		{"files", upload(small, small, small, small, small), upload(small, small, small, small, small, small), "TOO_LARGE", "6", l.Files},
		{"root fields", many(l.RootFields, " server { name }", "{ %s }"), many(l.RootFields+1, " server { name }", "{ %s }"), "TOO_LARGE", strconv.Itoa(l.RootFields + 1), l.RootFields},
		{"fragments", many(l.Fragments, " fragment F# on ServerInfo { name }", "{ server { ...F0 ...F1 ...F2 ...F3 ...F4 ...F5 ...F6 ...F7 ...F8 ...F9 ...F10 ...F11 ...F12 ...F13 ...F14 ...F15 ...F16 ...F17 ...F18 ...F19 } } %s"),
			many(l.Fragments+1, " fragment F# on ServerInfo { name }", "{ server { ...F0 ...F1 ...F2 ...F3 ...F4 ...F5 ...F6 ...F7 ...F8 ...F9 ...F10 ...F11 ...F12 ...F13 ...F14 ...F15 ...F16 ...F17 ...F18 ...F19 ...F20 } } %s"), "TOO_LARGE", strconv.Itoa(l.Fragments + 1), l.Fragments},
		{"directives", many(l.Directives/4, " ... @skip(if: false) @include(if: true) { ... @skip(if: false) @include(if: true) { name } }", "{ server { %s } }"),
			many(l.Directives/4+1, " ... @skip(if: false) @include(if: true) { ... @skip(if: false) @include(if: true) { name } }", "{ server { %s } }"), "TOO_LARGE", "", l.Directives},
		{"fields", many(l.Fields/401, " server { ...A }", wide), many(l.Fields/401+1, " server { ...A }", wide), "TOO_LARGE", "", l.Fields},
		{"introspection", introspect(l.IntrospectionDepth), introspect(l.IntrospectionDepth + 1), "TOO_LARGE", strconv.Itoa(l.IntrospectionDepth + 1), l.IntrospectionDepth},
		{"repeats", many(l.Repeats, " name", "{ server { %s } }"), many(l.Repeats+1, " name", "{ server { %s } }"), "TOO_LARGE", strconv.Itoa(l.Repeats + 1), l.Repeats},
		{"wait for labels", nil, labels(l.LabelWaitSeconds + 1), "BAD_USER_INPUT", strconv.Itoa(l.LabelWaitSeconds + 1), l.LabelWaitSeconds},
		{"upload bytes", nil, upload(grown(small, 55_000), grown(small, 55_000)), "TOO_LARGE", "", l.UploadBytes},
	} {
		limit := strconv.Itoa(c.limit)
		if c.limit < 0 {
			limit = "" // it is no number
		}
		if c.within != nil {
			if got := c.within(); len(got.Errors) > 0 {
				t.Errorf("%s: what is within the limit is answered %.300s", c.name, got.Body)
			}
		}
		got := c.beyond()
		if got.code() != c.code || !strings.Contains(got.Errors[0].Message, c.reached) || !strings.Contains(got.Errors[0].Message, limit) || len(got.Body) > 4096 {
			t.Errorf("%s: beyond the limit of %d it is answered %d %.600s", c.name, c.limit, got.Status, got.Body)
		}
		if got.Data != nil && string(got.Data) != "null" {
			t.Errorf("%s: beyond the limit there is data: %.300s", c.name, got.Data)
		}
	}
	// A file that is too large does not spoil the upload.
	sent := admin.upload("REFUSE", grown(snapshot(trap, 3, 3), l.FileBytes+1), grown(snapshot(trap, 4, 4), 1000+l.FileBytes/2))
	if p := sent[0].Problem; sent[0].Verdict != "REJECTED" || p == nil || p.Code != "TOO_LARGE" ||
		!strings.Contains(p.Message, strconv.Itoa(l.FileBytes+1)) || !strings.Contains(p.Message, strconv.Itoa(l.FileBytes)+" are taken") {
		t.Errorf("a file beyond the limit of %d bytes: got %s, %+v, want REJECTED and TOO_LARGE with both numbers", l.FileBytes, sent[0].Verdict, p)
	}
	if sent[1].Verdict != "CREATED" {
		t.Errorf("the file beside the file that is too large: got %s, %+v, want CREATED", sent[1].Verdict, sent[1].Problem)
	}
	// A photograph is judged by its head, before it is decoded.
	big := snapshot(trap, 2, 2)
	at := bytes.Index(big.Content, []byte{0xff, 0xc0})
	if at < 0 {
		t.Fatal("the photograph has no frame header")
	}
	copy(big.Content[at+5:], []byte{20_000 >> 8, 20_000 & 255, 20_000 >> 8, 20_000 & 255})
	before := s.resident()
	judged := admin.upload("REFUSE", big)[0]
	if judged.Verdict != "REJECTED" || judged.Problem.Code != "TOO_LARGE" || !strings.Contains(judged.Problem.Message, strconv.Itoa(pixels)) {
		t.Errorf("a photograph of 400 megapixels: %+v %+v", judged, judged.Problem)
	}
	s.unharmed(before)
}

func TestLimits_EveryOneOfTheContractIsShown(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	var names []string
	for _, field := range contract(t).Types["Limits"].Fields {
		names = append(names, field.Name)
	}
	var got struct {
		Server struct{ Limits map[string]int }
	}
	s.anonymous().must(&got, "{ server { limits { "+strings.Join(names, " ")+" } } }", nil)
	for _, name := range names {
		if got.Server.Limits[name] <= 0 {
			t.Errorf("the limit %s is shown as %d", name, got.Server.Limits[name])
		}
	}
}

// nasty are queries within the limits of bytes and tokens that are meant to be
// costly to validate or to judge.
func nasty() map[string]string {
	limits := "bodyBytes queryBytes queryTokens depth aliases cost defaultPageSize maxPageSize fileBytes files uploadBytes pixels requestSeconds "
	all := map[string]string{
		"one field again and again":       "{ server {" + strings.Repeat("name ", 1900) + "} }",
		"one object again and again":      "{" + strings.Repeat("server { name } ", 480) + "}",
		"deep objects again and again":    "{" + strings.Repeat("server { limits { files } } ", 280) + "}",
		"wide objects again and again":    "{" + strings.Repeat("server { "+strings.Repeat("name ", 40)+"} ", 45) + "}",
		"as often as may be":              "{ server { limits { " + strings.Repeat(limits, 99) + "} } }",
		"objects as often as may be":      "{" + strings.Repeat("server { limits { "+limits+"} } ", 99) + "}",
		"two fragments":                   "{ server { ...A ...B } } fragment A on ServerInfo {" + strings.Repeat("name ", 900) + "} fragment B on ServerInfo {" + strings.Repeat("name ", 900) + "}",
		"two fragments, wide":             "{ server { limits { ...A ...B } } } fragment A on Limits {" + strings.Repeat(limits, 49) + "} fragment B on Limits {" + strings.Repeat(limits, 49) + "}",
		"a fragment in each object":       "{" + strings.Repeat("server { ...A name } ", 95) + "} fragment A on ServerInfo {" + strings.Repeat("version ", 900) + "}",
		"inline fragments again":          "{ server {" + strings.Repeat("... { name } ", 450) + "} }",
		"inline fragments within another": "{ server {" + strings.Repeat("... { ", 330) + strings.Repeat("name ", 900) + strings.Repeat("} ", 330) + "} }",
		"inline fragments around many":    "{ server { limits {" + strings.Repeat("... { ", 300) + strings.Repeat(limits, 75) + strings.Repeat("} ", 300) + "} } }",
		"as deep as may be":               "{ server { limits {" + strings.Repeat("... { ", 12) + strings.Repeat(limits, 75) + strings.Repeat("} ", 12) + "} } }",
		"spreads again":                   "{ server {" + strings.Repeat("...A ", 900) + "} } fragment A on ServerInfo { name }",
		"directives again":                "{ __typename " + strings.Repeat("@skip(if: false) ", 280) + "}",
		"unknown fields":                  "{ " + strings.Repeat("nope ", 1900) + "}",
		"a long name":                     "{ " + strings.Repeat("n", 15_000) + " }",
		"lists within lists":              "{ images(keys: " + strings.Repeat("[", 990) + strings.Repeat("]", 990) + ") { id } }",
		"selections within selections":    strings.Repeat("{ a ", 990) + strings.Repeat("}", 990),
		"a circle of fragments":           "{ server { ...A } } fragment A on ServerInfo { ...B } fragment B on ServerInfo { ...A }",
	}
	bomb, many, distinct, variables := "{ server { ...F0 } }", "{ server {", "{", "query("
	for n := range 19 {
		bomb += fmt.Sprintf(" fragment F%d on ServerInfo { ...F%d ...F%d }", n, n+1, n+1)
	}
	for n := range 99 {
		many += fmt.Sprintf(" ...G%d", n)
	}
	many += " } }"
	for n := range 99 {
		many += fmt.Sprintf(" fragment G%d on ServerInfo { name version }", n)
	}
	for n := range 300 {
		distinct += fmt.Sprintf(" a%d: devices { nodes { id } }", n)
		variables += fmt.Sprintf(" $v%d: Int", n)
	}
	all["a bomb of fragments"] = bomb + " fragment F19 on ServerInfo { name }"
	all["fragments and fragments"] = many
	all["300 aliases"] = distinct + " }"
	all["300 variables"] = variables + ") { __typename }"
	return all
}

func TestLimits_ANastyQueryIsAnsweredWithBoundedWork(t *testing.T) {
	s := start(t, "")
	admin := s.admin()
	l := s.limits()
	// As large as a query may be, and of no harm: the yardstick.
	benign := "{ server { limits { " + strings.Repeat("files ", 95) + "} } } " + strings.Repeat("# a comment of no consequence, as long as it may be\n", 200)
	fastest := func(query string) (time.Duration, *answer) {
		best, got := time.Hour, (*answer)(nil)
		for n := range 3 {
			began := time.Now()
			got = admin.do(query+strings.Repeat(" ", n), nil) // another text each time, lest it be known
			best = min(best, time.Since(began))
		}
		return best, got
	}
	usual, _ := fastest(benign)
	before := s.resident()
	for name, query := range nasty() {
		if len(query) > l.QueryBytes {
			query = query[:l.QueryBytes-10]
		}
		took, got := fastest(query)
		// Before the text was judged, the worst took 200 times as long.
		if took > 40*usual+50*time.Millisecond {
			t.Errorf("%s takes %s, and a benign query of that size %s", name, took, usual)
		}
		if code := got.code(); code != "" && code != "TOO_LARGE" && code != "BAD_USER_INPUT" || len(got.Body) > 16<<10 {
			t.Errorf("%s is answered with %d bytes: %.300s", name, len(got.Body), got.Body)
		}
	}
	s.unharmed(before)
}

func TestLimits_AFloodLeavesTheServerAsItWas(t *testing.T) {
	s := start(t, "")
	admin := s.admin()
	before := s.resident()
	for n := range 100 {
		for _, query := range nasty() {
			if n%25 == 0 || len(query) < 4_000 {
				admin.do(query, nil)
			}
		}
	}
	// Bodies that end early, lie about their length, or have one enormous part.
	for _, body := range []string{"", "{", "[]", "[{}]", "null", `{"query": 1}`, `{"query": null}`, `{"query": "{`, "\xff\xfe", strings.Repeat("[", 100_000),
		`{"query": "{ __typename }", "variables": ` + strings.Repeat(`{"a":`, 9_000) + `1` + strings.Repeat("}", 9_000) + `}`} {
		if got := admin.send(strings.NewReader(body), "application/json"); got.code() != "BAD_USER_INPUT" && got.code() != "TOO_LARGE" && got.code() != "" {
			t.Errorf("%.50q is answered %d %.300s", body, got.Status, got.Body)
		}
	}
	s.unharmed(before)
}

func TestLimits_ABodyHoldsTheObjectsThatTheContractNames(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	md5 := admin.upload("REFUSE", snapshot(trap, 0, 1))[0].Image.Md5
	for _, c := range []struct{ objects, vertices int }{{10_000, 3}, {1500, 60}} {
		// As Python writes JSON; the blanks stand for digits of larger photographs.
		contour := strings.Repeat("[ 100,  110], ", c.vertices-3) + "[ 100,  110], [ 120,  110], [ 120,  119]"
		object := fmt.Sprintf(`{"name": "insect", "contour": [%s], "strokeColour": "#0000ff", "value": 1}`, contour)
		body := fmt.Sprintf(`{"query": %q, "variables": {"input": [{"image": {"device": %q, "takenAt": %q}, "md5": %q,
			"algorithm": {"name": "detector", "version": "%d"}, "objects": [%s%s]}]}}`,
			`mutation Put($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { objectCount } } } }`,
			trap, at(0), md5, c.vertices, strings.Repeat(object+", ", c.objects-1), object)
		got := admin.send(strings.NewReader(body), "application/json")
		if want := fmt.Sprintf(`"objectCount":%d`, c.objects); got.code() != "" || !strings.Contains(string(got.Data), want) {
			t.Errorf("%d objects with %d vertices, %d bytes: got %d %.300s, want %s", c.objects, c.vertices, len(body), got.Status, got.Body, want)
		}
	}
}

func TestLimits_ASlowBodyIsGivenUp(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--timeout", "3s", "--upload-timeout", "3s")
	admin := s.admin()
	for _, contentType := range []string{"application/json", "multipart/form-data; boundary=b"} {
		// A body that never ends, of which a byte comes now and then.
		reader, writer := io.Pipe()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/graphql", reader)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("Authorization", "Bearer "+admin.Token)
		go func() {
			_, _ = writer.Write([]byte("--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{"))
		}()
		began := time.Now()
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		got := read(t, response)
		_ = writer.Close()
		if took := time.Since(began); got.Status != http.StatusRequestTimeout || got.code() != "UNAVAILABLE" || took > 15*time.Second {
			t.Errorf("a slow body of %s is answered after %s: %d %v", contentType, took, got.Status, got.Errors)
		}
	}
	// A head that never ends.
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := connection.Write([]byte("POST /graphql HTTP/1.1\r\nHost: x\r\nX-Slow: ")); err != nil {
		t.Fatal(err)
	}
	if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, connection); err != nil {
		t.Errorf("a head that never ends is not given up: %v", err)
	}
	admin.must(nil, `{ viewer { id } }`, nil)
}

func TestLimits_WhoDoesNotReadTheAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	// Some megabytes of answer, which no socket takes at once.
	large := snapshot(trap, 1, 1)
	large.Content = append(large.Content, make([]byte, 24<<20)...)
	admin.upload("REFUSE", large)
	var image struct {
		Image struct{ File struct{ URL string } }
	}
	admin.must(&image, `{ image(device: "`+trap+`", takenAt: "`+at(1)+`") { file { url } } }`, nil)
	s.stop()
	s.args = []string{"--timeout", "1s", "--upload-timeout", "1s"}
	s.boot()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", image.Image.File.URL); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, connection, 1<<10); err != nil {
		t.Fatal(err)
	}
	// It reads no more. The server stops long before its drain ends all the same.
	began := time.Now()
	s.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("one who does not read holds the server for %s", took)
	}
}

func TestLimits_ThePublishedContractAndItsIntrospectionAreForEveryone(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	status, body := s.get("/schema.graphql")
	text, err := os.ReadFile("../../../schema.graphql")
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusOK || !bytes.Equal(body, text) {
		t.Errorf("/schema.graphql is answered %d with %d bytes, not %d", status, len(body), len(text))
	}
	var got struct {
		Schema struct {
			Types []struct {
				Name   string
				Fields []struct{ Name string }
			}
		} `json:"__schema"`
	}
	s.anonymous().must(&got, `{ __schema { queryType { name } mutationType { name } directives { name } types { name kind fields(includeDeprecated: true) { name
	  args { name defaultValue type { kind name ofType { kind name ofType { kind name ofType { name } } } } } type { kind name ofType { kind name ofType { kind name ofType { name } } } } }
	  inputFields { name } enumValues { name } possibleTypes { name } } } }`, nil)
	fields := 0
	for _, published := range got.Schema.Types {
		def := contract(t).Types[published.Name]
		if def == nil {
			t.Errorf("the server has a type %s that is not in the contract", published.Name)
			continue
		}
		fields += len(published.Fields)
		for _, f := range published.Fields {
			if def.Fields.ForName(f.Name) == nil {
				t.Errorf("the server has a field %s.%s that is not in the contract", published.Name, f.Name)
			}
		}
	}
	if fields < 100 {
		t.Errorf("introspection shows %d fields", fields)
	}
}

func TestLimits_MetricsHaveNoMoreLabelsThanTheyMay(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	anonymous, admin := s.anonymous(), s.admin()
	for n := range 500 {
		anonymous.must(nil, fmt.Sprintf(`query MadeUp%d { server { name } }`, n), nil)
		admin.must(nil, fmt.Sprintf(`query Named%d { server { name } }`, n), nil)
		if n%5 == 0 {
			s.get(fmt.Sprintf("/nowhere/%d", n))
			request, err := http.NewRequestWithContext(t.Context(), fmt.Sprintf("VERB%d", n), s.URL+"/graphql", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
		}
	}
	_, metrics := s.get("/metrics")
	values := map[string]map[string]bool{}
	for _, found := range regexp.MustCompile(`(operation|route|method)="([^"]*)"`).FindAllStringSubmatch(string(metrics), -1) {
		if values[found[1]] == nil {
			values[found[1]] = map[string]bool{}
		}
		values[found[1]][found[2]] = true
	}
	if n := len(values["operation"]); n < 201 || n > 202 || !values["operation"]["MadeUp19"] || values["operation"]["MadeUp20"] ||
		!values["operation"]["Named179"] || !values["operation"]["other"] {
		t.Errorf("1000 names of operations are %d labels", n)
	}
	if len(values["route"]) > 10 || len(values["method"]) > 5 {
		t.Errorf("routes are %v, methods are %v", values["route"], values["method"])
	}
}
