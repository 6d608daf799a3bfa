package labelrepo

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
	"tagma/internal/testing/logbuffer"
)

// batches is so many batches of ten commits. They write the same folders and
// partly the same files.
func batches(n int) [][]Commit {
	all := make([][]Commit, n)
	for i := range all {
		for j := range 10 {
			all[i] = append(all[i], label(7*i+j, fmt.Sprint("batch ", i)))
		}
	}
	return all
}

// giving is a meanwhile that gives these commits.
func giving(commits []Commit) func() []Commit { return func() []Commit { return commits } }

func TestApply_BatchesThatWereBuiltAheadFollowOneAnother(t *testing.T) {
	kinds(t, func(t *testing.T, cfg Config, remote string) {
		r := open(t, cfg)
		all := batches(6)
		for i, batch := range all {
			var foreseen string
			if i > 0 {
				foreseen = r.ahead.tip.String()
			}
			var next []Commit
			if i+1 < len(all) {
				next = all[i+1]
			}
			results, err := r.Apply(t.Context(), batch, giving(next))
			if err != nil {
				t.Fatal(err)
			}
			if last := results[len(results)-1].SHA; i > 0 && last != foreseen {
				t.Errorf("batch %d ends with %s, and was foreseen to end with %s", i, last, foreseen)
			}
		}
		if n := commitCount(t, remote); n != 60 {
			t.Errorf("%d commits, want 60", n)
		}
		for i := range 5 { // the first file of each is written again by none after it
			if c := all[i][0]; show(t, remote, c.Path) != c.Content {
				t.Errorf("%s holds %q, want %q", c.Path, show(t, remote, c.Path), c.Content)
			}
		}
		if r.ahead != nil {
			t.Error("a batch is left over")
		}
		fsck(t, remote)
		fsck(t, cfg.Dir)
	})
}

func TestApply_ABatchBuiltAheadIsBuiltAgainUponWhatOthersPushed(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	all := batches(3)
	if _, err := r.Apply(t.Context(), all[0], giving(all[1])); err != nil {
		t.Fatal(err)
	}
	path := all[2][9].Path
	foreign(t, gittest.Clone(t, h.Dir), path, "theirs\n")
	if _, err := r.Apply(t.Context(), all[1], giving(all[2])); err != nil {
		t.Fatal(err)
	}
	if got := show(t, h.Dir, path); got != "theirs\n" {
		t.Errorf("what others pushed holds %q", got)
	}
	apply(t, r, all[2]...)
	if got := show(t, h.Dir, path); got != all[2][9].Content {
		t.Errorf("the file holds %q, want %q", got, all[2][9].Content)
	}
	if n := commitCount(t, h.Dir); n != 31 {
		t.Errorf("%d commits, want 31", n)
	}
	fsck(t, h.Dir)
}

func TestApply_ABatchBuiltUponOneThatFailedIsNotPushed(t *testing.T) {
	dir := newBare(t)
	logs := &logbuffer.Buffer{}
	cfg := config(t, dir)
	cfg.Log = logs.Logger(slog.LevelDebug)
	r := open(t, cfg)
	all := batches(5)
	for i := range 2 {
		if _, err := r.Apply(t.Context(), all[i], giving(all[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	hook(t, dir, "exit 1\n")
	if _, err := r.Apply(t.Context(), all[2], giving(all[3])); !errors.Is(err, ErrRejected) {
		t.Fatalf("got %v", err)
	}
	hook(t, dir, "exit 0\n")
	apply(t, r, all[3]...)
	apply(t, r, all[4]...)
	if n := commitCount(t, dir); n != 40 {
		t.Errorf("%d commits, want 40", n)
	}
	for _, c := range all[2] {
		if got, _ := githost.Git(dir, "log", "--format=%b", "main", "--", c.Path); strings.Contains(got, "batch 2") {
			t.Errorf("the commit of %s is there, of the batch that was rejected", c.Path)
		}
	}
	for i, files := range strings.Split(strings.TrimSpace(gittest.Git(t, dir, "log", "--format=%x00", "--name-only", "main")), "\x00")[1:] {
		if n := len(strings.Fields(files)); n != 1 {
			t.Errorf("commit %d before the tip changes %d files", i, n)
		}
	}
	fsck(t, dir)
	if logs.String() != "" { // that the cache had to be made again
		t.Errorf("the log says %s", logs)
	}
}

func TestApply_OtherCommitsThanThoseBuiltAheadAreBuiltThemselves(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	r := open(t, cfg)
	all := batches(3)
	if _, err := r.Apply(t.Context(), all[0], giving(all[1])); err != nil {
		t.Fatal(err)
	}
	apply(t, r, slices.Clone(all[2])...)
	if got := gittest.Git(t, h.Dir, "log", "--format=%b"); strings.Contains(got, "batch 1") || !strings.Contains(got, "batch 2") {
		t.Errorf("the log is %s", got)
	}
	fsck(t, h.Dir)
	fsck(t, cfg.Dir)
	if left := temporaries(t, cfg.Dir); len(left) > 0 {
		t.Errorf("files are left over: %s", left)
	}
}
