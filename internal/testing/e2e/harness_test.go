package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/testing/childproc"
	"tagma/internal/testing/logbuffer"
	"tagma/internal/testing/testenv"
)

// binary is Tagma, built with the race detector for all tests of this package.
var binary string

// unseen leaves the race detector out of SQLite, as the Makefile does and says why.
const unseen = "-gcflags=modernc.org/sqlite/lib=-race=false"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "tagma-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	binary = filepath.Join(folder, "tagma")
	build := exec.Command("go", "build", "-race", unseen, "-o", binary, "tagma")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot build Tagma:", err)
		return 1
	}
	return m.Run()
}

// server is a running Tagma.
type server struct {
	URL      string
	Data     string // its folder
	Database string // its --database
	Password string // of admin, as it printed it

	t      testing.TB
	binary string // in the place of the one for all tests
	args   []string
	env    []string          // besides our own
	s3     *testenv.S3Server // that keeps its files, if they are not in Data
	cmd    *exec.Cmd
	logs   *logbuffer.Buffer // its standard error, complete after stop or kill
	done   chan struct{}     // closed when logs is complete
}

// each runs a test on a fresh server with either database, beside other tests.
func each(t *testing.T, test func(t *testing.T, s *server), args ...string) {
	t.Helper()
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, "", args...))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, testenv.Postgres(t), args...))
	})
}

// eachStore is each, and a server whose files are in S3 besides.
func eachStore(t *testing.T, test func(t *testing.T, s *server), args ...string) {
	t.Helper()
	each(t, test, args...)
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		test(t, startInS3(t, args...))
	})
}

// start starts a server on an empty database and stops it when the test ends.
// Database is a URL, or empty for the embedded default.
func start(t testing.TB, database string, args ...string) *server {
	t.Helper()
	return startAs(t, &server{Database: database, args: args})
}

// startAs is start for a server of which more is said.
func startAs(t testing.TB, s *server) *server {
	t.Helper()
	s.t = t
	if s.Data == "" {
		s.Data = filepath.Join(t.TempDir(), "data")
	}
	s.begin()
	return s
}

// startInS3 is start on an empty PostgreSQL and an empty S3 store.
func startInS3(t testing.TB, args ...string) *server {
	t.Helper()
	store := testenv.S3(t)
	s := &server{
		t: t, Data: filepath.Join(t.TempDir(), "data"), Database: testenv.Postgres(t), s3: store,
		args: append(args, "--storage", store.URL()), env: store.Environment(),
	}
	s.begin()
	return s
}

func (s *server) begin() {
	s.t.Helper()
	s.boot()
	s.t.Cleanup(func() {
		if s.cmd != nil {
			s.stop()
		}
	})
}

// second starts another server on the same database, with a folder of its own.
func (s *server) second() *server {
	s.t.Helper()
	other := &server{t: s.t, Data: filepath.Join(s.t.TempDir(), "data"), Database: s.Database, Password: s.Password, args: s.args}
	other.boot()
	s.t.Cleanup(func() {
		if other.cmd != nil {
			other.stop()
		}
	})
	return other
}

var (
	addressLine  = regexp.MustCompile(`^Tagma is at (http://\S+)/$`)
	passwordLine = regexp.MustCompile(`^Sign in as admin with the password (\S+) `)
)

// boot starts the process, and waits until it says where it is.
func (s *server) boot() {
	s.t.Helper()
	args := append([]string{"--listen", "127.0.0.1:0", "--data", s.Data}, s.args...)
	if s.Database != "" {
		args = append(args, "--database", s.Database)
	}
	s.cmd = exec.Command(cmp.Or(s.binary, binary), args...)
	s.cmd.Env = append(os.Environ(), s.env...)
	childproc.KillWithParent(s.cmd, syscall.SIGKILL)
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	errors, err := s.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.logs, s.done = &logbuffer.Buffer{}, make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func(logs *logbuffer.Buffer, done chan struct{}) {
		defer close(done)
		_, _ = io.Copy(logs, errors)
	}(s.logs, s.done)
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !addressLine.MatchString(lines.Text()) {
		_ = s.cmd.Process.Kill()
		<-s.done
		_ = s.cmd.Wait()
		s.cmd = nil
		s.t.Fatalf("the server did not start: %q\n%s", lines.Text(), s.logs)
	}
	s.URL = addressLine.FindStringSubmatch(lines.Text())[1]
	if s.Password == "" && lines.Scan() {
		s.Password = passwordLine.FindStringSubmatch(lines.Text())[1]
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	s.await("/readyz")
}

// await waits until a path is answered 200. The server listens already, so the
// connection itself waits; there is no polling but for a check that fails.
func (s *server) await(path string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			s.t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
	s.t.Fatalf("%s is never answered 200", path)
}

// stop ends the server as an operator does, and fails the test if it does not
// end well or has raced.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	<-s.done
	err := s.cmd.Wait()
	s.cmd = nil
	if err != nil || strings.Contains(s.logs.String(), "DATA RACE") {
		s.t.Errorf("the server ended with %v\n%s", err, s.logs)
	}
}

// kill ends the server at once, as a crash does.
func (s *server) kill() {
	s.t.Helper()
	_ = s.cmd.Process.Kill()
	<-s.done
	_ = s.cmd.Wait()
	s.cmd = nil
	if strings.Contains(s.logs.String(), "DATA RACE") {
		s.t.Errorf("the server has raced\n%s", s.logs)
	}
}

// client is a caller of a server.
type client struct {
	t     testing.TB
	s     *server
	Token string
}

// anonymous is a caller who is not signed in.
func (s *server) anonymous() *client { return &client{t: s.t, s: s} }

// admin is the first administrator, signed in.
func (s *server) admin() *client {
	s.t.Helper()
	return s.signIn("admin", s.Password)
}

