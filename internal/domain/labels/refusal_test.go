package labels

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/testing/githost"
)

// host is an outbox to a repository behind HTTP.
func (w *world) host() (*githost.Host, *remote) {
	w.t.Helper()
	h, err := githost.Start(filepath.Join(w.t.TempDir(), "labels.git"))
	must(w.t, err)
	w.t.Cleanup(h.Down)
	return h, w.open(labelrepo.Config{
		Dir: filepath.Join(w.t.TempDir(), "cache"), Remote: h.Address(),
		Credentials: labelrepo.Credentials{Username: githost.User, Token: githost.Token},
	}, h.Dir, FanOut)
}

// mustRepeat steps once, and fails the test unless the outbox waits because of
// repeated refusals.
func (r *remote) mustRepeat() {
	r.t.Helper()
	more, err := r.step(r.t.Context(), true)
	repeated, ok := errors.AsType[*repeatedRefusal](err)
	if more || !ok {
		r.t.Fatalf("step: got %v, %v, want a repeated refusal", more, err)
	}
	same(r.t, "the pause after a repeated refusal", pauseAfter(repeated, 0), time.Minute)
}

func TestOutbox_RefusalsOfDifferentFilesInTheSameWordsHoldTheQueue(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		r.hook("while read old new ref; do echo \"$(git show --format= --name-only $new | tail -n 1) of $new: the branch is protected\" >&2; done; exit 1\n")
		for n := range 40 {
			w.submit(rat(n, 1))
		}
		counts := func(failed int) {
			t.Helper()
			same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusFAILED: failed, labelsubmission.StatusQUEUED: 40 - failed})
		}
		r.mustRepeat()
		counts(2)
		for n := range 3 { // each try takes the next submission
			r.mustRepeat()
			counts(3 + n)
		}
		for n, row := range w.all() {
			if row.Failure == nil || !strings.Contains(*row.Failure, "the branch is protected") || strings.Contains(*row.Failure, "one submission is tried each minute") != (n >= 5) {
				t.Fatalf("submission %d: got the failure %v, want the words of the hook, and of those that wait the reason", n, *row.Failure)
			}
		}
		r.hook("exit 0\n")
		r.drain()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusFAILED: 5, labelsubmission.StatusPUSHED: 35})
		// The wait is over: a refusal is the first of its words again.
		r.hook("echo 'the branch is protected' >&2; exit 1\n")
		w.submit(rat(50, 1))
		r.drain()
		r.hook("exit 0\n")
		w.submit(rat(51, 1))
		r.drain()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusFAILED: 6, labelsubmission.StatusPUSHED: 36})
	})
}

func TestOutbox_RefusalsInOtherWordsOrOfOneFileHoldNothing(t *testing.T) {
	for name, c := range map[string]struct {
		hook  string
		frame func(n int) int
	}{
		"in other words": {`while read old new ref; do git log -1 --format=%B $new | grep frame_index >&2; done; exit 1`, func(n int) int { return n }},
		"of one file":    {`echo "the branch is protected" >&2; exit 1`, func(int) int { return 1 }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
			r := w.remote(FanOut)
			r.hook(c.hook)
			for n := range 4 {
				w.submit(rat(c.frame(n), float64(n)))
			}
			r.drain()
			same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusFAILED: 4})
		})
	}
}

// mesh is labels with so many points that the pack is long.
func mesh(frame int) *Submission {
	s := rat(frame, 1)
	s.LabelSet, s.Labels = ptr("mesh"), nil
	for n := range 300 {
		s.Labels = append(s.Labels, Label{ID: fmt.Sprint("p", n), Name: fmt.Sprint("Point ", n), Placed: true, PixelX: ptr(rand.Float64() * 1000), PixelY: ptr(rand.Float64() * 1000)})
	}
	return s
}

func TestOutbox_BatchesShrinkToOneUntilTheHostTakesThem(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	h, r := w.host()
	var definitions []Definition
	for n := range 300 {
		definitions = append(definitions, Definition{fmt.Sprint("p", n), fmt.Sprint("Point ", n)})
	}
	_, err := w.CreateSet(t.Context(), "mesh", definitions)
	must(t, err)
	for n := range 12 {
		w.submit(mesh(n))
	}
	h.SetMaxBody(15_000) // one of the large ones, or some of the others
	r.drain()
	same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 12})
	eachOnce(t, w, r)
	before := h.Requests()
	for n := range 6 {
		w.submit(mesh(100 + n))
	}
	r.drain()
	if n := h.Requests() - before; n > 2*6+2 {
		t.Errorf("got %d requests for 6 more submissions, want no batch that is too large again", n)
	}
	// What is too large by itself is given up on, and no other.
	h.SetMaxBody(2_000)
	w.submit(mesh(200))
	w.submit(rat(201, 1))
	r.drain()
	rows := w.all()
	last := rows[len(rows)-2]
	if last.Status != labelsubmission.StatusFAILED || !strings.Contains(*last.Failure, "413") {
		t.Errorf("too large by itself: got %v, want FAILED because of 413", last)
	}
	same(t, "the one behind", rows[len(rows)-1].Status, labelsubmission.StatusPUSHED)
}

