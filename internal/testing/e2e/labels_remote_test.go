package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
	"tagma/internal/testing/testenv"
)

// withRemote runs a test on both databases, with a remote behind HTTP.
func withRemote(t *testing.T, test func(t *testing.T, s *server, r *remote), args ...string) {
	t.Helper()
	t.Parallel()
	for name, database := range map[string]func(testing.TB) string{"SQLite": func(testing.TB) string { return "" }, "PostgreSQL": testenv.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t)
			test(t, start(t, database(t), append(r.args, args...)...), r)
		})
	}
}

// known waits until it is known that the remote is out of reach, and gives the
// words.
func (c *client) known(within time.Duration) string {
	c.t.Helper()
	var failure *string
	until(c.t, "a submission tells of the fault", within, func() bool {
		for _, status := range []string{"QUEUED", "COMMITTED", "FAILED"} {
			if all := c.submissions(status); len(all) > 0 && all[0].Failure != nil {
				failure = all[0].Failure
				return true
			}
		}
		return false
	})
	return *failure
}

func TestLabels_WhatCameWhileTheRemoteWasDownIsPushedOnceAndInOrder(t *testing.T) {
	const clients, each = 8, 125
	withRemote(t, func(t *testing.T, s *server, r *remote) {
		admin := s.admin()
		r.Down()
		admin.submit(submission(99_999, 1), 0)
		if failure := admin.known(10 * time.Second); !strings.Contains(failure, r.Address()) || !strings.Contains(failure, "refused") {
			t.Errorf("the fault is told as %q", failure)
		}
		took := slices.Concat(together(t, clients, func(c int) ([]time.Duration, error) {
			var took []time.Duration
			for n := range each {
				began := time.Now()
				got, err := admin.trySubmit(submission(c*each+n, 1), 20)
				took = append(took, time.Since(began))
				if err == nil && (got.Outcome != "ACCEPTED" || got.Submission.Status != "QUEUED" && got.Submission.Status != "COMMITTED") {
					err = fmt.Errorf("answered %+v", got)
				}
				if err != nil {
					return nil, err
				}
			}
			return took, nil
		})...)
		slices.Sort(took)
		if slowest := took[len(took)-1]; slowest > 10*time.Second {
			t.Errorf("the slowest answer took %s: it waited for a remote that is down", slowest)
		}
		t.Logf("while the remote is down: median %s, slowest %s", took[len(took)/2], took[len(took)-1])
		if history(t, r.Dir) != nil {
			t.Fatal("something was pushed to a host that was down")
		}
		r.up()
		admin.settle(2 * time.Minute)
		all := admin.submissions("")
		if len(all) != clients*each+1 {
			t.Errorf("%d submissions are kept", len(all))
		}
		pushedOnce(t, r.Dir, all)
		if got := admin.submit(submission(42, 7), 20); got.Submission.Status != "PUSHED" {
			t.Errorf("after the outage a submission is answered %+v", got)
		}
		fsck(t, r.Dir)
	})
}

func TestLabels_AFaultOfTheRemoteIsToldWithoutSecretsAndEndsByItself(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"500":               {githost.Status(500), "500"},
		"hangs":             {githost.Hang, "no answer in time"},
		"wrong credentials": {githost.Status(401), "wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRemote(t)
			r.SetFault(fault.answer)
			s := start(t, "", append(r.args, "--labels-timeout", "1s")...)
			admin := s.admin()
			began := time.Now()
			first := admin.submit(submission(1, 1), 0)
			if first.Submission.Status == "PUSHED" || time.Since(began) > 10*time.Second {
				t.Errorf("the submission is answered %+v after %s", first, time.Since(began))
			}
			failure := admin.known(10 * time.Second)
			if !strings.Contains(failure, fault.want) || !strings.Contains(failure, r.Address()) || len(failure) > 1000 || strings.Contains(failure, "canary") {
				t.Errorf("the fault is told as %q", failure)
			}
			began = time.Now()
			if got := admin.submit(submission(2, 1), 20); got.Submission.Status == "PUSHED" || time.Since(began) > 10*time.Second {
				t.Errorf("a submission that would wait is answered %+v after %s", got, time.Since(began))
			}
			// It is tried again, but not all the time.
			before := r.Requests()
			until(t, "it is tried again", 30*time.Second, func() bool { return r.Requests() > before })
			if tries := strings.Count(s.logs.String(), "labels wait for their repository"); tries > 10 {
				t.Errorf("within seconds it was tried %d times", tries)
			}
			r.SetFault(nil)
			admin.settle(time.Minute)
			pushedOnce(t, r.Dir, admin.submissions(""))
			r.SetFault(fault.answer)
			admin.submit(submission(3, 1), 0)
			began = time.Now()
			s.stop() // in the middle of a try
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("to stop took %s", took)
			}
		})
	}
}

