// Package gittest owns the ordinary git in tests: a command that must succeed, and a working
// copy for the time of a test. It does not own the git host (package githost).
package gittest

import (
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/testing/githost"
)

// Git runs git in dir in the name of another person, and returns the output. The test fails
// if the command fails.
func Git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := githost.Git(dir, args...)
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// Clone returns the folder of a new working copy of a repository. The folder is removed when
// the test ends.
func Clone(t testing.TB, repository string) string {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	Git(t, "", "clone", "--quiet", repository, work)
	return work
}
