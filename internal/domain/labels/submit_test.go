package labels

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/video"
	"tagma/internal/base/fault"
	"tagma/internal/domain/labelrepo"
)

func TestSubmit_IsRecordedWithWhatIsKnownOfIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		receipt, err := w.Submit(w.ana, rat(3, 1), 0)
		must(t, err)
		row := receipt.Submission
		content, err := rat(3, 1).content()
		must(t, err)
		same(t, "outcome", receipt.Outcome, Accepted)
		same(t, "status", row.Status, labelsubmission.StatusQUEUED)
		same(t, "author", row.Author, "ana <ana@example.org>")
		same(t, "content", row.Content, content)
		same(t, "filename", row.Filename, rat(3, 1).filename())
		same(t, "revision", row.Revision, 1)
		film, err := w.Video(t.Context(), "https://example.org/rat.mp4")
		must(t, err)
		same(t, "hash", film.Hash, videoHash(film.URL))

		// Ben has no address, and says other things of the film.
		other := rat(4, 1)
		other.TotalFrames, other.FPS, other.FrameWidth, other.FrameHeight = 2000, 60, 4000, 3000
		receipt, err = w.Submit(w.ben, other, 0)
		must(t, err)
		same(t, "author", receipt.Submission.Author, "ben <ben@tagma.invalid>")
		film, err = w.Video(t.Context(), "https://example.org/rat.mp4")
		must(t, err)
		same(t, "the film", []any{film.TotalFrames, film.Fps, film.FrameWidth, film.FrameHeight}, []any{2000, 60, 4000, 3000})
		same(t, "films", w.db.Video.Query().CountX(t.Context()), 1)
		if none, err := w.Video(t.Context(), "https://example.org/"); none != nil || err != nil {
			t.Errorf("got %v, %v", none, err)
		}
	})
}

func TestSubmit_ACallerWhoIsNotSignedInIsRefused(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	_, err := w.Submit(t.Context(), rat(1, 1), 0)
	same(t, "code", fault.CodeOf(err), fault.Unauthenticated)
}

func TestSubmit_OnlyTheIdenticalSubmissionIsNoChange(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.submit(rat(1, 1))
		for n, c := range []struct {
			s    *Submission
			want string
		}{
			{rat(1, 1), "NO_CHANGE 1"},
			{rat(1, 2), "ACCEPTED 2"},
			{rat(1, 2), "NO_CHANGE 2"},
			{rat(1, 1), "ACCEPTED 3"}, // back to what it was
			{rat(2, 1), "ACCEPTED 1"}, // another frame
		} {
			receipt, err := w.Submit(w.ben, c.s, 0)
			must(t, err)
			same(t, fmt.Sprint("step ", n), fmt.Sprint(receipt.Outcome, " ", receipt.Submission.Revision), c.want)
		}
		later := rat(1, 1)
		later.Timestamp++
		if receipt, err := w.Submit(w.ana, later, 0); err != nil || receipt.Outcome != Accepted || receipt.Submission.Filename == first.Filename {
			t.Errorf("another time: %v, %v", receipt, err)
		}
	})
}

func TestSubmit_OneThatFailedIsQueuedAgainWhenItIsSentAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		row := w.submit(rat(1, 1))
		w.db.LabelSubmission.UpdateOne(row).SetStatus(labelsubmission.StatusFAILED).SetFailure("a hook").ExecX(t.Context())
		receipt, err := w.Submit(w.ben, rat(1, 1), 0)
		must(t, err)
		got := receipt.Submission
		if receipt.Outcome != NoChange || got.ID != row.ID || got.Status != labelsubmission.StatusQUEUED || got.Failure != nil {
			t.Errorf("got %s, %v", receipt.Outcome, got)
		}
		same(t, "rows", len(w.all()), 1)
	})
}

func TestSubmit_FiftyEqualOnesAtOnceAreOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		outcomes := make(chan Outcome, 50)
		var wait sync.WaitGroup
		for n := range cap(outcomes) {
			wait.Go(func() {
				who := []context.Context{w.ana, w.ben}[n%2]
				receipt, err := w.Submit(who, rat(1, 1), 0)
				if err != nil {
					t.Error(err)
					return
				}
				outcomes <- receipt.Outcome
			})
		}
		wait.Wait()
		close(outcomes)
		n := map[Outcome]int{}
		for o := range outcomes {
			n[o]++
		}
		same(t, "outcomes", n, map[Outcome]int{Accepted: 1, NoChange: 49})
		same(t, "rows", len(w.all()), 1)
	})
}

