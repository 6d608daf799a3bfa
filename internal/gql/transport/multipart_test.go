package transport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"

	"tagma/internal/gql/transport"
)

const (
	one    = `{"query":"mutation ($file: Upload!) { one(file: $file) }","variables":{"file":null}}`
	many   = `{"query":"mutation ($files: [Upload!]!) { many(files: $files) }","variables":{"files":[null,null]}}`
	tagged = `{"query":"mutation ($input: [Tagged!]!) { tagged(input: $input) }","variables":{"input":[{"file":null,"tag":"a"}]}}`
)

// section is one part of a form. A file has a file name.
type section struct{ name, filename, content string }

func operations(content string) section { return section{"operations", "", content} }
func fileMap(content string) section    { return section{"map", "", content} }
func file(name, content string) section { return section{name, name + ".jpg", content} }

// form writes sections as browsers do.
func form(sections ...section) string {
	var b strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&b, "--edge\r\nContent-Disposition: form-data; name=%q", s.name)
		if s.filename != "" {
			fmt.Fprintf(&b, "; filename=%q\r\nContent-Type: image/jpeg", s.filename)
		}
		fmt.Fprintf(&b, "\r\n\r\n%s\r\n", s.content)
	}
	return b.String() + "--edge--\r\n"
}

func upload(body io.Reader, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/graphql", body)
	r.Header.Set("Content-Type", `multipart/form-data; boundary=edge`)
	r.Header.Set("GraphQL-Require-Preflight", "1")
	return with(r, header...)
}