func TestLabels_ABadItemFailsAloneAndIsPushedByRetryOnceItIsTaken(t *testing.T) {
	withRemote(t, func(t *testing.T, s *server, r *remote) {
		admin := s.admin()
		r.hook(`while read old new ref; do
		  if git log --format=%B $([ $old = 0000000000000000000000000000000000000000 ] || echo $old..)$new | grep -q '^frame_index: 13$'; then
		    echo "policy: frame 13 is not taken, ` + githost.Token + `" >&2; exit 1
		  fi
		done`)
		r.Down() // so that all get into one batch
		for n := range 20 {
			admin.submit(submission(n, 1), 0)
		}
		r.up()
		admin.settle(time.Minute)
		failed := admin.submissions("FAILED")
		if len(failed) != 1 || !strings.Contains(failed[0].Filename, "_frame13_") || failed[0].Failure == nil {
			t.Fatalf("failed are %+v", failed)
		}
		if failure := *failed[0].Failure; !strings.Contains(failure, "policy: frame 13 is not taken, ***") || strings.Contains(failure, "canary") {
			t.Errorf("the reason is told as %q", failure)
		}
		pushedOnce(t, r.Dir, admin.submissions("PUSHED"))
		if n := admin.count("PUSHED"); n != 19 {
			t.Errorf("%d are pushed", n)
		}
		if got := admin.submit(submission(13, 1), 20); got.Outcome != "NO_CHANGE" || got.Submission.Status != "FAILED" {
			t.Errorf("the same again is answered %+v", got)
		}

		r.hook("exit 0\n")
		if out, ok := s.labels(t, "retry"); !ok || !strings.Contains(out, "1 submissions are queued again") {
			t.Errorf("retry says %s", out)
		}
		until(t, "it is pushed", time.Minute, func() bool { return admin.count("PUSHED") == 20 })
		last := history(t, r.Dir)[19]
		if !strings.Contains(last.Path, "_frame13_") {
			t.Errorf("the last commit is %+v", last)
		}
		fsck(t, r.Dir)
		s.stop()
		s.verify(t)
	})
}

func TestLabels_AHookThatTakesNothingHoldsTheQueueUntilOneIsTaken(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := start(t, "", r.args...)
	admin := s.admin()
	r.hook("echo 'the branch is protected' >&2; exit 1\n")
	for n := range 2 { // the second is of another file, in the same words
		if got := admin.submit(submission(n, 1), 20); got.Submission.Status != "FAILED" || !strings.Contains(*got.Submission.Failure, "the branch is protected") {
			t.Errorf("submission %d: got %+v, want FAILED in the words of the hook", n, got.Submission)
		}
	}
	for n := range 30 {
		admin.submit(submission(2+n, 1), 0)
	}
	until(t, "those that wait tell why", time.Minute, func() bool {
		queued := admin.submissions("QUEUED")
		return len(queued) > 20 && !slices.ContainsFunc(queued, func(one submitted) bool {
			return one.Failure == nil || !strings.Contains(*one.Failure, "the branch is protected") || !strings.Contains(*one.Failure, "each minute")
		})
	})
	r.hook("exit 0\n")
	until(t, "all others are pushed by themselves", 3*time.Minute, func() bool {
		return admin.count("PUSHED")+admin.count("FAILED") == 32
	})
	if failed := admin.count("FAILED"); failed > 8 { // two, and one each minute
		t.Errorf("failed: got %d, want 2 and at most one for each minute", failed)
	}
	if _, ok := s.labels(t, "retry"); !ok {
		t.Error("retry failed")
	}
	until(t, "all are pushed", time.Minute, func() bool { return admin.count("PUSHED") == 32 })
}

