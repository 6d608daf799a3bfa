// Package githost owns a git repository on a simulated git host, for tests and
// benchmarks: bare, behind smart HTTP with Basic authentication, served by
// git's http-backend. The host can be down, hang, answer with errors, lose an
// answer and reject pushes. Package githost also owns running the ordinary git
// in the name of another person. Package githost does not own the product's
// access to git.
package githost

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// Credentials of the host. The token contains characters with a special meaning
// in URLs, and the word canary: tests search logs and answers for the token.
const (
	User  = "robot"
	Token = "canary-Tok3n/with+signs"
)

// Host is a simulated git host with a single repository.
type Host struct {
	Dir string // path of the repository

	address string // host and port, the same after each Up
	mu      sync.Mutex
	server  *http.Server // nil if the host is down

	requests       atomic.Int64
	fault          atomic.Pointer[http.HandlerFunc] // answers instead of git, if set
	loseNextAnswer atomic.Bool                      // lose the answer to the next push after git has accepted it
}

// Start creates a bare repository in dir and returns a running host for the
// repository.
func Start(dir string) (*Host, error) {
	if err := Init(dir); err != nil {
		return nil, err
	}
	h := &Host{Dir: dir}
	// A random loopback address: no other process takes the port while the host
	// is down. Some systems have 127.0.0.1 only.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.N(250), rand.N(250), 2+rand.N(250)))
	if err != nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, err
	}
	h.address = listener.Addr().String()
	h.serve(listener)
	return h, nil
}

// Init creates an empty bare repository in dir. The repository refuses damaged
// objects. Automatic garbage collection is off: a collection would run in the
// background while a test reads or removes the repository.
func Init(dir string) error {
	if out, err := Git("", "init", "--quiet", "--bare", "--initial-branch=main", dir); err != nil {
		return fmt.Errorf("git init: %w: %s", err, out)
	}
	for setting, value := range map[string]string{"http.receivepack": "true", "receive.fsckObjects": "true", "receive.autogc": "false"} {
		if out, err := Git(dir, "config", setting, value); err != nil {
			return fmt.Errorf("git config: %w: %s", err, out)
		}
	}
	return nil
}

func (h *Host) serve(listener net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(h.handle)} //nolint:gosec // its only clients are tests
	h.server = server
	go func() { _ = server.Serve(listener) }()
}

// Address returns the URL of the repository.
func (h *Host) Address() string { return "http://" + h.address + "/" + filepath.Base(h.Dir) }

// Requests returns the number of requests.
func (h *Host) Requests() int64 { return h.requests.Load() }

// Down refuses new connections, and breaks existing connections.
func (h *Host) Down() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.server != nil {
		_ = h.server.Close()
		h.server = nil
	}
}

// Up serves again, at the same address.
func (h *Host) Up() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	listener, err := net.Listen("tcp", h.address)
	if err == nil {
		h.serve(listener)
	}
	return err
}

// SetFault makes the host answer every request with f; nil restores normal
// answers.
func (h *Host) SetFault(f http.HandlerFunc) {
	if f == nil {
		h.fault.Store(nil)
		return
	}
	h.fault.Store(&f)
}

// Status returns a fault: every answer has the given code, and repeats the
// credentials of the request.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "seen: "+r.Header.Get("Authorization")+" "+Token, code)
	}
}

// Hang is a fault: the host never answers.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// LoseAnswer makes the host break the connection of the next push after git has
// accepted the push.
func (h *Host) LoseAnswer() { h.loseNextAnswer.Store(true) }

func (h *Host) handle(w http.ResponseWriter, r *http.Request) {
	h.requests.Add(1)
	if fault := h.fault.Load(); fault != nil {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server notices a client that left
		(*fault)(w, r)
		return
	}
	if user, password, _ := r.BasicAuth(); user != User || password != Token {
		w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, "who is %s?", r.Header.Get("Authorization"))
		return
	}
	body, err := io.ReadAll(r.Body) // net/http/cgi does not accept chunked bodies
	if err != nil {
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.TransferEncoding = nil
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "git-receive-pack") && h.loseNextAnswer.Swap(false) {
		h.backend().ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	h.backend().ServeHTTP(w, r)
}

func (h *Host) backend() *cgi.Handler {
	path, err := exec.LookPath("git")
	if err != nil {
		panic(err)
	}
	return &cgi.Handler{Path: path, Args: []string{"http-backend"}, Root: "/", Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(h.Dir), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=" + User,
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
	}, InheritEnv: []string{"PATH"}}
}

// Hook installs a shell script as pre-receive hook of the repository in dir.
func Hook(dir, script string) error {
	return os.WriteFile(filepath.Join(dir, "hooks", "pre-receive"), []byte("#!/bin/sh\n"+script), 0o700)
}

// Git runs the ordinary git in dir in the name of another person, and returns
// standard output and standard error together.
func Git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Foreign", "GIT_AUTHOR_EMAIL=f@example.org", "GIT_COMMITTER_NAME=Foreign", "GIT_COMMITTER_EMAIL=f@example.org")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Copy creates a bare repository in target with the branches of another
// repository. Copy clones instead of copying files: an interrupted push may
// still be moving objects into the repository.
func Copy(repository, target string) error {
	if out, err := Git("", "clone", "--quiet", "--bare", "--no-local", repository, target); err != nil {
		return fmt.Errorf("git clone: %w: %s", err, out)
	}
	return nil
}

// Push pulls the remote's commits into the working copy work, writes files,
// commits the files, and pushes. Author has the form Name <address>.
func Push(work, author, message string, files map[string]string) error {
	run := func(args ...string) error {
		out, err := Git(work, args...)
		if err != nil {
			return fmt.Errorf("git %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	if _, err := Git(work, "ls-remote", "--exit-code", "origin", "main"); err == nil {
		if err := run("pull", "--quiet", "--rebase", "origin", "main"); err != nil {
			return err
		}
	}
	for path, content := range files {
		fullPath := filepath.Join(work, path)
		if err := os.MkdirAll(filepath.Dir(fullPath), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(fullPath, []byte(content), 0o600); err != nil {
			return err
		}
	}
	for _, args := range [][]string{{"add", "--all"}, {"commit", "--quiet", "--author", author, "-m", message}, {"push", "--quiet", "origin", "HEAD:main"}} {
		if err := run(args...); err != nil {
			return err
		}
	}
	return nil
}