func TestUpload_FilesReachTheirPlaces(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"one file", form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha")),
			`["variables.file 0.jpg image/jpeg 5 b1a96dd6"]`},
		{"a list", form(operations(many), fileMap(`{"0":["variables.files.0"],"1":["variables.files.1"]}`), file("0", "Bravo"), file("1", "Charlie")),
			`["variables.files.0 0.jpg image/jpeg 5 8123f58e","variables.files.1 1.jpg image/jpeg 7 6e81b125"]`},
		{"files in another order than the map", form(operations(many), fileMap(`{"b":["variables.files.1"],"a":["variables.files.0"]}`), file("b", "Charlie"), file("a", "Bravo")),
			`["variables.files.0 a.jpg image/jpeg 5 8123f58e","variables.files.1 b.jpg image/jpeg 7 6e81b125"]`},
		{"one file in two places", form(operations(many), fileMap(`{"0":["variables.files.1","variables.files.0"]}`), file("0", "Bravo")),
			`["variables.files.0 0.jpg image/jpeg 5 8123f58e","variables.files.1 0.jpg image/jpeg 5 8123f58e"]`},
		{"within an input", form(operations(tagged), fileMap(`{"0":["variables.input.0.file"]}`), file("0", "Alpha")),
			`["variables.input.0.file 0.jpg image/jpeg 5 b1a96dd6"]`},
		{"an empty file", form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "")),
			`["variables.file 0.jpg image/jpeg 0 e3b0c442"]`},
		{"a file without a name or a type", form(operations(one), fileMap(`{"0":["variables.file"]}`), section{"0", "", "Alpha"}),
			`["variables.file   5 b1a96dd6"]`},
		{"a file name with a folder", form(operations(one), fileMap(`{"0":["variables.file"]}`), section{"0", "../../etc/a.jpg", "Alpha"}),
			`["variables.file a.jpg image/jpeg 5 b1a96dd6"]`},
		{"no files", form(operations(`{"query":"{ hello }"}`), fileMap(`{}`)), `[]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			server := newServer(transport.Options{TempDir: dir, Memory: transport.NewMemory(1 << 20)}, describe)
			for _, body := range []io.Reader{
				strings.NewReader(c.body),
				io.MultiReader(strings.NewReader(c.body)), // of unknown length, so it is sent in chunks, and waits on the disk
			} {
				a := do(t, server, upload(body))
				if want := `{"files":` + c.want + `}`; a.status != 200 || string(a.Data) != want {
					t.Errorf("%d %s, want %s", a.status, a.body, want)
				}
			}
			if n := left(t, dir); n != 0 {
				t.Errorf("%d files or descriptors left", n)
			}
		})
	}
}

func TestUpload_EachMistakeHasItsStatusAndCode(t *testing.T) {
	limits := transport.Limits{JSONBytes: 500, MapBytes: 200, Files: 3, FileBytes: 1000, TotalBytes: 3000}
	alpha := file("0", "Alpha")
	toFile := fileMap(`{"0":["variables.file"]}`)
	to := func(path string) string { return form(operations(many), fileMap(`{"0":["`+path+`"]}`), alpha) }
	whole := form(operations(one), toFile, alpha)
	for _, c := range []struct {
		name, body string
		status     int
		code, says string
	}{
		{"an empty body", ``, 400, "BAD_USER_INPUT", "cut short"},
		{"no parts", form(), 400, "BAD_USER_INPUT", `"operations" is missing`},
		{"the map first", form(toFile, operations(one), alpha), 400, "BAD_USER_INPUT", `"operations" is missing or out of order`},
		{"a file first", form(alpha, operations(one), toFile), 400, "BAD_USER_INPUT", `"operations" is missing or out of order`},
		{"a file before the map", form(operations(one), alpha, toFile), 400, "BAD_USER_INPUT", `"map" is missing or out of order`},
		{"no map", form(operations(one)), 400, "BAD_USER_INPUT", `"map" is missing`},
		{"a batch", form(operations("["+one+"]"), fileMap(`{"0":["0.variables.file"]}`), alpha), 400, "BAD_USER_INPUT", "batching is not supported"},
		{"broken operations", form(operations(`{"query":"hunter2`), toFile, alpha), 400, "BAD_USER_INPUT", "not valid JSON"},
		{"a broken map", form(operations(one), fileMap(`{"0":`), alpha), 400, "BAD_USER_INPUT", `"map" must be`},
		{"a null map", form(operations(one), fileMap(`null`), alpha), 400, "BAD_USER_INPUT", `"map" must be`},
		{"a map that is a list", form(operations(one), fileMap(`["variables.file"]`), alpha), 400, "BAD_USER_INPUT", `"map" must be`},
		{"a map to a string", form(operations(one), fileMap(`{"0":"variables.file"}`), alpha), 400, "BAD_USER_INPUT", `"map" must be`},
		{"a map to no path", form(operations(one), fileMap(`{"0":[]}`), alpha), 400, "BAD_USER_INPUT", "0 paths"},
		{"a map to null", form(operations(one), fileMap(`{"0":null}`), alpha), 400, "BAD_USER_INPUT", "0 paths"},
		{"two files in one place", form(operations(one), fileMap(`{"0":["variables.file"],"1":["variables.file"]}`), alpha, file("1", "")), 400, "BAD_USER_INPUT", "same path twice"},
		{"one file twice in one place", form(operations(one), fileMap(`{"0":["variables.file","variables.file"]}`), alpha), 400, "BAD_USER_INPUT", "same path twice"},
		{"a file in a second place that is not there", form(operations(many), fileMap(`{"0":["variables.files.0","variables.files.2"]}`), alpha), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a file in too many places", form(operations(strings.Replace(many, "null,null", "null,null,null,null", 1)),
			fileMap(`{"0":["variables.files.0","variables.files.1","variables.files.2","variables.files.3"]}`), alpha), 413, "TOO_LARGE", "more than 3 paths"},
		{"a file that does not come", form(operations(one), toFile), 400, "BAD_USER_INPUT", "1 of the files"},
		{"a file that is not in the map", form(operations(one), toFile, alpha, file("1", "")), 400, "BAD_USER_INPUT", `no file of the map`},
		{"only a file that is not in the map", form(operations(one), toFile, file("1", "")), 400, "BAD_USER_INPUT", `no file of the map`},
		{"a file twice", form(operations(one), toFile, alpha, alpha), 400, "BAD_USER_INPUT", "has come before"},
		{"an end without its edge", strings.TrimSuffix(whole, "--edge--\r\n"), 400, "BAD_USER_INPUT", "cut short"},
		{"an end within a file", whole[:strings.Index(whole, "Alpha")+3], 400, "BAD_USER_INPUT", "cut short"},
		{"an end within a part's head", whole[:strings.Index(whole, "image/jpeg")], 400, "BAD_USER_INPUT", "did not come"},

		{"a path to a place that is not there", to("variables.file"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path beyond a list", to("variables.files.2"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path beyond any list", to("variables.files.99999999999999999999"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to a negative index", to("variables.files.-1"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"an index with a sign", to("variables.files.+1"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"an index with a nought", to("variables.files.01"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a name within a list", to("variables.files.first"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to a list", to("variables.files"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path through null", to("variables.files.0.0"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to all variables", to("variables"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to an empty name", to("variables."), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to the query", to("query"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to the extensions", to("extensions.file"), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"an empty path", to(""), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path through a string", form(operations(`{"query":"{ hello }","variables":{"name":"x"}}`), fileMap(`{"0":["variables.name.0"]}`), alpha), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path to a string", form(operations(`{"query":"{ hello }","variables":{"name":"x"}}`), fileMap(`{"0":["variables.name"]}`), alpha), 400, "BAD_USER_INPUT", "does not lead to a null"},
		{"a path without variables", form(operations(`{"query":"{ hello }","variables":null}`), fileMap(`{"0":["variables.file"]}`), alpha), 400, "BAD_USER_INPUT", "does not lead to a null"},

		{"large operations", form(operations(one+strings.Repeat(" ", 500)), toFile, alpha), 413, "TOO_LARGE", `"operations" is larger than the limit of 500`},
		{"a large map", form(operations(one), fileMap(`{"0":["variables.file"]}`+strings.Repeat(" ", 200)), alpha), 413, "TOO_LARGE", `"map" is larger than the limit of 200`},
		{"many files", form(operations(one), fileMap(`{"0":[],"1":[],"2":[],"3":[]}`)), 413, "TOO_LARGE", "4 files: the limit is 3"},
		{"a file of just the limit", form(operations(one), toFile, file("0", strings.Repeat("x", 1000))), 200, "", ""},
		{"a large body", form(operations(one), toFile, file("0", strings.Repeat("x", 3000))), 413, "TOO_LARGE", "limit of"},
		{"a large epilogue", whole + strings.Repeat("x", 200), 200, "", ""},

		{"a file where a string belongs", form(operations(`{"query":"query ($name: String) { hello(name: $name) }","variables":{"name":null}}`), fileMap(`{"0":["variables.name"]}`), alpha), 400, "GRAPHQL_VALIDATION_FAILED", "String"},
		{"a query with a syntax error", form(operations(`{"query":"{","variables":{"file":null}}`), toFile, alpha), 400, "GRAPHQL_PARSE_FAILED", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			server := newServer(transport.Options{TempDir: dir, Limits: limits, Memory: transport.NewMemory(1 << 20)}, describe)
			for _, body := range []io.Reader{strings.NewReader(c.body), io.MultiReader(strings.NewReader(c.body))} {
				a := do(t, server, upload(body, "Accept", response))
				if a.status != c.status || a.code() != c.code || !strings.Contains(a.message(), c.says) {
					t.Errorf("%d %s: want %d %s with %q", a.status, a.body, c.status, c.code, c.says)
				}
				if strings.Contains(string(a.body), "hunter2") {
					t.Errorf("the answer repeats the body: %s", a.body)
				}
			}
			if n := left(t, dir); n != 0 {
				t.Errorf("%d files or descriptors left", n)
			}
		})
	}
}

func TestUpload_AFileBeyondTheLimitHasItsSizeAndNoContentAndTheOthersArrive(t *testing.T) {
	for _, size := range []int{1001, 100_000} {
		body := form(operations(many), fileMap(`{"0":["variables.files.0"],"1":["variables.files.1"]}`),
			file("0", strings.Repeat("x", size)), file("1", "Bravo"))
		var got string
		dir := t.TempDir()
		options := transport.Options{TempDir: dir, Limits: transport.Limits{FileBytes: 1000, TotalBytes: 1 << 20}, Memory: transport.NewMemory(1 << 20)}
		server := newServer(options, func(_ context.Context, variables map[string]any) ([]byte, error) {
			got = ""
			for _, one := range variables["files"].([]any) {
				content, err := io.ReadAll(one.(graphql.Upload).File)
				got += fmt.Sprintf("%s %d %q %v; ", one.(graphql.Upload).Filename, one.(graphql.Upload).Size, content, err)
			}
			return []byte(`{}`), nil
		})
		want := fmt.Sprintf(`0.jpg %d "" <nil>; 1.jpg 5 "Bravo" <nil>; `, size)
		for _, source := range []io.Reader{strings.NewReader(body), io.MultiReader(strings.NewReader(body))} { // in memory, on the disk
			if a := do(t, server, upload(source)); a.status != 200 || len(a.Errors) > 0 || got != want {
				t.Errorf("%d bytes: got %d %s and the files %s, want 200 and %s", size, a.status, a.body, got, want)
			}
		}
		if n := left(t, dir); n != 0 {
			t.Errorf("%d files or descriptors left", n)
		}
	}
}

func TestUpload_TheHeadOfAPartIsBounded(t *testing.T) {
	body := form(operations(one), section{"map", strings.Repeat("x", 40<<10), `{}`})
	a := do(t, newServer(transport.Options{}, describe), upload(strings.NewReader(body)))
	if a.status != 413 || a.code() != "TOO_LARGE" || !strings.Contains(a.message(), "head of a part") {
		t.Errorf("got %d %s, want 413, TOO_LARGE and the head of a part", a.status, a.body)
	}
}

func TestUpload_ABoundaryMustBeThereAndShort(t *testing.T) {
	for _, contentType := range []string{
		"multipart/form-data",
		"multipart/form-data; boundary=",
		"multipart/form-data; boundary",
		"multipart/form-data; boundary=" + strings.Repeat("x", 71),
	} {
		a := do(t, newServer(transport.Options{}, describe), upload(strings.NewReader(""), "Content-Type", contentType))
		if a.status != 400 || !strings.Contains(a.message(), "boundary") {
			t.Errorf("%.60s: got %d %s, want 400 and the boundary", contentType, a.status, a.body)
		}
	}
}

func TestUpload_AnotherSiteCannotSendOneUnasked(t *testing.T) {
	body := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha"))
	for _, c := range []struct {
		name, value string
		status      int
	}{
		{"Origin", "https://elsewhere.example", 403},
		{"Cookie", "session=1", 403},
		{"Authorization", "Basic YTpi", 403},
		{"Authorization", "Bearer ", 403},
		{"Apollo-Require-Preflight", " ", 403},
		{"Authorization", "Bearer x", 200},
		{"authorization", "bearer x", 200},
		{"GraphQL-Require-Preflight", "1", 200},
		{"Apollo-Require-Preflight", "true", 200},
		{"X-Apollo-Operation-Name", "one", 200},
	} {
		r := upload(strings.NewReader(body), "GraphQL-Require-Preflight", "", c.name, c.value)
		a := do(t, newServer(transport.Options{}, describe), r)
		if a.status != c.status || (a.code() == "FORBIDDEN") != (c.status == 403) {
			t.Errorf("%s: %s: got %d %s, want %d", c.name, c.value, a.status, a.body, c.status)
		}
	}
}

func TestUpload_AFileIsPrivateSeekableAndHasOneDescriptor(t *testing.T) {
	dir := t.TempDir()
	server := newServer(transport.Options{TempDir: dir}, func(_ context.Context, variables map[string]any) ([]byte, error) {
		if n := left(t, dir); n != 2 {
			t.Errorf("%d files and descriptors for 2 uploads", n)
		}
		f := variables["files"].([]any)[1].(graphql.Upload).File
		for range 2 {
			if content, err := io.ReadAll(f); err != nil || string(content) != "Bravo" {
				t.Errorf("got %q, %v, want Bravo", content, err)
			}
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				t.Error(err)
			}
		}
		info, err := f.(*os.File).Stat()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("got mode %v, %v, want 0600", info.Mode(), err)
		}
		return []byte(`{}`), f.(io.Closer).Close()
	})
	body := form(operations(many), fileMap(`{"0":["variables.files.0"],"1":["variables.files.1"]}`), file("0", "Alpha"), file("1", "Bravo"))
	if a := do(t, server, upload(strings.NewReader(body))); a.status != 200 || len(a.Errors) > 0 {
		t.Errorf("got %d %s, want 200 without errors", a.status, a.body)
	}
	if n := left(t, dir); n != 0 {
		t.Errorf("%d files or descriptors left", n)
	}
}