func TestLabels_WhatOthersPushInBetweenIsKeptAndReadBack(t *testing.T) {
	withRemote(t, func(t *testing.T, s *server, r *remote) {
		admin := s.admin()
		admin.submit(submission(0, 1), 20)
		work := gittest.Clone(t, r.Dir)
		original := history(t, r.Dir)[0].Path
		content := func(frame int, x string) map[string]string {
			text := strings.ReplaceAll(strings.ReplaceAll(gittest.Git(t, work, "show", "HEAD:"+original), `"frame_index": 0`, fmt.Sprintf(`"frame_index": %d`, frame)), `"pixel_x": 1,`, `"pixel_x": `+x+`,`)
			return map[string]string{strings.ReplaceAll(original, "_frame0_", fmt.Sprintf("_frame%d_", frame)): text}
		}
		// Another git pushes while submissions come.
		const theirs, ours = 10, 100
		done := make(chan []string)
		go func() {
			var shas []string
			for n := range theirs {
				for tries := 0; ; tries++ { // an ordinary client pulls and pushes again when it is overtaken
					if githost.Push(work, "Ana Ruiz <ana@example.org>", "by hand", content(1000+n, "2")) == nil {
						break
					}
					if tries == 50 {
						t.Error("the other git never gets through")
						close(done)
						return
					}
					_, _ = githost.Git(work, "reset", "--quiet", "--hard", "origin/main")
				}
				sha, _ := githost.Git(work, "rev-parse", "HEAD")
				shas = append(shas, strings.TrimSpace(sha))
			}
			done <- shas
		}()
		for n := range ours {
			admin.submit(submission(1+n, 1), 0)
			if n%20 == 19 {
				admin.submit(submission(1+n, 3), 20)
			}
		}
		shas := <-done
		admin.submit(submission(5000, 1), 20)
		admin.settle(time.Minute)

		commits := history(t, r.Dir)
		for _, sha := range shas {
			if !slices.ContainsFunc(commits, func(c commit) bool { return c.SHA == sha && c.Author == "Ana Ruiz <ana@example.org>" }) {
				t.Errorf("the foreign commit %s is lost", sha)
			}
		}
		if n := len(commits); n != 1+theirs+ours+ours/20+1 {
			t.Errorf("there are %d commits", n)
		}
		if merges := gittest.Git(t, r.Dir, "rev-list", "--merges", "main"); merges != "" {
			t.Errorf("there are merges: %s", merges)
		}
		// They are read back, with author and time, whenever something is pushed.
		var read, own []submitted
		until(t, "what others pushed is read back", time.Minute, func() bool {
			read, own = nil, nil
			for _, one := range admin.submissions("") {
				if one.SubmittedBy == nil {
					read = append(read, one)
				} else {
					own = append(own, one)
				}
			}
			return len(read) == theirs
		})
		pushedOnce(t, r.Dir, own)
		for n, one := range read {
			at := strings.TrimSpace(gittest.Git(t, r.Dir, "show", "--no-patch", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%ad", shas[n]))
			if one.Author != "Ana Ruiz" || one.Status != "PUSHED" || *one.CommitSha != shas[n] || one.CreatedAt[:19] != at[:19] {
				t.Errorf("read back %s by %q of %s, %s, want %s by %q of %s, PUSHED", *one.CommitSha, one.Author, one.CreatedAt, one.Status, shas[n], "Ana Ruiz", at)
			}
		}
		fsck(t, r.Dir)
		s.stop()
		s.verify(t)
	})
}

func TestLabels_AForeignChangeToTheSameFileStaysInHistoryAndOursComesOnTop(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := start(t, "", r.args...)
	admin := s.admin()
	admin.submit(submission(7, 1), 20)
	path := history(t, r.Dir)[0].Path
	work := gittest.Clone(t, r.Dir)
	theirs := foreign(t, work, "by hand", map[string]string{path: strings.Replace(gittest.Git(t, r.Dir, "show", "main:"+path), `"pixel_x": 1,`, `"pixel_x": 2,`, 1)})
	ours := admin.submit(submission(7, 3), 20)
	if ours.Submission.Status != "PUSHED" {
		t.Fatalf("ours is answered %+v", ours.Submission)
	}
	commits := history(t, r.Dir)
	if len(commits) != 3 || commits[1].SHA != theirs || commits[2].SHA != *ours.Submission.CommitSha {
		t.Errorf("the history is %+v", commits)
	}
	if got := gittest.Git(t, r.Dir, "show", "main:"+path); !strings.Contains(got, `"pixel_x": 3,`) {
		t.Errorf("the file is %s", got)
	}
	until(t, "theirs is read back", time.Minute, func() bool { return admin.count("PUSHED") == 3 })
	s.stop()
	s.verify(t)

	// The same, written in another way, is no difference, and no submission.
	s.boot()
	admin = s.admin()
	admin.submit(submission(8, 1), 20)
	path = history(t, r.Dir)[3].Path
	foreign(t, work, "written anew", map[string]string{path: canonical(t, []byte(gittest.Git(t, r.Dir, "show", "main:"+path))) + "\n"})
	if got := admin.submit(submission(9, 1), 20); got.Submission.Status != "PUSHED" {
		t.Errorf("what came after is answered %+v", got.Submission)
	}
	if got := admin.submit(submission(8, 1), 20); got.Outcome != "NO_CHANGE" || admin.count("PUSHED") != 5 {
		t.Errorf("the same again is answered %+v", got)
	}
	s.stop()
	s.verify(t)
}

func TestLabels_ATokenMayComeFromTheEnvironmentAndAnAddressWithOneIsRefused(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	s := startAs(t, &server{args: []string{"--labels-repo", r.Address(), "--labels-username", githost.User}, env: []string{"TAGMA_LABELS_TOKEN=" + githost.Token}})
	if got := s.admin().submit(submission(1, 1), 20); got.Submission.Status != "PUSHED" {
		t.Errorf("the submission is answered %+v", got.Submission)
	}
	for name, address := range map[string]string{
		"user and password":         "https://ana:canary@git.example.org/labels.git",
		"a token":                   "https://canary@git.example.org/labels.git",
		"what is no URL":            "https://ana:canary%zz@git.example.org/labels.git",
		"a query":                   "https://git.example.org/labels.git?access_token=canary",
		"ssh":                       "ssh://git:canary@git.example.org/labels.git",
		"ssh, short":                "git:canary@git.example.org:labels.git",
		"plain HTTP":                "http://git.example.org/labels.git",
		"another scheme":            "ftp://git.example.org/labels.git",
		"a host without a password": "git.example.org:labels.git",
	} {
		data := filepath.Join(t.TempDir(), "data")
		for how, run := range map[string]func() (string, string, bool){
			"flag": func() (string, string, bool) {
				return tagma(t, nil, "--listen", "127.0.0.1:0", "--data", data, "--labels-repo", address)
			},
			"variable": func() (string, string, bool) {
				return tagma(t, []string{"TAGMA_LABELS_REPO=" + address}, "--listen", "127.0.0.1:0", "--data", data)
			},
			"command": func() (string, string, bool) {
				return tagma(t, nil, "labels", "verify", "--data", data, "--labels-repo", address)
			},
		} {
			out, said, ok := run()
			if ok || strings.Contains(out+said, "canary") || !strings.Contains(said, "tagma: --labels-repo: ") {
				t.Errorf("%s, %s: answered %v %q", name, how, ok, out+said)
			}
		}
	}
}
