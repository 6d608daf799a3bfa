package labels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/testing/logbuffer"
)

func TestOutbox_EachSubmissionIsACommitInItsOrderByItsPerson(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, open := range map[string]func(Layout) *remote{"local": w.local, "remote": w.remote} {
			for _, layout := range []Layout{FanOut, Flat} {
				t.Run(fmt.Sprint(name, " ", layout), func(t *testing.T) {
					w.db.LabelSubmission.Delete().ExecX(t.Context())
					w.db.Checkpoint.Delete().ExecX(t.Context())
					r := open(layout)
					for n := range 5 {
						w.submit(rat(n%3, float64(n)))
					}
					ben, err := w.Submit(w.ben, rat(9, 1), 0)
					must(t, err)
					r.drain()

					rows := w.all()
					var want []string
					for _, row := range rows {
						same(t, "status", row.Status, labelsubmission.StatusPUSHED)
						want = append(want, fmt.Sprintf("annotation: %s|%s|Tagma <tagma@example.org>|%d|%d|paws@1|%s",
							row.Filename, row.Author, row.CreatedAt.Time().Unix(), row.ID, *row.CommitSha))
						if *row.PushedAt < row.CreatedAt {
							t.Errorf("pushed at %s, created at %s", row.PushedAt, row.CreatedAt)
						}
					}
					same(t, "commits", r.commits("%s|%an <%ae>|%cn <%ce>|%at|%(trailers:key=Submission-Id,valueonly,separator=%x2C)|%(trailers:key=Label-Set,valueonly,separator=%x2C)|%H"), want)
					same(t, "file", r.show(layout.path(ben.Submission.Filename)), ben.Submission.Content)
					same(t, "the last revision", r.show(layout.path(rows[0].Filename)), rows[3].Content)
					git(t, r.dir, "fsck", "--strict")

					more, err := r.step(t.Context(), true)
					if more || err != nil {
						t.Errorf("there is more: %v", err)
					}
					same(t, "commits", len(r.commits("%H")), 6)
				})
			}
		}
	})
}

func TestOutbox_AnItemThatTheRepositoryRejectsFailsAloneAndTheOthersGetThrough(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		r.hook(`while read old new ref; do
  git log --format=%B $(test "$old" = 0000000000000000000000000000000000000000 && echo $new || echo $old..$new) | grep -q '^frame_index: 1[37]$' && { echo "frame thirteen is bad luck"; exit 1; }
done; exit 0`)
		for n := range 20 {
			w.submit(rat(n, 1))
		}
		r.drain()
		rows := w.all()
		for _, row := range rows {
			if row.FrameIndex == 13 || row.FrameIndex == 17 {
				if row.Status != labelsubmission.StatusFAILED || row.CommitSha != nil || !strings.Contains(*row.Failure, "frame thirteen is bad luck") {
					t.Errorf("frame %d: %v", row.FrameIndex, row)
				}
			} else if row.Status != labelsubmission.StatusPUSHED || row.Failure != nil {
				t.Errorf("frame %d: %v", row.FrameIndex, row)
			}
		}
		var want []string
		for n := range 20 {
			if n != 13 && n != 17 {
				want = append(want, "annotation: "+rat(n, 1).filename())
			}
		}
		same(t, "commits", r.commits("%s"), want)

		// Once the hook is gone, they are tried again when somebody says so.
		must(t, os.Remove(filepath.Join(r.dir, "hooks", "pre-receive")))
		r.drain()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 18, labelsubmission.StatusFAILED: 2})
		n, err := w.Retry(t.Context())
		must(t, err)
		same(t, "queued again", n, 2)
		r.drain()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 20})
		same(t, "commits", r.commits("%s")[18:], []string{"annotation: " + rat(13, 1).filename(), "annotation: " + rat(17, 1).filename()})
	})
}

func TestRetry_WhatALaterRevisionHasReplacedStaysFailed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.local(FanOut)
		old, lone := w.submit(rat(1, 1)), w.submit(rat(2, 1))
		w.settle(old, labelsubmission.StatusFAILED)
		w.settle(lone, labelsubmission.StatusFAILED)
		younger := w.submit(rat(1, 2))
		r.drain()
		n, err := w.Retry(t.Context())
		must(t, err)
		same(t, "queued again", n, 1)
		r.drain()
		same(t, "the old one", w.again(old).Status, labelsubmission.StatusFAILED)
		same(t, "the other", w.again(lone).Status, labelsubmission.StatusPUSHED)
		same(t, "the file", r.show(FanOut.path(old.Filename)), younger.Content)
	})
}