func TestUpload_FilesWaitInMemoryWhileThereIsRoom(t *testing.T) {
	dir := t.TempDir()
	body := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha"))
	var server http.Handler
	var descriptors []int // while the file of a request waits
	within := 1
	server = newServer(transport.Options{TempDir: dir, Memory: transport.NewMemory(int64(len(body)))}, func(ctx context.Context, variables map[string]any) ([]byte, error) {
		f := variables["file"].(graphql.Upload).File
		descriptors = append(descriptors, left(t, dir))
		if memory, ok := f.(interface{ Bytes() []byte }); ok && string(memory.Bytes()) != "Alpha" {
			t.Errorf("got %q in memory, want Alpha", memory.Bytes())
		}
		if within--; within >= 0 { // another one while this one has all the room
			if a := do(t, server, upload(strings.NewReader(body))); a.status != 200 {
				t.Errorf("got %d %s, want 200 for the second upload", a.status, a.body)
			}
		}
		return describe(ctx, variables)
	})
	for range 2 { // the second time there is room again
		if a := do(t, server, upload(strings.NewReader(body))); a.status != 200 || !strings.Contains(string(a.body), "5 b1a96dd6") {
			t.Errorf("got %d %s, want 200 and the file", a.status, a.body)
		}
	}
	if fmt.Sprint(descriptors) != "[0 1 0]" {
		t.Errorf("descriptors open: %v", descriptors)
	}
}

