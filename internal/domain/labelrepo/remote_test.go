package labelrepo

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
	"tagma/internal/testing/logbuffer"
)

func TestPush_AFaultOfTheRemoteSaysWhetherToTryAgain(t *testing.T) {
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  error
	}{
		"500":       {githost.Status(500), ErrUnavailable},
		"503":       {githost.Status(503), ErrUnavailable},
		"429":       {githost.Status(429), ErrUnavailable},
		"401":       {githost.Status(401), ErrAuth},
		"403":       {githost.Status(403), ErrAuth},
		"404":       {githost.Status(404), ErrAuth},
		"not git":   {githost.Status(200), ErrUnavailable},
		"redirects": {http.RedirectHandler("https://elsewhere.example.org/", http.StatusFound).ServeHTTP, ErrUnavailable},
		"hangs":     {githost.Hang, ErrUnavailable},
		"breaks off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			w.WriteHeader(200)
			panic(http.ErrAbortHandler)
		}, ErrUnavailable},
		"an endless error page": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}, ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			cfg := config(t, h.Address())
			cfg.Timeout = 300 * time.Millisecond
			if name != "hangs" {
				cfg.Timeout = 20 * time.Second
			}
			r := open(t, cfg)
			for _, when := range []string{"at the first push", "later"} {
				h.SetFault(c.fault)
				began := time.Now()
				_, err := push(t.Context(), r, label(1, when))
				if !errors.Is(err, c.want) {
					t.Errorf("%s: got %v, want %v", when, err, c.want)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("%s: got an error after %v, want at most 15s", when, took)
				}
				checkNoSecret(t, err.Error())
				if !strings.Contains(err.Error(), h.Address()) {
					t.Errorf("%s: got %v, want the address %s in the error", when, err, h.Address())
				}
				h.SetFault(nil)
				r.remote.timeout = 20 * time.Second
				mustPush(t, r, label(1, when))
				r.remote.timeout = cfg.Timeout
			}
			if n := commitCount(t, h.Dir); n != 2 {
				t.Errorf("got %d commits, want 2", n)
			}
			fsck(t, h.Dir)
		})
	}
}