func TestSubmit_DifferentOnesAtOnceAreAllKeptWithRevisionsOfTheirOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var wait sync.WaitGroup
		for n := range 40 {
			wait.Go(func() {
				// Twenty of one frame, and ten each of two new films.
				s := rat(1, float64(n))
				if n >= 20 {
					s.VideoURL = fmt.Sprint("https://example.org/", n%2)
					s.FrameIndex = n
				}
				if _, err := w.Submit(w.ana, s, 0); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		var revisions []int
		for _, row := range w.all() {
			if row.Filename == rat(1, 0).filename() {
				revisions = append(revisions, row.Revision)
			} else if row.Revision != 1 {
				t.Errorf("revision %d of %s", row.Revision, row.Filename)
			}
		}
		slices.Sort(revisions)
		same(t, "rows", len(w.all()), 40)
		for n, revision := range revisions {
			if revision != n+1 {
				t.Fatalf("revisions %v", revisions)
			}
		}
		same(t, "films", w.db.Video.Query().Where(video.URLHasPrefix("https://example.org/")).CountX(t.Context()), 3)
	})
}

// settle gives a submission a status, as the outbox would.
func (w *world) settle(row *ent.LabelSubmission, status labelsubmission.Status) {
	w.db.LabelSubmission.UpdateOne(row).SetStatus(status).ExecX(w.t.Context())
	w.settlements.send()
}

func TestAwait_ReturnsWhenTheRepositoryHasIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, status := range []labelsubmission.Status{labelsubmission.StatusPUSHED, labelsubmission.StatusFAILED} {
			row := w.submit(rat(1, float64(len(status)+w.db.LabelSubmission.Query().CountX(t.Context()))))
			got := make(chan *ent.LabelSubmission, 1)
			go func() {
				found, err := w.Await(t.Context(), row.ID, time.Minute)
				if err != nil {
					t.Error(err)
				}
				got <- found
			}()
			w.settle(row, status)
			same(t, "status", (<-got).Status, status)
			// And at once if it is so already.
			found, err := w.Await(t.Context(), row.ID, time.Minute)
			must(t, err)
			same(t, "status", found.Status, status)
		}
	})
}

func TestAwait_HearsOfWhatAnotherServerHasPushed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		row := w.submit(rat(1, 1))
		other := New(w.db, w.clock, w.limits)
		got := make(chan *ent.LabelSubmission, 1)
		go func() {
			found, err := other.Await(t.Context(), row.ID, time.Minute)
			if err != nil {
				t.Error(err)
			}
			got <- found
		}()
		w.settle(row, labelsubmission.StatusPUSHED)
		same(t, "status", (<-got).Status, labelsubmission.StatusPUSHED)
	})
}

func TestAwait_ReturnsAtItsBoundAndWhenTheCallerLeaves(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	row := w.submit(rat(1, 1))
	began := time.Now()
	got, err := w.Await(t.Context(), row.ID, 50*time.Millisecond)
	must(t, err)
	same(t, "status", got.Status, labelsubmission.StatusQUEUED)
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	leaving, leave := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, leave)
	if _, err = w.Await(leaving, row.ID, time.Minute); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAwait_DoesNotWaitWhileTheRepositoryIsKnownToBeOutOfReach(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// Nothing was waiting when it was found out, which is the hard case.
		r := w.to(filepath.Join(t.TempDir(), "not mounted"), FanOut)
		if _, err := r.step(t.Context(), true); !errors.Is(err, labelrepo.ErrUnavailable) {
			t.Fatal(err)
		}
		began := time.Now()
		receipt, err := w.Submit(w.ana, rat(1, 1), time.Minute)
		must(t, err)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %v", took)
		}
		same(t, "status", receipt.Submission.Status, labelsubmission.StatusQUEUED)

		// Once it is there, it is waited for again.
		git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", r.dir)
		r.drain()
		same(t, "status", w.again(receipt.Submission).Status, labelsubmission.StatusPUSHED)
		if down, err := w.isHeldUp(t.Context()); down || err != nil {
			t.Errorf("it is still known as down: %v", err)
		}
	})
}
