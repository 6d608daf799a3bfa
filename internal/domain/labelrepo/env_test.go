package labelrepo

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

const (
	testUser  = githost.User
	testToken = githost.Token
)

var (
	service = Identity{Name: "Tagma", Email: "tagma@example.org"}
	ana     = Identity{Name: "Ana Ruiz", Email: "ana@example.org"}
	noon    = instant.Of(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC))
)

// newBare creates a bare repository as on a git host and returns its folder.
func newBare(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "labels.git")
	if err := githost.Init(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newHost serves a bare repository over smart HTTP.
func newHost(t testing.TB) *githost.Host {
	t.Helper()
	h, err := githost.Start(filepath.Join(t.TempDir(), "labels.git"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Down)
	return h
}

// config returns a Config with a cache folder of its own.
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

// label returns a commit of the i-th file.
func label(i int, text string) Commit {
	return Commit{
		Path:       fmt.Sprintf("annotations/%02x/%06d.json", i%256, i),
		Content:    fmt.Sprintf("{\"text\": %q}\n", text),
		Message:    fmt.Sprintf("annotation: %d\n\nSubmission-Id: %s-%d", i, text, i),
		Author:     ana,
		AuthorTime: noon.Add(time.Duration(i) * time.Second),
	}
}

// push prepares a batch of commits and pushes the batch.
func push(ctx context.Context, r *Repo, commits ...Commit) ([]Result, error) {
	b, err := r.Prepare(ctx, commits, nil)
	if err != nil {
		return nil, err
	}
	pushed, err := r.Push(ctx, b)
	return pushed.Results, err
}

// mustPush is push, and fails the test if a commit fails.
func mustPush(t testing.TB, r *Repo, commits ...Commit) []Result {
	t.Helper()
	results, err := push(t.Context(), r, commits...)
	if err != nil {
		t.Fatal(err)
	}
	for i, result := range results {
		if result.Err != nil {
			t.Fatalf("%s: got %v, want a commit", commits[i].Path, result.Err)
		}
	}
	return results
}

// pushForeign commits a file with an ordinary git and pushes the commit.
func pushForeign(t testing.TB, work, path, content string) {
	t.Helper()
	if err := githost.Push(work, "Foreign <f@example.org>", "foreign "+path, map[string]string{path: content}); err != nil {
		t.Fatal(err)
	}
}

func show(t testing.TB, dir, path string) string {
	t.Helper()
	return gittest.Git(t, dir, "show", "main:"+path)
}

func commitCount(t testing.TB, dir string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(gittest.Git(t, dir, "rev-list", "--count", "main")))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// fsck fails the test if git fsck reports an error or a missing object.
func fsck(t testing.TB, dir string) {
	t.Helper()
	if out := gittest.Git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "error") || strings.Contains(out, "missing") {
		t.Errorf("git fsck %s: got %s, want no errors", dir, out)
	}
}

// temporaries returns the unfinished files of a repository.
func temporaries(t testing.TB, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "tmp_*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}