func TestPush_ARemoteThatIsDownIsUnavailableAndComesBack(t *testing.T) {
	for name, remote := range map[string]string{
		"http": "http://127.0.0.1:1/labels.git",
		"path": filepath.Join(t.TempDir(), "not mounted"),
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, config(t, remote)) // Open succeeds without the remote
			if _, err := push(t.Context(), r, label(1, "x")); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestPush_WrongCredentialsAreNotTriedAsIfTheyWereAnOutage(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	cfg.Credentials.Token = "wrong-canary-Tok3n"
	r := open(t, cfg)
	_, err := push(t.Context(), r, label(1, "x"))
	if !errors.Is(err, ErrAuth) {
		t.Errorf("got %v, want ErrAuth", err)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want an error without the token", err)
	}
}

// hook installs a pre-receive hook.
func hook(t *testing.T, dir, script string) {
	t.Helper()
	if err := githost.Hook(dir, script); err != nil {
		t.Fatal(err)
	}
}

func TestPush_AHookThatRejectsIsQuotedAndDoesNotStayInTheWay(t *testing.T) {
	h := newHost(t)
	for name, cfg := range map[string]Config{"http": config(t, h.Address()), "path": config(t, h.Dir)} {
		t.Run(name, func(t *testing.T) {
			r := open(t, cfg)
			mustPush(t, r, label(1, name))
			for range 2 {
				hook(t, h.Dir, "echo 'policy: no labels "+testToken+" on "+strings.Repeat("Sunday ", 500)+"' >&2; exit 1\n")
				_, err := push(t.Context(), r, label(2, name))
				if !errors.Is(err, ErrRejected) {
					t.Fatalf("got %v, want ErrRejected", err)
				}
				if !strings.Contains(err.Error(), "policy: no labels *** on Sunday") || !strings.Contains(err.Error(), "hook declined") {
					t.Errorf("got %v, want the output of the hook without the token", err)
				}
				if len(err.Error()) > 1000 {
					t.Errorf("got an error of %d bytes, want at most 1000", len(err.Error()))
				}
			}
			hook(t, h.Dir, "exit 0\n")
			mustPush(t, r, label(2, name))
			fsck(t, h.Dir)
			fsck(t, cfg.Dir)
		})
	}
}

func TestPush_WhatWasRejectedLeavesNoTraceInLaterCommits(t *testing.T) {
	dir := newBare(t)
	logs := &logbuffer.Buffer{}
	cfg := config(t, dir)
	cfg.Log = logs.Logger(slog.LevelDebug)
	r := open(t, cfg)
	in := func(name, content string) Commit {
		c := label(1, content)
		c.Path = "annotations/00/" + name
		return c
	}
	mustPush(t, r, in("a", "one"), in("b", "one"))
	hook(t, dir, "exit 1\n")
	if _, err := push(t.Context(), r, in("a", "rejected"), in("c", "rejected")); !errors.Is(err, ErrRejected) {
		t.Fatalf("got %v, want ErrRejected", err)
	}
	hook(t, dir, "exit 0\n")
	mustPush(t, r, in("b", "two"))
	if got := gittest.Git(t, dir, "diff", "--name-only", "main~1", "main"); got != "annotations/00/b\n" {
		t.Errorf("got a commit that changes %q, want annotations/00/b alone", got)
	}
	if results := mustPush(t, r, in("a", "one"), in("b", "two")); results[0].Changed || results[1].Changed {
		t.Errorf("got %v, want both files unchanged", results)
	}
	if logs.String() != "" { // such as a warning that the cache is damaged
		t.Errorf("got the log %s, want none", logs)
	}
}

func TestPush_AHookThatHangsDoesNotHoldTheWriterForEver(t *testing.T) {
	dir := newBare(t)
	fifo := filepath.Join(t.TempDir(), "never") // a reader blocks until a writer opens the file
	t.Cleanup(func() { _ = os.WriteFile(fifo, nil, 0o600) })
	hook(t, dir, "rm -f '"+fifo+"'; mkfifo '"+fifo+"'; cat '"+fifo+"'\n")
	cfg := config(t, dir)
	cfg.Timeout = time.Second
	r := open(t, cfg)
	if _, err := push(t.Context(), r, label(1, "x")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestPush_APushOfWhichTheAnswerWasLostIsNotMadeTwice(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	h.LoseAnswer()
	if _, err := push(t.Context(), r, label(1, "x"), label(2, "x")); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v, want ErrUnavailable", err)
	}
	for i, result := range mustPush(t, r, label(1, "x"), label(2, "x")) {
		if result.Changed || result.SHA == "" {
			t.Errorf("commit %d: got %+v, want the commit of the first push, unchanged", i, result)
		}
	}
	if n := commitCount(t, h.Dir); n != 3 {
		t.Errorf("got %d commits, want 3", n)
	}
}

func TestPush_APushOverHTTPTakesOneRequest(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	before := h.Requests()
	for i := range 5 {
		mustPush(t, r, label(i+1, "x"))
	}
	if n := h.Requests() - before; n != 5 {
		t.Errorf("5 pushes: got %d requests, want 5", n)
	}
}

func TestPush_ABranchThatWasForcedElsewhereIsFollowedAndReported(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	var log logbuffer.Buffer
	cfg.Log = log.Logger(slog.LevelDebug)
	r := open(t, cfg)
	mustPush(t, r, label(1, "x"), label(2, "x"))
	lost := r.Tip()
	gittest.Git(t, h.Dir, "update-ref", "refs/heads/main", "main~1")

	mustPush(t, r, label(3, "x"))
	if !strings.Contains(log.String(), "forced elsewhere") {
		t.Errorf("got the log %s, want a line with forced elsewhere", log.String())
	}
	if n := commitCount(t, h.Dir); n != 2 {
		t.Errorf("got %d commits, want 2: never force", n)
	}
	for _, err := range r.Changes(t.Context(), lost, "") {
		if !errors.Is(err, ErrRewritten) {
			t.Errorf("changes since a lost commit: got %v, want ErrRewritten", err)
		}
	}

	gittest.Git(t, h.Dir, "update-ref", "-d", "refs/heads/main")
	mustPush(t, r, label(4, "x"))
	if n := commitCount(t, h.Dir); n != 1 {
		t.Errorf("after the branch was removed: got %d commits, want 1", n)
	}
	// A push without a new commit asks the remote too.
	gittest.Git(t, h.Dir, "update-ref", "-d", "refs/heads/main")
	if again := mustPush(t, r, label(4, "x"))[0]; !again.Changed {
		t.Errorf("a file that the remote no longer has: got %+v, want a new commit", again)
	}
}

func TestCredentials_ShowUpNowhere(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	var log logbuffer.Buffer
	cfg.Log = log.Logger(slog.LevelDebug)
	r := open(t, cfg)
	mustPush(t, r, label(1, "x"))
	hook(t, h.Dir, "echo \""+testToken+"\" >&2; exit 1\n")
	_, rejected := push(t.Context(), r, label(2, "x"))
	h.Down()
	_, down := push(t.Context(), r, label(2, "x"))
	r.Close()
	seen := log.String()
	for _, err := range []error{rejected, down} {
		if err == nil {
			t.Fatal("got no error, want a rejected push and an unavailable remote")
		}
		for ; err != nil; err = errors.Unwrap(err) {
			seen += err.Error()
		}
	}
	checkNoSecret(t, seen)
	err := filepath.WalkDir(cfg.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		checkNoSecret(t, string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkNoSecret(t *testing.T, text string) {
	t.Helper()
	basic := base64.StdEncoding.EncodeToString([]byte(testUser + ":" + testToken))
	for _, secret := range []string{testToken, basic, "canary"} {
		if strings.Contains(text, secret) {
			t.Errorf("got a secret in %.300s, want none", text)
		}
	}
}

func TestRedirect_NoCredentialsFollowIt(t *testing.T) {
	var got bytes.Buffer
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = r.Header.Write(&got) }))
	defer thief.Close()
	h := newHost(t)
	h.SetFault(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path+"?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
	})
	r := open(t, config(t, h.Address()))
	if _, err := r.Refresh(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if got.Len() > 0 {
		t.Errorf("got a request at the target of the redirect, want none: %s", got.String())
	}
}

func TestPush_ACallerWhoGivesUpGetsItsOwnError(t *testing.T) {
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.SetFault(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	r := open(t, config(t, h.Address()))
	if _, err := push(ctx, r, label(1, "x")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