func TestOutbox_AnAcknowledgementThatWasLostAfterThePushIsReadFromTheRepository(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		w.submit(rat(0, 1))
		r.drain()
		for n := range 3 {
			w.submit(rat(1, float64(n))) // revisions of one file: pushed again, they would undo each other
		}
		rows, err := r.queued(t.Context(), largest, nil)
		must(t, err)
		must(t, r.mark(t.Context(), rows, labelsubmission.StatusCOMMITTED))
		batch, err := r.prepare(t.Context(), rows, nil)
		must(t, err)
		pushed, err := r.repo.Push(t.Context(), batch.commits)
		must(t, err)

		// The server died here. The next one has no cache.
		next := w.to(r.dir, FanOut)
		next.drain()
		same(t, "commits", len(r.commits("%H")), 4)
		for n, row := range rows {
			row = w.again(row)
			same(t, "status", row.Status, labelsubmission.StatusPUSHED)
			same(t, "commit", *row.CommitSha, pushed.Results[n].SHA)
		}
		same(t, "the file", r.show(FanOut.path(rows[0].Filename)), rows[2].Content)
	})
}

func TestOutbox_ARepositoryThatIsDownLosesNothingAndIsToldOnWhatWaits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		must(t, os.Rename(r.dir, r.dir+".away"))
		r.size = 4 * smallest
		for n := range 600 { // more than a batch
			w.submit(rat(n, 1))
		}
		for _, look := range []bool{true, false, false, false} {
			if more, err := r.step(t.Context(), look); more || !errors.Is(err, labelrepo.ErrUnavailable) {
				t.Fatal(more, err)
			}
		}
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusQUEUED: 600})
		if why := w.all()[0].Failure; why == nil || !strings.Contains(*why, "not available") {
			t.Errorf("the reason is %v", why)
		}
		same(t, "the size of a batch", r.size, 4*smallest/8) // the first look met the fault before a push
		must(t, os.Rename(r.dir+".away", r.dir))
		r.drain()
		same(t, "the size of a batch", r.size, 8*smallest/2) // after 50, 100, 200, and the last 250 of 400
		var want []string
		for _, row := range w.all() {
			want = append(want, fmt.Sprint(row.ID))
			if row.Status != labelsubmission.StatusPUSHED || row.Failure != nil {
				t.Fatalf("got %v", row)
			}
		}
		same(t, "commits", slices.Equal(r.commits("%(trailers:key=Submission-Id,valueonly,separator=%x2C)"), want), true)
	})
}

func TestOutbox_BatchesGrowWhilePushesAreQuickAndShrinkWhenTheyAreSlow(t *testing.T) {
	for _, c := range []struct {
		size, n int
		took    time.Duration
		want    int
	}{
		{usual, usual, time.Second, 2 * usual},
		{usual, usual - 1, time.Second, usual}, // nobody waited for more
		{usual, usual, quick, usual},
		{usual, usual, slow + 1, usual / 2},
		{usual, 1, slow + 1, usual / 2}, // the next may be full
		{largest, largest, time.Second, largest},
		{smallest, smallest, time.Minute, smallest},
		{1, 1, time.Second, 2}, // after a fault
		{1, 1, time.Minute, 1},
	} {
		same(t, fmt.Sprint(c), nextSize(c.size, c.n, c.took), c.want)
	}
}

func TestOutbox_AFaultOfTheServerItselfShowsNoPaths(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	r := w.local(FanOut)
	row := w.submit(rat(1, 1))
	err := r.note(t.Context(), fmt.Errorf("open %s: no space left on device", r.dir))
	if !strings.Contains(err.Error(), r.dir) {
		t.Errorf("the log does not learn of it: %v", err)
	}
	if why := *w.again(row).Failure; strings.Contains(why, "/") || !strings.Contains(why, "log") {
		t.Errorf("everybody reads %q", why)
	}
}

func TestOutbox_NothingOvertakesWhatCouldNotBePushed(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	r := w.remote(FanOut)
	// The hook rejects the batch, breaks off at the first half, and then takes
	// everything.
	r.hook(`echo >> "` + r.dir + `/pushes"
case $(wc -l < "` + r.dir + `/pushes") in 1) exit 1;; 2) kill -9 $PPID;; esac`)
	for n := range 4 {
		w.submit(rat(1, float64(n)))
	}
	if _, err := r.step(t.Context(), true); !errors.Is(err, labelrepo.ErrUnavailable) {
		t.Fatal(err)
	}
	same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusQUEUED: 4})
	r.drain()
	same(t, "the file", r.show(FanOut.path(w.all()[0].Filename)), w.all()[3].Content)
	same(t, "commits", len(r.commits("%H")), 4)
}

func TestRun_BringsWhatComesAndEndsWithItsContext(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := filepath.Join(t.TempDir(), "labels.git")
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- Keep(ctx, w.Service, FanOut, (&logbuffer.Buffer{}).Logger(slog.LevelInfo), false, func(ctx context.Context) (*labelrepo.Repo, error) {
				return labelrepo.Open(ctx, labelrepo.Config{Dir: dir, Committer: service, Clock: w.clock})
			})
		}()
		for n := range 3 {
			receipt, err := w.Submit(w.ana, rat(n, 1), time.Minute)
			must(t, err)
			same(t, "status", receipt.Submission.Status, labelsubmission.StatusPUSHED)
			same(t, "commit", strings.TrimSpace(git(t, dir, "rev-parse", "main")), *receipt.Submission.CommitSha)
		}
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}
