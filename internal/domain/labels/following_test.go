package labels

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
)

// waiting submits so many submissions, revisions of three files, to an outbox
// of small batches, of which the first is pushed.
func waiting(t *testing.T, w *world, n int) *remote {
	t.Helper()
	r := w.remote(FanOut)
	r.size = 4
	for i := range n {
		w.submit(rat(i%3, float64(i)))
	}
	more, err := r.step(t.Context(), true)
	must(t, err)
	same(t, "there is more", more, true)
	same(t, "ready while the first batch was pushed", len(r.next.rows), 4)
	same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 4, labelsubmission.StatusQUEUED: n - 4})
	r.size = 4 // a quick batch is followed by larger ones
	return r
}

// eachOnce demands that every submission is one commit, in their order.
func eachOnce(t *testing.T, w *world, r *remote) {
	t.Helper()
	var want []string
	for _, row := range w.all() {
		same(t, "status", row.Status, labelsubmission.StatusPUSHED)
		want = append(want, fmt.Sprint(row.ID))
	}
	same(t, "commits", r.commits("%(trailers:key=Submission-Id,valueonly,separator=%x2C)"), want)
	git(t, r.dir, "fsck", "--strict")
}

func TestOutbox_ABatchIsMadeReadyWhileTheOneBeforeIsPushed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := waiting(t, w, 18)
		r.drain()
		same(t, "left over", len(r.next.rows), 0)
		eachOnce(t, w, r)
	})
}

func TestOutbox_ABatchThatIsReadyWaitsLikeOthersWhileTheRepositoryIsDown(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := waiting(t, w, 12)
		must(t, os.Rename(r.dir, r.dir+".away"))
		if _, err := r.step(t.Context(), false); err == nil {
			t.Error("no error while the repository is away")
		}
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 4, labelsubmission.StatusQUEUED: 8})
		younger := w.submit(rat(0, 100))
		must(t, os.Rename(r.dir+".away", r.dir))
		r.drain()
		eachOnce(t, w, r)
		same(t, "the last revision", r.show(FanOut.path(younger.Filename)), younger.Content)
	})
}

func TestOutbox_ABatchThatIsReadyIsNotPushedWhenAnotherServerHasPushedIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := waiting(t, w, 12)
		w.to(r.dir, FanOut).drain()
		r.drain()
		eachOnce(t, w, r)
	})
}

func TestOutbox_WhatAnEarlierServerWasPushingComesBeforeAllOthers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		for n := range 14 {
			w.submit(rat(n%3, float64(n)))
		}
		began, err := r.queued(t.Context(), 10, nil) // a larger batch than the next server begins with
		must(t, err)
		must(t, r.mark(t.Context(), began, labelsubmission.StatusCOMMITTED))
		r.size = 4
		r.drain()
		eachOnce(t, w, r)
	})
}

func TestOutbox_CutOffAtAnyStatementItGoesOnInOrder(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := filepath.Join(t.TempDir(), "labels.git")
		outbox := func(size int) *remote {
			r := w.open(labelrepo.Config{Dir: dir}, dir, FanOut)
			r.size = size
			return r
		}
		shade := 0.0
		for cut, ended := 1, false; !ended; cut++ {
			for n := range 12 {
				shade++
				w.submit(rat(n%3, shade))
			}
			r := outbox(8)
			ctx, stop := context.WithCancel(t.Context())
			began := w.statements.count()
			w.statements.tell(func(n int) {
				if n-began >= cut {
					stop()
				}
			})
			ended = true
			for more := true; more; {
				var err error
				if more, err = r.step(ctx, true); err != nil {
					ended = false
					break
				}
			}
			w.statements.tell(nil)
			stop()
			must(t, r.repo.Close())
			r = outbox(2)
			r.drain()
			eachOnce(t, w, r)
			must(t, r.repo.Close())
		}
	})
}