func (s *server) signIn(username, password string) *client {
	s.t.Helper()
	var got struct{ Login struct{ Token string } }
	c := s.anonymous()
	c.must(&got, `mutation($u: String!, $p: String!) { login(username: $u, password: $p) { token } }`,
		vars{"u": username, "p": password})
	c.Token = got.Login.Token
	return c
}

// person is somebody with a role, made and signed in.
func (s *server) person(admin *client, username, role string) *client {
	s.t.Helper()
	const password = "correct horse battery"
	admin.must(nil, `mutation($input: [CreateUserInput!]!) { createUsers(input: $input) { users { id } } }`,
		vars{"input": []vars{{"username": username, "password": password, "role": role}}})
	return s.signIn(username, password)
}

type vars map[string]any

// failure is an error of an answer.
type failure struct {
	Message    string
	Path       []any
	Extensions struct {
		Code       string
		RequestID  string `json:"requestId"`
		RetryAfter int
		Problems   []problem
	}
}

type problem struct {
	Code    string
	Path    []string
	Message string
}

// answer is what a server answered.
type answer struct {
	Status int
	Header http.Header
	Body   []byte // as it came
	Data   json.RawMessage
	Errors []failure
}

// code is that of the first error, or empty.
func (a *answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return a.Errors[0].Extensions.Code
}

// do sends an operation.
func (c *client) do(query string, variables vars) *answer {
	c.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.send(bytes.NewReader(body), "application/json")
}

// must sends an operation, fails the test if it is answered with an error, and
// reads its data into the pointer to, if that is not nil.
func (c *client) must(to any, query string, variables vars) *answer {
	c.t.Helper()
	got := c.do(query, variables)
	if len(got.Errors) > 0 || got.Data == nil {
		c.t.Fatalf("%s\nis answered %d: %s", query, got.Status, got.Body)
	}
	if to != nil {
		if err := json.Unmarshal(got.Data, to); err != nil {
			c.t.Fatalf("data %s: got %v, want no error", got.Data, err)
		}
	}
	return got
}

func (c *client) send(body io.Reader, contentType string) *answer {
	c.t.Helper()
	got, err := c.try(body, contentType)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// try is send for a server that may be dying.
func (c *client) try(body io.Reader, contentType string) (*answer, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.s.URL+"/graphql", body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	if c.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.Token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	got := &answer{Status: response.StatusCode, Header: response.Header, Body: text}
	if err := json.Unmarshal(text, got); err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return got, nil
}

// file is a photograph to upload.
type file struct {
	Name    string
	Content []byte
}

// uploaded is what became of a file.
type uploaded struct {
	Filename           string
	Verdict            string
	AnnotationsDeleted int
	Problem            *problem
	Image              *struct{ ID, Md5 string }
}

const uploadImages = `mutation Upload($files: [Upload!]!, $onConflict: ConflictPolicy! = REFUSE) {
  uploadImages(files: $files, onConflict: $onConflict) {
    results { filename verdict annotationsDeleted problem { code path message } image { id md5 } }
  }
}`

// upload sends photographs, with the policy REFUSE or REPLACE, and fails the
// test if that is answered with an error.
func (c *client) upload(policy string, files ...file) []uploaded {
	c.t.Helper()
	body, contentType := form(c.t, uploadImages, policy, files...)
	got := c.send(body, contentType)
	var data struct {
		UploadImages struct{ Results []uploaded }
	}
	if err := json.Unmarshal(got.Data, &data); err != nil || len(got.Errors) > 0 {
		c.t.Fatalf("the upload is answered %d: %s", got.Status, got.Body)
	}
	return data.UploadImages.Results
}

// form is an upload as the GraphQL multipart request specification has it.
func form(t testing.TB, query, policy string, files ...file) (io.Reader, string) {
	t.Helper()
	paths := map[string][]string{}
	for n := range files {
		paths[strconv.Itoa(n)] = []string{fmt.Sprintf("variables.files.%d", n)}
	}
	operations := map[string]any{
		"query":     query,
		"variables": map[string]any{"files": make([]any, len(files)), "onConflict": policy},
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for _, part := range []struct {
		name  string
		value any
	}{{"operations", operations}, {"map", paths}} {
		text, err := json.Marshal(part.value)
		if err == nil {
			err = w.WriteField(part.name, string(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for n, f := range files {
		part, err := w.CreateFormFile(strconv.Itoa(n), f.Name)
		if err == nil {
			_, err = part.Write(f.Content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &body, w.FormDataContentType()
}

// night is the moment from which photographs of tests are taken.
var night, _ = instant.Parse("2020-06-20T20:00:00Z")

// snapshot is a small photograph by a device, n seconds into the night. The
// same arguments give the same bytes, and another seed gives other ones.
func snapshot(device string, n int, seed uint64) file {
	return file{
		Name: snapshotName(device, n),
		Content: scene.JPEG(scene.Options{
			Width: 160, Height: 120, Insects: 3, Seed: seed,
			Make: fmt.Sprintf("{'lat': 49.2, 'lng': -121.7, 'alt': %d.0, 'temp': %d.5, 'hum': 80.0}", 10+n%100, 10+n%20),
		}),
	}
}

func snapshotName(device string, n int) string {
	return photo.Name{Device: device, TakenAt: night + instant.Instant(n*1000)}.String()
}

// at is the time of the snapshot n.
func at(n int) string { return (night + instant.Instant(n*1000)).String() }

// statements is how many SQL statements all operations of that name have taken
// so far, by the server's own metrics.
func (s *server) statements(operation string) int {
	s.t.Helper()
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	name := fmt.Sprintf("tagma_graphql_operation_statements_sum{operation=%q} ", operation)
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return int(n)
		}
	}
	return 0
}
