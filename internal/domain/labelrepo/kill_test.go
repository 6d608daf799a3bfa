package labelrepo

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// Names of the environment by which the test binary knows that it is the
// process to be killed.
const (
	childDir    = "LABELREPO_TEST_DIR"
	childRemote = "LABELREPO_TEST_REMOTE"
	childRound  = "LABELREPO_TEST_ROUND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := writeUntilKilled(dir, os.Getenv(childRemote), os.Getenv(childRound)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// writeUntilKilled applies batches of one to five commits, some of them built
// while the one before was pushed, and says which are safe.
func writeUntilKilled(dir, remote, round string) error {
	ctx := context.Background()
	r, err := Open(ctx, Config{Dir: dir, Remote: remote, Committer: service, Credentials: Credentials{Username: testUser, Token: testToken}})
	if err != nil {
		return err
	}
	i := 0
	batch := func() []Commit {
		var commits []Commit
		for range 1 + rand.IntN(5) {
			commits = append(commits, label(i, "round "+round))
			i++
		}
		return commits
	}
	for commits := batch(); ; {
		next := batch()
		results, err := r.Apply(ctx, commits, func() []Commit {
			if rand.IntN(3) == 0 {
				return nil
			}
			return next
		})
		if err != nil {
			return err
		}
		for n, result := range results {
			fmt.Println(result.SHA, commits[n].Path)
		}
		commits = next
	}
}

func TestKill_AtAnyMomentNothingAcknowledgedIsLost(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		open(t, cfg).Close()
		gittest.Git(t, remote, "config", "receive.autogc", "false") // it would go on in the background
		var safe []string                                           // commits that were acknowledged, in all rounds
		for round := range 10 {
			safe = append(safe, killedRun(t, cfg, round)...)

			r := open(t, cfg)
			if _, err := r.Refresh(t.Context()); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			if cfg.Remote != "" {
				fsck(t, cfg.Dir)
			}
			r.Close()
			reached := filepath.Join(t.TempDir(), "reached.git")
			if err := githost.Copy(remote, reached); err != nil {
				t.Fatal(err)
			}
			fsck(t, reached)
			there := gittest.Git(t, remote, "rev-list", "--all")
			for _, sha := range safe {
				if !strings.Contains(there, sha) {
					t.Fatalf("round %d: %s was acknowledged and is not in the remote", round, sha)
				}
			}
			if round%3 == 2 {
				foreign(t, gittest.Clone(t, remote), fmt.Sprintf("foreign-%d", round), "x")
			}
		}
		t.Logf("%d commits acknowledged in 10 runs", len(safe))
	})
}

// killedRun starts a writer, kills it at a random moment, and is what it
// acknowledged until then.
func killedRun(t *testing.T, cfg Config, round int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+cfg.Dir, childRemote+"="+cfg.Remote, childRound+"="+strconv.Itoa(round))
	var failed strings.Builder
	child.Stderr = &failed
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var safe []string
	lines := bufio.NewScanner(out)
	kill := func() { _ = child.Process.Kill() }
	if round%2 == 0 { // while it starts
		defer time.AfterFunc(rand.N(200*time.Millisecond), kill).Stop()
	}
	for lines.Scan() {
		sha, _, whole := strings.Cut(lines.Text(), " ")
		if whole && len(safe) == 0 && round%2 == 1 { // well under way
			defer time.AfterFunc(rand.N(500*time.Millisecond), kill).Stop()
		}
		if whole {
			safe = append(safe, sha)
		}
	}
	_ = child.Wait() // it was killed
	if failed.Len() > 0 {
		t.Fatalf("round %d: the writer failed by itself: %s", round, failed.String())
	}
	return safe
}
