package labelrepo

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
	"tagma/internal/testing/logbuffer"
)

// batches returns n batches of ten commits. All batches write to the same
// folders, and neighbours write some of the same files.
func batches(n int) [][]Commit {
	all := make([][]Commit, n)
	for i := range all {
		for j := range 10 {
			all[i] = append(all[i], label(7*i+j, fmt.Sprint("batch ", i)))
		}
	}
	return all
}

// follow pushes a batch and prepares the next batch during the push. Without next
// commits, follow returns no batch.
func follow(t *testing.T, r *Repo, b *Batch, next []Commit) (*Batch, error) {
	t.Helper()
	failed := make(chan error, 1)
	go func() {
		_, err := r.Push(t.Context(), b)
		failed <- err
	}()
	var following *Batch
	if next != nil {
		following = prepare(t, r, next, b)
	}
	return following, <-failed
}

func prepare(t *testing.T, r *Repo, commits []Commit, previous *Batch) *Batch {
	t.Helper()
	b, err := r.Prepare(t.Context(), commits, previous)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func mustFollow(t *testing.T, r *Repo, b *Batch, next []Commit) *Batch {
	t.Helper()
	following, err := follow(t, r, b, next)
	if err != nil {
		t.Fatal(err)
	}
	return following
}

func TestPush_BatchesThatWerePreparedAheadFollowOneAnother(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		r := open(t, cfg)
		all := batches(6)
		b := prepare(t, r, all[0], nil)
		for i := range all {
			prepared := b.tip
			var next []Commit
			if i+1 < len(all) {
				next = all[i+1]
			}
			b = mustFollow(t, r, b, next)
			if got := r.Tip(); got != prepared.String() {
				t.Errorf("batch %d: got the tip %s, want the prepared %s", i, got, prepared)
			}
		}
		if got := commitCount(t, remote); got != 60 {
			t.Errorf("got %d commits, want 60", got)
		}
		for i := range 5 { // no later batch writes the first file of a batch
			if c := all[i][0]; show(t, remote, c.Path) != c.Content {
				t.Errorf("%s: got %q, want %q", c.Path, show(t, remote, c.Path), c.Content)
			}
		}
		fsck(t, remote)
		fsck(t, cfg.Dir)
		if left := temporaries(t, cfg.Dir); len(left) > 0 {
			t.Errorf("got files left over %s, want none", left)
		}
	})
}

func TestPush_ABatchPreparedAheadIsBuiltAgainUponWhatOthersPushed(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	all := batches(3)
	b := mustFollow(t, r, prepare(t, r, all[0], nil), all[1])
	path := all[2][9].Path
	pushForeign(t, gittest.Clone(t, h.Dir), path, "theirs\n")
	b = mustFollow(t, r, b, all[2])
	if got := show(t, h.Dir, path); got != "theirs\n" {
		t.Errorf("%s: got %q, want what others pushed", path, got)
	}
	mustFollow(t, r, b, nil)
	if got := show(t, h.Dir, path); got != all[2][9].Content {
		t.Errorf("%s: got %q, want %q", path, got, all[2][9].Content)
	}
	if got := commitCount(t, h.Dir); got != 31 {
		t.Errorf("got %d commits, want 31", got)
	}
	fsck(t, h.Dir)
}

func TestPush_ABatchBuiltUponOneThatFailedIsBuiltAgain(t *testing.T) {
	dir := newBare(t)
	logs := &logbuffer.Buffer{}
	cfg := config(t, dir)
	cfg.Log = logs.Logger(slog.LevelDebug)
	r := open(t, cfg)
	all := batches(5)
	b := prepare(t, r, all[0], nil)
	for i := range 2 {
		b = mustFollow(t, r, b, all[i+1])
	}
	hook(t, dir, "exit 1\n")
	b, err := follow(t, r, b, all[3])
	if !errors.Is(err, ErrRejected) {
		t.Fatalf("got %v, want ErrRejected", err)
	}
	hook(t, dir, "exit 0\n")
	mustFollow(t, r, mustFollow(t, r, b, all[4]), nil)
	if got := commitCount(t, dir); got != 40 {
		t.Errorf("got %d commits, want 40", got)
	}
	for _, c := range all[2] {
		if got, _ := githost.Git(dir, "log", "--format=%b", "main", "--", c.Path); strings.Contains(got, "batch 2") {
			t.Errorf("%s: got a commit of the batch that was rejected, want none", c.Path)
		}
	}
	for i, files := range strings.Split(strings.TrimSpace(gittest.Git(t, dir, "log", "--format=%x00", "--name-only", "main")), "\x00")[1:] {
		if got := len(strings.Fields(files)); got != 1 {
			t.Errorf("commit %d before the tip: got %d files changed, want 1", i, got)
		}
	}
	fsck(t, dir)
	if got := logs.String(); got != "" { // such as a warning that the cache is damaged
		t.Errorf("got the log %s, want none", got)
	}
}

func TestPush_ABatchThatIsDiscardedLeavesNothing(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	r := open(t, cfg)
	all := batches(3)
	b := mustFollow(t, r, prepare(t, r, all[0], nil), all[1])
	b.Discard()
	mustPush(t, r, all[2]...)
	if got := gittest.Git(t, h.Dir, "log", "--format=%b"); strings.Contains(got, "batch 1") || !strings.Contains(got, "batch 2") {
		t.Errorf("got the log %s, want batch 2 and not batch 1", got)
	}
	fsck(t, h.Dir)
	fsck(t, cfg.Dir)
	if left := temporaries(t, cfg.Dir); len(left) > 0 {
		t.Errorf("got files left over %s, want none", left)
	}
}

func TestPush_BaseSaysWhetherOthersPushedInBetween(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	before := r.Tip()
	pushed, err := r.Push(t.Context(), prepare(t, r, []Commit{label(1, "x"), label(2, "x")}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Base != before || pushed.Tip != r.Tip() || len(pushed.Results) != 2 {
		t.Errorf("got %+v, want two results from %s to %s", pushed, before, r.Tip())
	}
	b := prepare(t, r, []Commit{label(3, "x"), label(4, "x")}, nil)
	pushForeign(t, gittest.Clone(t, h.Dir), "theirs", "x")
	theirs := strings.TrimSpace(gittest.Git(t, h.Dir, "rev-parse", "main"))
	// After the lost race, the first commit is pushed alone, and then the second.
	pushed, err = r.Push(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if pushed.Base != theirs || pushed.Tip != r.Tip() || len(pushed.Results) != 2 {
		t.Errorf("got %+v, want two results from %s to %s", pushed, theirs, r.Tip())
	}
}
