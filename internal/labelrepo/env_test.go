package labelrepo

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tagma/internal/instant"
)

const (
	testUser  = "robot"
	testToken = "canary-Tok3n/with+signs"
)

var (
	service = Identity{Name: "Tagma", Email: "tagma@example.org"}
	ana     = Identity{Name: "Ana Ruiz", Email: "ana@example.org"}
	noon    = instant.Of(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC))
)

// git runs the real git in dir, in the name of somebody else.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := tryGit(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryGit(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Foreign", "GIT_AUTHOR_EMAIL=f@example.org", "GIT_COMMITTER_NAME=Foreign", "GIT_COMMITTER_EMAIL=f@example.org")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newBare is a bare repository as a git host keeps it.
func newBare(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "labels.git")
	git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	git(t, dir, "config", "http.receivepack", "true")
	git(t, dir, "config", "receive.fsckObjects", "true")
	return dir
}

// host serves a bare repository over smart HTTP with Basic authentication.
type host struct {
	*httptest.Server
	dir      string
	requests atomic.Int64
	fault    atomic.Pointer[http.HandlerFunc] // answers in the place of git, if set
	spoil    atomic.Bool                      // lose the answer to the next push that git took
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{dir: newBare(t)}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if fault := h.fault.Load(); fault != nil {
		_, _ = io.Copy(io.Discard, r.Body) // then the server notices a client that left
		(*fault)(w, r)
		return
	}
	if user, password, _ := r.BasicAuth(); user != testUser || password != testToken {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "who is %s?", r.Header.Get("Authorization"))
		return
	}
	body, err := io.ReadAll(r.Body) // net/http/cgi takes no chunks
	if err != nil {
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.TransferEncoding = nil
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") && h.spoil.Swap(false) {
		h.backend(r).ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	h.backend(r).ServeHTTP(w, r)
}

func (h *host) backend(r *http.Request) *cgi.Handler {
	path, err := exec.LookPath("git")
	if err != nil {
		panic(err)
	}
	return &cgi.Handler{Path: path, Args: []string{"http-backend"}, Root: "/", Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(h.dir), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + testUser,
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
	}, InheritEnv: []string{"PATH"}}
}

// break_ makes the host answer everything with f; nil mends it.
func (h *host) break_(f http.HandlerFunc) {
	if f == nil {
		h.fault.Store(nil)
		return
	}
	h.fault.Store(&f)
}

func (h *host) address() string { return h.URL + "/labels.git" }

// config is a Config with its own cache folder.
func config(t testing.TB, remote string) Config {
	return Config{
		Dir: filepath.Join(t.TempDir(), "cache"), Remote: remote, Committer: service,
		Credentials: Credentials{Username: testUser, Token: testToken},
		Clock:       func() instant.Instant { return noon.Add(time.Hour) },
		Timeout:     20 * time.Second,
	}
}

func open(t testing.TB, cfg Config) *Repo {
	t.Helper()
	r, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// label is a commit of the i-th file.
func label(i int, text string) Commit {
	return Commit{
		Path:       fmt.Sprintf("annotations/%02x/%06d.json", i%256, i),
		Content:    fmt.Appendf(nil, "{\"text\": %q}\n", text),
		Message:    fmt.Sprintf("annotation: %d\n\nSubmission-Id: %s-%d", i, text, i),
		Author:     ana,
		AuthorTime: noon.Add(time.Duration(i) * time.Second),
	}
}

func apply(t testing.TB, r *Repo, commits ...Commit) []Result {
	t.Helper()
	results, err := r.Apply(t.Context(), commits)
	if err != nil {
		t.Fatal(err)
	}
	for i, result := range results {
		if result.Err != nil {
			t.Fatalf("%s: %v", commits[i].Path, result.Err)
		}
	}
	return results
}

// clone is an ordinary working copy of the repository in dir.
func clone(t testing.TB, dir string) string {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	git(t, "", "clone", "--quiet", dir, work)
	return work
}

// foreign commits a file with an ordinary git and pushes it.
func foreign(t testing.TB, work, path, content string) {
	t.Helper()
	if _, err := tryGit(work, "rev-parse", "--verify", "origin/main"); err == nil {
		git(t, work, "pull", "--quiet", "--rebase", "origin", "main")
	}
	full := filepath.Join(work, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	git(t, work, "add", path)
	git(t, work, "commit", "--quiet", "-m", "foreign "+path)
	git(t, work, "push", "--quiet", "origin", "HEAD:main")
}

func show(t testing.TB, dir, path string) string {
	t.Helper()
	return git(t, dir, "show", "main:"+path)
}

func commitCount(t testing.TB, dir string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(git(t, dir, "rev-list", "--count", "main")))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fsck demands that git finds nothing wrong, and nothing left over.
func fsck(t testing.TB, dir string) {
	t.Helper()
	if out := git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "error") || strings.Contains(out, "missing") {
		t.Errorf("git fsck %s: %s", dir, out)
	}
}

// journal is a log that a test can read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
