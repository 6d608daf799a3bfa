package transport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/gql/transport"
)

const sdl = `
	directive @repeatable on FIELD_DEFINITION
	directive @secret on FIELD_DEFINITION
	scalar Upload
	type Query { hello(name: String, size: Int): String }
	input Tagged { file: Upload!, tag: String }
	type Mutation {
		one(file: Upload!): String
		many(files: [Upload!]!): String
		tagged(input: [Tagged!]!): String
		make(name: String): Made
		put(name: String): Made @repeatable
	}
	type Made { name: String, secret: String @secret }
	type Subscription { tick: Int }
`

// resolve stands for generated code and its resolvers. The data it gives must
// be JSON.
type resolve func(ctx context.Context, variables map[string]any) ([]byte, error)

// newServer serves sdl through gqlgen's own executor and this package.
func newServer(options transport.Options, run resolve) *handler.Server {
	schema := gqlparser.MustLoadSchema(&ast.Source{Input: sdl})
	server := handler.New(&graphql.ExecutableSchemaMock{
		SchemaFunc: func() *ast.Schema { return schema },
		ExecFunc: func(ctx context.Context) graphql.ResponseHandler {
			return graphql.OneShot(respond(ctx, run))
		},
	})
	server.SetRecoverFunc(func(context.Context, any) error { return gqlerror.Errorf("internal error") })
	for _, t := range transport.New(options) {
		server.AddTransport(t)
	}
	return server
}

func respond(ctx context.Context, run resolve) *graphql.Response {
	data, err := run(ctx, graphql.GetOperationContext(ctx).Variables)
	if err != nil {
		return &graphql.Response{Data: []byte("null"), Errors: gqlerror.List{gqlerror.Wrap(err)}}
	}
	return &graphql.Response{Data: data}
}

// describe is a resolver that reads every file among the variables to its end,
// and answers with one line for each, in the order of their paths.
func describe(_ context.Context, variables map[string]any) ([]byte, error) {
	lines := []string{}
	var walk func(path string, value any) error
	walk = func(path string, value any) error {
		switch v := value.(type) {
		case graphql.Upload:
			hash := sha256.New()
			n, err := io.Copy(hash, v.File)
			if err != nil || n != v.Size {
				return fmt.Errorf("%s: read %d of %d bytes: %w", path, n, v.Size, err)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s %d %.4x", path, v.Filename, v.ContentType, n, hash.Sum(nil)))
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				if err := walk(path+"."+key, v[key]); err != nil {
					return err
				}
			}
		case []any:
			for i, element := range v {
				if err := walk(fmt.Sprintf("%s.%d", path, i), element); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk("variables", variables); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"files": lines})
}

// hello answers with the variables, as JSON.
func hello(_ context.Context, variables map[string]any) ([]byte, error) {
	return json.Marshal(variables)
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	Errors []struct {
		Message    string
		Extensions map[string]any
	}
	Data json.RawMessage
}

func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	code, _ := a.Errors[0].Extensions["code"].(string)
	return code
}

func (a answer) message() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Message
}

// do sends r over a real connection. Every answer has to be JSON and carry the
// headers that all answers carry.
func do(t *testing.T, server http.Handler, r *http.Request) answer {
	t.Helper()
	listening := httptest.NewServer(server)
	defer listening.Close()
	return send(t, listening, r)
}

func send(t *testing.T, listening *httptest.Server, r *http.Request) answer {
	t.Helper()
	r = r.Clone(t.Context())
	target := listening.URL + "/graphql"
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	var err error
	if r.URL, err = r.URL.Parse(target); err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.Host = "", ""
	response, err := listening.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: body}
	if a.status == http.StatusNoContent {
		return a
	}
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatalf("the answer is not JSON: %v: %q", err, body)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control is %q", got)
	}
	if got := a.header.Values("Vary"); !slices.Equal(got, []string{"Accept"}) {
		t.Errorf("Vary is %q", got)
	}
	if got := a.header.Get("Content-Type"); !strings.HasSuffix(got, "json; charset=utf-8") {
		t.Errorf("Content-Type is %q", got)
	}
	return a
}

// quiet is a log for tests that provoke errors.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// left counts what an upload has left behind: files in dir, and descriptors of
// files that are or were there.
func left(t testing.TB, dir string) int {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := len(files)
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range descriptors {
		if target, err := os.Readlink("/proc/self/fd/" + d.Name()); err == nil && filepath.Dir(target) == dir {
			n++
		}
	}
	return n
}

func post(body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader([]byte(body)))
	r.Header.Set("Content-Type", "application/json")
	return with(r, header...)
}

func get(rawQuery string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/graphql", nil)
	r.URL.RawQuery = rawQuery
	return with(r, header...)
}

// with sets headers: name, value, name, value. An empty value removes one.
func with(r *http.Request, header ...string) *http.Request {
	for pair := range slices.Chunk(header, 2) {
		if pair[1] == "" {
			r.Header.Del(pair[0])
		} else {
			r.Header.Set(pair[0], pair[1])
		}
	}
	return r
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