func TestUpload_ABodyThatIsLongerThanItSaysIsRefused(t *testing.T) {
	body := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", strings.Repeat("x", 1000)))
	for _, length := range []int64{1, 500, 999} {
		r := upload(strings.NewReader(body))
		r.ContentLength = length // which net/http would hold the body to
		w := httptest.NewRecorder()
		newServer(transport.Options{Memory: transport.NewMemory(1 << 20)}, describe).ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), "Content-Length") {
			t.Errorf("%d bytes: got %d %s, want 400 and Content-Length", length, w.Code, w.Body)
		}
	}
}

func TestUpload_APanicLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	server := newServer(transport.Options{TempDir: dir}, func(context.Context, map[string]any) ([]byte, error) { panic("no") })
	body := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha"))
	if a := do(t, server, upload(strings.NewReader(body))); a.status != 500 || a.message() != "internal error" {
		t.Errorf("got %d %s, want 500 and internal error", a.status, a.body)
	}
	if n := left(t, dir); n != 0 {
		t.Errorf("%d files or descriptors left", n)
	}
}

func TestUpload_AClientThatGoesAwayLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	listening := httptest.NewServer(newServer(transport.Options{TempDir: dir}, describe))
	whole := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", strings.Repeat("x", 1<<20)))
	gone := errors.New("gone")
	r := upload(io.MultiReader(strings.NewReader(whole[:1<<19]), failing{gone})).Clone(t.Context())
	r.URL, _ = r.URL.Parse(listening.URL)
	r.RequestURI = ""
	if _, err := listening.Client().Do(r); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
	listening.Close() // waits for the request
	if n := left(t, dir); n != 0 {
		t.Errorf("%d files or descriptors left", n)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestUpload_ADiskThatFailsIsNotTheCallersFault(t *testing.T) {
	var log bytes.Buffer
	options := transport.Options{TempDir: filepath.Join(t.TempDir(), "missing"), Log: textLog(&log)}
	body := form(operations(one), fileMap(`{"0":["variables.file"]}`), file("0", "Alpha"))
	a := do(t, newServer(options, describe), upload(strings.NewReader(body)))
	if a.status != 503 || a.code() != "UNAVAILABLE" || strings.Contains(string(a.body), "missing") {
		t.Errorf("got %d %s, want 503 and UNAVAILABLE without the name of the folder", a.status, a.body)
	}
	if !strings.Contains(log.String(), "missing") {
		t.Errorf("the log does not say why: %s", log.String())
	}
}
