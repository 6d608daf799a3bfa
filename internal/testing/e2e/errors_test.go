package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"tagma/internal/testing/doctest"
	"tagma/internal/testing/testenv"
)

// documented are the answers of docs/errors.md, by code: the fenced blocks
// ```json CODE.
func documented(t *testing.T) map[string]any {
	t.Helper()
	blocks, err := doctest.Blocks("../../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]any{}
	for _, block := range blocks {
		var answer any
		if err := json.Unmarshal([]byte(block.Text), &answer); err != nil {
			t.Fatalf("%s:%d: got %v, want JSON", block.Path, block.Line, err)
		}
		answers[block.Info] = answer
	}
	return answers
}

var (
	requestID = regexp.MustCompile(`"requestId":"[0-9a-f]{16}"`)
	seconds   = regexp.MustCompile(`wait \d+s|"retryAfter":\d+`)
)

// comparable is an answer without what differs each time.
func comparable(t *testing.T, body []byte) any {
	t.Helper()
	text := requestID.ReplaceAllString(string(body), `"requestId":"5f2b8c0d9a41e673"`)
	text = seconds.ReplaceAllStringFunc(text, func(s string) string { return regexp.MustCompile(`\d+`).ReplaceAllString(s, "1") })
	var answer any
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// leaks is what an answer must never show of the server's inside, if it does.
func (s *server) leaks(body []byte) string {
	for _, inside := range []string{
		s.Data, "tagma.db", "/tmp", "SQL", "sqlite", "pq:", "ent:", "no such table", "relation", "annotations_", "access_tokens",
		"goroutine", ".go:", "panic", "context", "deadline", "permission", "argon2",
	} {
		if strings.Contains(string(body), inside) {
			return inside
		}
	}
	return ""
}

func TestErrors_EachCodeIsProvokedAndAnsweredAsDocumented(t *testing.T) {
	want := documented(t)
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		reader := s.person(admin, "reader", "READER")
		db := s.open()
		spoil := func(statement string) {
			if _, err := db.Exec(statement); err != nil {
				t.Fatalf("%s: got %v, want no error", statement, err)
			}
		}
		guess := func() *answer {
			for {
				got := s.anonymous().do(`mutation { login(username: "nobody", password: "a guess") { token } }`, nil)
				if got.code() != "UNAUTHENTICATED" {
					return got
				}
			}
		}
		// A fault that passes: somebody else holds the database.
		blocked := func() *answer {
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback() }()
			if _, err := tx.Exec(`UPDATE users SET email = 'ada@example.org'`); err != nil {
				t.Fatal(err)
			}
			return admin.do(`mutation { updateUser(id: "User:2", input: {disabled: false}) { user { id } } }`, nil)
		}
		broken := func() *answer {
			spoil(`ALTER TABLE annotations RENAME TO elsewhere`)
			defer spoil(`ALTER TABLE elsewhere RENAME TO annotations`)
			return admin.do(`{ annotationSeries(series: [{device: "%", start: "2020-06-01T00:00:00Z", end: "2020-07-01T00:00:00Z"}]) { totalCount } }`, nil)
		}
		failed := "" // the request whose cause is in the log
		for _, c := range []struct {
			code    string
			provoke func() *answer
		}{
			{"UNAUTHENTICATED", func() *answer { return s.anonymous().do(`{ devices { __typename } }`, nil) }},
			{"FORBIDDEN", func() *answer { return reader.do(`{ users { __typename } }`, nil) }},
			{"BAD_USER_INPUT", func() *answer {
				return admin.do(`mutation { createUsers(input: [{username: "ada lovelace", password: "short"}]) { users { id } } }`, nil)
			}},
			{"NOT_FOUND", func() *answer {
				return admin.do(`mutation { updateUser(id: "User:99", input: {role: WRITER}) { user { id } } }`, nil)
			}},
			{"CONFLICT", func() *answer {
				return admin.do(`mutation { createUsers(input: [{username: "reader", password: "correct horse battery"}]) { users { id } } }`, nil)
			}},
			{"TOO_LARGE", func() *answer {
				return admin.do(`{ devices(first: 1000) { nodes { images(first: 1000) { nodes { md5 } } } } }`, nil)
			}},
			{"RATE_LIMITED", guess},
			{"UNAVAILABLE", blocked},
			{"PERSISTED_QUERY_NOT_FOUND", func() *answer {
				return admin.ask(http.MethodGet, "/graphql?extensions="+url.QueryEscape(`{"persistedQuery": {"version": 1, "sha256Hash": "00"}}`), nil)
			}},
			{"DOCUMENT_NOT_TRUSTED", func() *answer {
				file := filepath.Join(t.TempDir(), "trusted.json")
				if err := os.WriteFile(file, []byte(`{"a1": "{ server { name } }"}`), 0o600); err != nil {
					t.Fatal(err)
				}
				return start(t, "", "--trusted-documents", file, "--trusted-documents-only").anonymous().do(`{ __typename }`, nil)
			}},
			{"IDEMPOTENCY_KEY_REUSED", func() *answer {
				admin.keyed("a-key", `mutation { updateUser(id: "User:2", input: {}) { user { id } } }`, nil)
				return admin.keyed("a-key", `mutation { updateUser(id: "User:1", input: {}) { user { id } } }`, nil)
			}},
			{"ANSWER_NOT_KEPT", func() *answer {
				const makeToken = `mutation { createAccessToken(input: {name: "script"}) { token } }`
				admin.keyed("another-key", makeToken, nil)
				return admin.keyed("another-key", makeToken, nil)
			}},
			{"INTERNAL", broken},
		} {
			got := c.provoke()
			if !reflect.DeepEqual(comparable(t, got.Body), want[c.code]) {
				t.Errorf("%s is answered %s\nand docs/errors.md says %v", c.code, got.Body, want[c.code])
			}
			if inside := s.leaks(got.Body); inside != "" {
				t.Errorf("%s shows %q: %s", c.code, inside, got.Body)
			}
			if got.code() != c.code || got.Errors[0].Extensions.RequestID != got.Header.Get("X-Request-Id") {
				t.Errorf("%s: the answer %s has not the id of its head, %s", c.code, got.Body, got.Header.Get("X-Request-Id"))
			}
			if c.code == "INTERNAL" {
				failed = got.Errors[0].Extensions.RequestID
			}
		}
		// The server has gone on meanwhile.
		admin.must(nil, `{ annotationSeries(series: [{device: "%", start: "2020-06-01T00:00:00Z", end: "2020-07-01T00:00:00Z"}]) { totalCount } }`, nil)
		s.stop()
		if !regexp.MustCompile(`level=ERROR msg="request failed" error=.*annotations.* request=` + failed).MatchString(s.logs.String()) {
			t.Errorf("the log does not tell the cause of request %s:\n%s", failed, s.logs)
		}
	}, "--timeout", "2s")
	var codes []string
	for _, value := range contract(t).Types["ErrorCode"].EnumValues {
		codes = append(codes, value.Name)
		if want[value.Name] == nil {
			t.Errorf("docs/errors.md has no example of %s", value.Name)
		}
	}
	for code := range want {
		if !slices.Contains(codes, code) {
			t.Errorf("docs/errors.md tells of %q, which is no code", code)
		}
	}
}

