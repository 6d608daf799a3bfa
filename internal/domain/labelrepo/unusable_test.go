package labelrepo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// unusable are repositories that Tagma cannot write, with what the error says.
func unusable(t *testing.T) map[string]struct{ dir, want string } {
	t.Helper()
	parent := t.TempDir()
	git := func(dir string, args ...string) { gittest.Git(t, dir, args...) }
	path := func(name string) string { return filepath.Join(parent, name+".git") }
	git("", "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", path("empty"))
	git("", "init", "--quiet", "--initial-branch=main", "--object-format=sha256", path("full"))
	git(path("full"), "commit", "--quiet", "--allow-empty", "-m", "one")
	full := newBare(t)
	for _, name := range []string{"one", "two", "three"} {
		pushForeign(t, gittest.Clone(t, full), name, "x")
	}
	git("", "clone", "--quiet", "--bare", "--depth=1", "file://"+full, path("shallow"))
	for _, name := range []string{"empty", "full/.git", "shallow"} {
		dir := strings.Replace(path(name), "/.git.git", ".git/.git", 1)
		git(dir, "config", "http.receivepack", "true")
	}
	return map[string]struct{ dir, want string }{
		"SHA-256, empty":        {path("empty"), "the repository uses SHA-256"},
		"SHA-256, with commits": {filepath.Join(path("full"), ".git"), "the repository uses SHA-256"},
		"shallow":               {path("shallow"), "the repository is a shallow clone"},
	}
}

func TestPush_ARepositoryThatCannotBeUsedIsNamedInOneSentence(t *testing.T) {
	repositories := unusable(t)
	empty := repositories["SHA-256, empty"].dir // not every git tells a fetch of the kind of an empty repository
	for name, c := range repositories {
		t.Run(name, func(t *testing.T) {
			h, err := githost.Start(filepath.Join(t.TempDir(), "labels.git"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(h.Down)
			h.Dir = c.dir
			address := strings.Replace(h.Address(), "/labels.git", "/"+filepath.Base(c.dir), 1)
			for kind, remote := range map[string]string{"on a path": c.dir, "over HTTP": address} {
				r := open(t, config(t, remote))
				if _, err := r.Refresh(t.Context()); c.dir != empty && (!errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), c.want)) {
					t.Errorf("%s, refresh: got %v, want ErrUnusable with %q", kind, err, c.want)
				}
				if _, err := push(t.Context(), r, label(1, "x")); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s, push: got %v, want ErrUnusable with %q", kind, err, c.want)
				}
			}
			if _, err := Open(t.Context(), Config{Dir: c.dir, Committer: service}); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("without a remote: got %v, want ErrUnusable with %q", err, c.want)
			}
			if _, err := os.Stat(filepath.Join(c.dir, "tagma.lock")); err == nil {
				if err := os.Remove(filepath.Join(c.dir, "tagma.lock")); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestPush_AFolderOfAnotherUserIsNamed(t *testing.T) {
	dir := newBare(t)
	t.Setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
	t.Setenv("GIT_CONFIG_GLOBAL", "/dev/null")
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	_, err := push(t.Context(), open(t, config(t, dir)), label(1, "x"))
	if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "belongs to another user") {
		t.Errorf("got %v, want ErrUnusable, because the folder belongs to another user", err)
	}
}
