package labels

import (
	"fmt"
	"sync"
	"testing"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/ttlcache"
)

// still stops the clock, and gives what moves it on.
func still(w *world) (pass func()) {
	now := w.clock()
	w.Service.clock = func() instant.Instant { return now }
	return func() { now = now.Add(ttlcache.TTL) }
}

func TestSubmit_WhatWasFoundAMomentAgoIsNotAskedForAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		pass := still(w)
		w.submit(rat(0, 1)) // makes the video
		statements := func(s *Submission) int { return w.statements.of(func() { w.submit(s) }) }
		same(t, "statements of the first", statements(rat(1, 1)), 2)
		same(t, "statements of the next", statements(rat(2, 1)), 1)
		pass()
		same(t, "statements a moment later", statements(rat(3, 1)), 2)
		other := rat(4, 1)
		other.FPS = 60
		w.submit(other)
		same(t, "the video's rate", w.db.Video.Query().OnlyX(t.Context()).Fps, 60.0)
		w.submit(rat(5, 1))
		same(t, "the video's rate again", w.db.Video.Query().OnlyX(t.Context()).Fps, 29.97)
	})
}

func TestSubmit_AFileThatIsThereAlthoughItWasNotExpectedIsNoticed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		pass := still(w)
		w.submit(rat(0, 1))
		first := w.submit(rat(1, 1))
		again, err := w.Submit(w.ana, rat(1, 1), 0)
		must(t, err)
		same(t, "outcome", again.Outcome, NoChange)
		same(t, "submission", again.Submission.ID, first.ID)
		same(t, "statements while nothing is guessed", w.statements.of(func() { w.submit(rat(2, 1)) }), 2)
		pass()
		w.submit(rat(3, 1))
		same(t, "revision", w.submit(rat(1, 2)).Revision, 2)
		same(t, "submissions", len(w.all()), 5)
	})
}

func TestSubmit_ManyAtOnceOfWhichSomeAreThereAlready(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		pass := still(w)
		for n := range 20 {
			w.submit(rat(n, 1))
		}
		pass()
		w.submit(rat(100, 1)) // from now on it is guessed
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() {
				receipt, err := w.Submit(w.ana, rat(n, 1), 0)
				if err != nil || (receipt.Outcome == NoChange) != (n < 20) || receipt.Submission.FrameIndex != n {
					t.Errorf("frame %d: %+v, %v", n, receipt, err)
				}
			})
		}
		all.Wait()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusQUEUED: 41})
	})
}

func TestSubmit_ANewVersionOfALabelSetCountsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		still(w)
		elsewhere := New(w.db, w.Service.clock, page.Limits{Default: 50, Max: 1000})
		for n, made := range []*Service{w.Service, elsewhere, w.Service, elsewhere} {
			for _, shade := range []float64{1, 2} { // the second is remembered
				s := rat(n, shade)
				s.Timestamp += instant.Instant(shade)
				w.submit(s)
			}
			id := fmt.Sprint("whisker", n)
			_, err := made.CreateSet(t.Context(), DefaultSet, append([]Definition{{id, "Whisker"}}, paws...))
			must(t, err)
			s := rat(10+n, 1)
			if _, err := w.Submit(w.ana, s, 0); err == nil && made == w.Service {
				t.Error("labels without the new point are taken")
			}
			s.Labels = append(s.Labels, Label{ID: id, Name: "Whisker"})
			same(t, "version", w.db.LabelSet.GetX(t.Context(), w.submit(s).LabelSetID).Version, 2*n+2)
			_, err = made.CreateSet(t.Context(), DefaultSet, paws)
			must(t, err)
		}
	})
}