func TestOutbox_AnUnpackThatFailsHalvesTheBatchDownToOne(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	h, r := w.host()
	h.SetReporter(func(func()) []string {
		return []string{"unpack index-pack abnormal exit", "ng refs/heads/main unpacker error"}
	})
	for n := range 9 {
		w.submit(rat(n, 1))
	}
	for _, want := range []int{4, 2, 1, 1} {
		if _, err := r.step(t.Context(), true); !errors.Is(err, labelrepo.ErrUnavailable) {
			t.Fatalf("step: got %v, want ErrUnavailable", err)
		}
		same(t, "the size of the next batch", r.size, want)
	}
	h.SetReporter(nil)
	r.drain()
	eachOnce(t, w, r)
}

func TestOutbox_ThePauseThatAHostAsksForIsKept(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	h, r := w.host()
	w.submit(rat(1, 1))
	for value, want := range map[string]time.Duration{"120": 2 * time.Minute, "999999": time.Hour, "0": time.Second, "": time.Second} {
		h.SetFault(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", value)
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		_, err := r.step(t.Context(), true)
		same(t, "the pause after Retry-After "+value, pauseAfter(err, 0), want)
	}
	h.SetFault(nil)
	r.drain()
	eachOnce(t, w, r)
}

func TestKeep_ARepositoryThatCannotBeUsedIsToldOnceAndNotTriedAgainAndAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, open := range map[string]func(dir string) labelrepo.Config{
			"a remote": func(dir string) labelrepo.Config {
				return labelrepo.Config{Dir: filepath.Join(t.TempDir(), "cache"), Remote: dir}
			},
			"the folder itself": func(dir string) labelrepo.Config { return labelrepo.Config{Dir: dir} },
		} {
			dir := filepath.Join(t.TempDir(), "labels.git")
			git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", dir)
			logs, stop := w.keep(open(dir))
			for n := range 3 {
				s := rat(n, float64(len(name)))
				receipt, err := w.Submit(w.ana, s, 0)
				must(t, err)
				if why := w.told(receipt.Submission.ID); !strings.Contains(why, "uses SHA-256") || strings.Contains(why, "malformed") {
					t.Errorf("%s: submission %d: got the failure %q, want the kind of the repository", name, n, why)
				}
			}
			stop()
			if n := strings.Count(logs.String(), "labels wait for their repository"); n != 1 {
				t.Errorf("%s: got %d lines in the log, want 1:\n%s", name, n, logs)
			}
			w.db.LabelSubmission.Delete().ExecX(t.Context())
		}
	})
}

func TestRetry_TheCommitHasThePresentAddressOfTheAuthor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		r.hook(`while read old new ref; do case $(git log -1 --format=%ae $new) in *@lab.example) ;; *) echo "the address of the author is not one of lab.example" >&2; exit 1;; esac; done`)
		for _, again := range []struct {
			how string
			do  func()
		}{
			{"by retry", func() {
				n, err := w.Retry(t.Context())
				must(t, err)
				same(t, "queued again", n, 1)
			}},
			{"by the same submission", func() {
				receipt, err := w.Submit(w.ben, rat(1, float64(len("by the same submission"))), 0)
				must(t, err)
				same(t, "outcome", receipt.Outcome, NoChange)
			}},
		} {
			w.db.User.Update().ClearEmail().ExecX(t.Context())
			receipt, err := w.Submit(w.ben, rat(1, float64(len(again.how))), 0)
			must(t, err)
			row := receipt.Submission
			r.drain()
			same(t, again.how+": before", w.again(row).Status, labelsubmission.StatusFAILED)
			w.db.User.Update().SetEmail("ben@lab.example").ExecX(t.Context())
			again.do()
			r.drain()
			row = w.again(row)
			same(t, again.how, []any{row.Status, row.Author}, []any{labelsubmission.StatusPUSHED, "ben <ben@lab.example>"})
			same(t, again.how+": the author of the commit", strings.TrimSpace(git(t, r.dir, "log", "-1", "--format=%an <%ae>", "main")), row.Author)
		}

		// What waits because of repeated refusals takes the address by itself.
		w.db.User.Update().ClearEmail().ExecX(t.Context())
		for n := range 6 {
			w.submit(rat(20+n, 1))
		}
		r.mustRepeat()
		w.db.User.Update().SetEmail("ana@lab.example").ExecX(t.Context())
		more, err := r.step(t.Context(), true)
		must(t, err)
		same(t, "there is more", more, true)
		r.hook("exit 0\n")
		r.drain()
		same(t, "the submission that was tried", strings.TrimSpace(git(t, r.dir, "log", "-1", "--format=%ae", "main~3")), "ana@lab.example")
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusFAILED: 2, labelsubmission.StatusPUSHED: 6})
	})
}