func TestErrors_WhereTheFilesAreGoneNothingOfTheInsideShows(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	admin.upload("REFUSE", snapshot(trap, 1, 1))
	if err := os.RemoveAll(filepath.Join(s.Data, "files")); err != nil {
		t.Fatal(err)
	}
	before := s.rows()
	body, contentType := form(t, uploadImages, "REFUSE", snapshot(trap, 2, 2))
	got := admin.send(body, contentType)
	if code := got.code(); code != "INTERNAL" && code != "UNAVAILABLE" || s.leaks(got.Body) != "" {
		t.Errorf("an upload into nowhere is answered %s", got.Body)
	}
	if after := s.rows(); !slices.Equal(before, after) {
		t.Error("there is a row of a file that could not be kept")
	}
	var image struct {
		Image struct{ File struct{ URL string } }
	}
	admin.must(&image, `{ image(device: "`+trap+`", takenAt: "`+at(1)+`") { file { url } } }`, nil)
	if status, body := s.get(image.Image.File.URL); status != 404 || s.leaks(body) != "" {
		t.Errorf("a file that is gone is answered %d %s", status, body)
	}
	if status, body := s.get("/readyz"); status != 503 || s.leaks(body) != "" || !strings.Contains(string(body), "storage") {
		t.Errorf("/readyz is answered %d %s", status, body)
	}
	if status, _ := s.get("/healthz"); status != 200 {
		t.Errorf("/healthz is answered %d", status)
	}
	s.stop()
	// A server refuses a database with images whose folder is missing: an empty
	// folder says that the loss is known.
	if err := os.Mkdir(filepath.Join(s.Data, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.boot()
	if sent := admin.upload("REFUSE", snapshot(trap, 2, 2)); sent[0].Verdict != "CREATED" {
		t.Errorf("after a restart the upload is %+v", sent[0])
	}
}

func TestErrors_AFolderOfFilesThatWasMovedIsNotReadyAndTakesNoUploads(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	files := filepath.Join(s.Data, "files")
	for _, step := range []struct {
		from, to string
		status   int
	}{{files, files + ".moved", 503}, {files + ".moved", files, 200}} {
		if err := os.Rename(step.from, step.to); err != nil {
			t.Fatal(err)
		}
		if status, body := s.get("/readyz"); status != step.status || (status == 503) != strings.Contains(string(body), "storage") {
			t.Errorf("with the files at %s /readyz is answered %d %s", step.to, status, body)
		}
		body, contentType := form(t, uploadImages, "REFUSE", snapshot(trap, 1, 1))
		got := admin.send(body, contentType)
		if step.status == 200 {
			if !strings.Contains(string(got.Body), "CREATED") {
				t.Errorf("with the files back an upload is answered %s", got.Body)
			}
			continue
		}
		if got.code() != "UNAVAILABLE" || !strings.Contains(string(got.Body), "folder moved") || s.leaks(got.Body) != "" {
			t.Errorf("with the files at %s an upload is answered %s", step.to, got.Body)
		}
		if photographs, err := filepath.Glob(step.to + "/images/*/*/*.jpg"); err != nil || len(photographs) > 0 {
			t.Errorf("the upload is in the folder that was moved: %q, %v", photographs, err)
		}
	}
}

func TestErrors_WhereTheDatabaseIsGoneItIsSaidAndTheServerRecovers(t *testing.T) {
	t.Parallel()
	database := testenv.Postgres(t)
	s := start(t, database)
	admin := s.admin()
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	address.Path = "/postgres"
	outside, err := sql.Open("postgres", address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	for _, statement := range []string{
		`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS false`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`,
	} {
		if _, err := outside.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if got := admin.do(`{ viewer { id } }`, nil); got.Status != 503 || got.code() != "UNAVAILABLE" || s.leaks(got.Body) != "" {
		t.Errorf("without its database the server answers %d %s", got.Status, got.Body)
	}
	if status, body := s.get("/readyz"); status != 503 || s.leaks(body) != "" || !strings.Contains(string(body), "database") {
		t.Errorf("/readyz is answered %d %s", status, body)
	}
	if _, err := outside.Exec(`ALTER DATABASE ` + name + ` ALLOW_CONNECTIONS true`); err != nil {
		t.Fatal(err)
	}
	s.await("/readyz")
	admin.must(nil, `{ viewer { id } }`, nil)
}

// wrong are values of every JSON kind. Each is right for some scalar.
var wrong = []string{
	`null`, `true`, `5`, `-1`, `1.5`, `1e400`, `2147483648`, `9007199254740993`, `99999999999999999999`, `1` + strings.Repeat("0", 400),
	`"x"`, `""`, `"\u0000"`, `"\ud800"`, `"device_time"`, `"2020-02-30T00:00:00Z"`, `"2020-06-20T21:33:24"`, `"` + strings.Repeat("9", 200) + `"`,
	`[]`, `[[]]`, `[null]`, `{}`, `{"a": 1}`, `{"__typename": "x"}`,
}

// inputs are the places of an argument's value: itself, and all within it, each
// with the JSON text around it.
func inputs(schema *ast.Schema, of *ast.Type, around string, depth int) []string {
	all := []string{around}
	if depth == 0 {
		return all
	}
	if of.Elem != nil {
		return append(all, inputs(schema, of.Elem, fmt.Sprintf(around, "[%s]"), depth-1)...)
	}
	def := schema.Types[of.NamedType]
	if def.Kind != ast.InputObject {
		return all
	}
	for _, field := range def.Fields {
		members := []string{fmt.Sprintf("%q: %%s", field.Name)}
		for _, other := range def.Fields {
			if other.Name != field.Name && other.Type.NonNull && other.DefaultValue == nil {
				members = append(members, fmt.Sprintf("%q: %s", other.Name, strings.ReplaceAll(asJSON(schema, other.Type), "%", "%%")))
			}
		}
		all = append(all, inputs(schema, field.Type, fmt.Sprintf(around, "{"+strings.Join(members, ", ")+"}"), depth-1)...)
	}
	return all
}

// asJSON is some value of an input type, as a variable.
func asJSON(schema *ast.Schema, of *ast.Type) string {
	value := literal(schema, of)
	value = regexp.MustCompile(`([{,] ?)(\w+):`).ReplaceAllString(value, `$1"$2":`)
	return regexp.MustCompile(`\b[A-Z_]{4,}\b`).ReplaceAllString(value, `"$0"`)
}

func TestErrors_AWrongValueIsTheCallersFaultWhereverItStands(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	schema := contract(t)
	tried := 0
	for _, root := range []*ast.Definition{schema.Query, schema.Mutation} {
		for _, field := range visible(root) {
			if slices.Contains([]string{"login", "logout", "changePassword"}, field.Name) {
				continue // their values are all strings, and to be guessed at is throttled
			}
			for _, argument := range field.Arguments {
				var definitions, uses []string
				values := map[string]string{}
				for _, a := range field.Arguments {
					if a == argument || a.Type.NonNull && a.DefaultValue == nil {
						definitions = append(definitions, "$"+a.Name+": "+a.Type.String())
						uses = append(uses, a.Name+": $"+a.Name)
						values[a.Name] = asJSON(schema, a.Type)
					}
				}
				selection := ""
				if objects(schema, field) != nil {
					selection = "{ __typename }"
				}
				query := fmt.Sprintf("%s(%s) { %s(%s) %s }", strings.ToLower(root.Name), strings.Join(definitions, ", "), field.Name, strings.Join(uses, ", "), selection)
				for _, around := range inputs(schema, argument.Type, "%s", 6) {
					for _, value := range wrong {
						values[argument.Name] = fmt.Sprintf(around, value)
						var members []string
						for name, text := range values {
							members = append(members, fmt.Sprintf("%q: %s", name, text))
						}
						body := fmt.Sprintf(`{"query": %q, "variables": {%s}}`, query, strings.Join(members, ", "))
						got := admin.send(strings.NewReader(body), "application/json")
						tried++
						for _, e := range got.Errors {
							if e.Extensions.Code == "INTERNAL" || e.Extensions.Code == "UNAVAILABLE" || len(e.Message) > 2_000 || s.leaks(got.Body) != "" {
								t.Errorf("%s\nis answered %.500s", body, got.Body)
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d values", tried)
	if tried < 1_000 {
		t.Error("there are fewer values than there should be")
	}
}

func TestErrors_SayWhichValueIsWrongWhereAndWhatToDo(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	admin := s.admin()
	for _, c := range []struct {
		query     string
		variables vars
		path      string   // of the first problem, if it has some
		says      []string // among others
	}{
		{`{ image(device: "0a5bb6f4", takenAt: "yesterday") { id } }`, nil, "", []string{"is not a time", "2020-06-20T21:33:24Z"}},
		{`{ image(device: "0a5bb6f4", takenAt: 99999999999999999999) { id } }`, nil, "", []string{"fits into no 64 bits", "write"}},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": 1 << 40}, "devices.first", []string{"Query.devices has a first", "from 0 to 1000"}},
		{`query($n: Int) { devices(first: $n) { totalCount } }`, vars{"n": 1.5}, "n", []string{"$n", "Int"}},
		{`query($k: [ImageKey!]!) { images(keys: $k) { id } }`, vars{"k": []vars{{"device": "0a5bb6f4"}}}, "k.0.takenAt", []string{"$k.0.takenAt", "must be defined"}},
		{`query($k: [ImageKey!]!) { images(keys: $k) { id } }`, vars{"k": []vars{{"device": "0a5bb6f4", "takenAt": at(1), "md5": ""}}}, "k.0.md5", []string{"$k.0.md5", "unknown"}},
		{`query($id: ID!) { node(id: $id) { id } }`, vars{"id": 5}, "", []string{"not an id", "as this server gave it"}},
		{`mutation($f: [Upload!]!) { uploadImages(files: $f) { results { verdict } } }`, vars{"f": []string{"a string"}}, "", []string{"multipart"}},
		{`{ imageSeries(series: [], orderBy: SIDEWAYS) { totalCount } }`, nil, "", []string{"ImageOrder has no value of this name"}},
		{`query A { server { name } } query B { server { name } }`, nil, "", []string{"operationName"}},
		{`mutation($i: [CreateUserInput!]!) { createUsers(input: $i) { users { id } } }`,
			vars{"i": []vars{{"username": "a b", "password": "short", "email": "nowhere"}}}, "input.0.username", []string{`"a b"`, "letters", "and 2 more"}},
	} {
		got := admin.do(c.query, c.variables)
		if got.code() != "BAD_USER_INPUT" {
			t.Errorf("%s is answered %s", c.query, got.Body)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(got.Errors[0].Message, says) {
				t.Errorf("%s does not say %q: %s", c.query, says, got.Body)
			}
		}
		path := ""
		if problems := got.Errors[0].Extensions.Problems; len(problems) > 0 {
			path = strings.Join(problems[0].Path, ".")
		}
		if path != c.path {
			t.Errorf("%s: the problem is at %q, not %q: %s", c.query, path, c.path, got.Body)
		}
	}
	// What the library would quote in whole may hold a password.
	for _, query := range []string{
		`mutation { createUsers(input: [{username: "x", password: "canary-in-a-literal", nope: 1}]) { users { id } } }`,
		`mutation { createUsers(input: [{username: "x", password: "canary-in-a-literal", role: KING}]) { users { id } } }`,
		`mutation { createUsers(input: [{username: "x", password: "canary-in-a-literal", email: 1e999}]) { users { id } } }`,
		`mutation { createUsers(input: {username: ["x"], password: "canary-in-a-literal"}) { users { id } } }`,
		`mutation { login(username: {name: "x", password: "canary-in-a-literal"}, password: 1) { token } }`,
		`mutation { updateUser(id: {password: "canary-in-a-literal"}, input: {}) { user { id } } }`,
		`mutation { createUsers(input: [{username: "x", password: "canary-in-a-literal"}]) { users { id } } `,
	} {
		if got := admin.do(query, nil); got.code() != "BAD_USER_INPUT" || strings.Contains(string(got.Body), "canary") {
			t.Errorf("%s is answered %s", query, got.Body)
		}
	}
	// A flood of errors is cut short.
	got := admin.do("{"+strings.Repeat(" a b c d e f g h i", 90)+"}", nil)
	if n := len(got.Errors); n != 21 || !strings.Contains(got.Errors[20].Message, "790 more") {
		t.Errorf("810 errors are answered with %d: %.300s", n, got.Body)
	}
}
