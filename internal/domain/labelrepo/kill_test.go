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

// Environment variables of the child process, which is the test binary.
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

// writeUntilKilled pushes batches of one to five commits and prints the pushed
// commits. Two of three batches are built upon the batch that is being pushed.
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
	commits := batch()
	b, err := r.Prepare(ctx, commits, nil)
	if err != nil {
		return err
	}
	for {
		type answer struct {
			pushed PushResult
			err    error
		}
		answers := make(chan answer, 1)
		go func() {
			pushed, err := r.Push(ctx, b)
			answers <- answer{pushed, err}
		}()
		previous := b
		if rand.IntN(3) == 0 {
			previous = nil
		}
		nextCommits := batch()
		next, err := r.Prepare(ctx, nextCommits, previous)
		if err != nil {
			return err
		}
		got := <-answers
		if got.err != nil {
			return got.err
		}
		for n, result := range got.pushed.Results {
			fmt.Println(result.SHA, commits[n].Path)
		}
		b, commits = next, nextCommits
	}
}

func TestKill_AtAnyMomentNothingAcknowledgedIsLost(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		open(t, cfg).Close()
		gittest.Git(t, remote, "config", "receive.autogc", "false") // git gc would run on in the background
		var acknowledged []string                                   // commits of all rounds
		for round := range 10 {
			acknowledged = append(acknowledged, killedRun(t, cfg, round)...)

			r := open(t, cfg)
			if _, err := r.Refresh(t.Context()); err != nil {
				t.Fatalf("round %d: got %v from Refresh, want no error", round, err)
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
			reachable := gittest.Git(t, remote, "rev-list", "--all")
			for _, sha := range acknowledged {
				if !strings.Contains(reachable, sha) {
					t.Fatalf("round %d: got the remote without %s, want every acknowledged commit", round, sha)
				}
			}
			if round%3 == 2 {
				pushForeign(t, gittest.Clone(t, remote), fmt.Sprintf("foreign-%d", round), "x")
			}
		}
		t.Logf("%d commits acknowledged in 10 runs", len(acknowledged))
	})
}

// killedRun starts a writer, kills the writer at a random moment, and returns the
// commits that the writer has acknowledged.
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
	var acknowledged []string
	lines := bufio.NewScanner(out)
	kill := func() { _ = child.Process.Kill() }
	if round%2 == 0 { // kill during the start
		defer time.AfterFunc(rand.N(200*time.Millisecond), kill).Stop()
	}
	for lines.Scan() {
		sha, _, whole := strings.Cut(lines.Text(), " ")
		if whole && len(acknowledged) == 0 && round%2 == 1 { // kill after the first push
			defer time.AfterFunc(rand.N(500*time.Millisecond), kill).Stop()
		}
		if whole {
			acknowledged = append(acknowledged, sha)
		}
	}
	_ = child.Wait() // the error says that the process was killed
	if failed.Len() > 0 {
		t.Fatalf("round %d: got a writer that failed by itself, want a killed one: %s", round, failed.String())
	}
	return acknowledged
}
