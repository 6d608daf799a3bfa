package labels

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tagma/ent/generated/labelsubmission"
)

func TestVerify_FindsEveryKindOfDifference(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		for n := range 6 {
			w.submit(rat(n, 1))
		}
		r.drain()
		report, err := r.Verify(t.Context())
		must(t, err)
		same(t, "at first", *report, Report{Same: 6})

		// Somebody spoils the repository while nobody reads it back.
		path := func(n int) string { return FanOut.path(rat(n, 1).filename()) }
		eva := r.foreigner()
		eva.push(noon, "mischief", map[string]string{
			path(1):                         receivers(rat(1, 2)),
			Flat.path(rat(2, 1).filename()): receivers(rat(2, 1)),
			path(7):                         receivers(rat(7, 1)),
			"annotations/notes.md":          "hello",
		})
		git(t, eva.work, "rm", "--quiet", path(0))
		git(t, eva.work, "commit", "--quiet", "-m", "and more")
		git(t, eva.work, "push", "--quiet", "origin", "HEAD:main")
		w.submit(rat(3, 2)) // a new revision of a file that is there
		w.submit(rat(8, 1))
		w.settle(w.submit(rat(9, 1)), labelsubmission.StatusFAILED)
		before := fmt.Sprint(w.all())

		report, err = r.Verify(t.Context())
		must(t, err)
		same(t, "counts", []int{report.Same, report.Waiting, report.Failed}, []int{4, 2, 1})
		slices.Sort(report.Differences)
		for n, want := range []string{
			"not the same in both: " + path(1),
			"only in the database: " + rat(0, 1).filename(),
			"only in the repository: " + path(7),
			"twice in the repository: ",
		} {
			if n >= len(report.Differences) || !strings.HasPrefix(report.Differences[n], want) {
				t.Errorf("difference %d is not %s: %v", n, want, report.Differences)
			}
		}
		same(t, "differences", len(report.Differences), 4)
		same(t, "it changed", fmt.Sprint(w.all()), before)

		// The branch is forced back: the old revision of a file is a difference.
		r.drain()
		git(t, r.dir, "update-ref", "refs/heads/main", strings.TrimSpace(git(t, r.dir, "rev-list", "--max-parents=0", "main")))
		report, err = r.Verify(t.Context())
		must(t, err)
		if len(report.Differences) < 6 {
			t.Errorf("got %v", report.Differences)
		}
	})
}

func TestVerify_ARevisionThatIsGoneFromTheRepositoryIsADifference(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	r := w.remote(FanOut)
	w.submit(rat(1, 1))
	w.submit(rat(1, 2))
	r.drain()
	git(t, r.dir, "update-ref", "refs/heads/main", "main~1")
	report, err := r.Verify(t.Context())
	must(t, err)
	if len(report.Differences) != 1 || !strings.HasPrefix(report.Differences[0], "not the same in both") {
		t.Errorf("got %v", report.Differences)
	}
}

func TestRebuild_MakesTheRepositoryAgainAndRefusesOneThatIsNotEmpty(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		for n := range 5 {
			w.submit(rat(n%3, float64(n)))
		}
		r.drain()
		w.settle(w.submit(rat(9, 1)), labelsubmission.StatusFAILED)
		before := fmt.Sprint(w.all())
		if err := r.Rebuild(t.Context()); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("got %v", err)
		}
		same(t, "rows", fmt.Sprint(w.all()), before)

		next := w.remote(Flat)
		must(t, next.Rebuild(t.Context()))
		same(t, "commits", next.commits("%an %at %s"), r.commits("%an %at %s"))
		report, err := next.Verify(t.Context())
		must(t, err)
		same(t, "report", *report, Report{Same: 3, Failed: 1})
		commits := next.commits("%H")
		for n, row := range w.all()[:5] {
			same(t, "commit", *row.CommitSha, commits[n])
		}
	})
}
