package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// remote is a label repository that others see too: behind HTTP or on a path.
type remote struct {
	*githost.Host
	t    testing.TB
	args []string // of a server that pushes to it
}

// newRemote serves a new repository over smart HTTP.
func newRemote(t testing.TB) *remote {
	t.Helper()
	h, err := githost.Start(filepath.Join(t.TempDir(), "labels.git"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Down)
	return &remote{Host: h, t: t, args: []string{
		"--labels-repo", h.Address(), "--labels-username", githost.User, "--labels-token-file", secretFile(t, githost.Token),
	}}
}

// newFolder is a new repository on a path.
func newFolder(t testing.TB) *remote {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "labels.git")
	if err := githost.Init(dir); err != nil {
		t.Fatal(err)
	}
	return &remote{Host: &githost.Host{Dir: dir}, t: t, args: []string{"--labels-repo", dir}}
}

// secretFile is a file that holds a secret.
func secretFile(t testing.TB, secret string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// up ends an outage.
func (r *remote) up() {
	r.t.Helper()
	if err := r.Up(); err != nil {
		r.t.Fatal(err)
	}
}

// hook gives the repository a pre-receive hook, a shell script.
func (r *remote) hook(script string) {
	r.t.Helper()
	if err := githost.Hook(r.Dir, script); err != nil {
		r.t.Fatal(err)
	}
}

// foreign pushes files with an ordinary git, in the name of Ana, and gives the
// commit.
func foreign(t testing.TB, work, message string, files map[string]string) string {
	t.Helper()
	if err := githost.Push(work, "Ana Ruiz <ana@example.org>", message, files); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(gittest.Git(t, work, "rev-parse", "HEAD"))
}

// commit is one of a history, as git log shows it.
type commit struct {
	SHA, Author, Committer, Date, Subject, ID string
	Path                                      string // of the one file that it changed
}

// history is the commits of a repository, the first one first.
func history(t testing.TB, dir string) []commit {
	t.Helper()
	const format = "%x01%H%x00%an <%ae>%x00%cn <%ce>%x00%at%x00%s%x00%(trailers:key=Submission-Id,valueonly,separator=%x2C)%x00"
	if count := gittest.Git(t, dir, "rev-list", "--count", "--all"); strings.TrimSpace(count) == "0" {
		return nil
	}
	var all []commit
	for _, record := range strings.Split(gittest.Git(t, dir, "log", "--reverse", "--topo-order", "--name-only", "--format="+format, "main"), "\x01")[1:] {
		parts := strings.Split(record, "\x00")
		all = append(all, commit{parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], strings.TrimSpace(parts[6])})
	}
	return all
}

// fsck demands that git finds nothing wrong with a repository.
func fsck(t testing.TB, dir string) {
	t.Helper()
	if out := gittest.Git(t, dir, "fsck", "--strict", "--full"); strings.Contains(out, "error") || strings.Contains(out, "missing") {
		t.Errorf("git fsck %s: %s", dir, out)
	}
}
