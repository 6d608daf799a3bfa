package labels

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/testing/logbuffer"
)

// keep runs Keep, as a server does that leads, until stop is called.
func (w *world) keep(cfg labelrepo.Config) (logs *logbuffer.Buffer, stop func()) {
	w.t.Helper()
	logs = &logbuffer.Buffer{}
	cfg.Committer, cfg.Clock = service, w.clock
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = Keep(ctx, w.Service, FanOut, logs.Logger(slog.LevelInfo), cfg.Remote != "", func(ctx context.Context) (*labelrepo.Repo, error) {
				return labelrepo.Open(ctx, cfg)
			})
		}
	}()
	return logs, func() {
		cancel()
		<-ended
	}
}

// told waits until a submission says why it waits, and returns that.
func (w *world) told(id int64) string {
	w.t.Helper()
	for {
		row, err := w.db.LabelSubmission.Get(w.t.Context(), id)
		must(w.t, err)
		if row.Status == labelsubmission.StatusPUSHED {
			w.t.Fatal("it was pushed")
		}
		if row.Failure != nil {
			return *row.Failure
		}
		wokenWithin(w.t.Context(), 10*time.Millisecond, nil)
	}
}

func TestKeep_WhileTheRepositoryIsDamagedNothingIsPushedAndEachSubmissionSaysSo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "labels.git")
		cfg := labelrepo.Config{Dir: dir}
		logs, stop := w.keep(cfg)
		defer stop()
		push := func(n int) {
			for row := w.submit(rat(n, 1)); w.again(row).Status != labelsubmission.StatusPUSHED; {
				wokenWithin(t.Context(), 10*time.Millisecond, nil)
			}
		}
		push(0)
		tip := git(t, dir, "rev-parse", "main")

		// Somebody else, such as tagma verify, finds the damage while the server runs.
		must(t, w.SetDamage(t.Context(), "object 0123 is damaged"))
		waiting := w.submit(rat(1, 1))
		if why := w.told(waiting.ID); why != heldReason {
			t.Errorf("the submission says %q", why)
		}
		if !w.Held() {
			t.Error("the server does not say that it pushes nothing")
		}
		same(t, "the tip", git(t, dir, "rev-parse", "main"), tip)
		if said := logs.String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "object 0123") || !strings.Contains(said, "tagma verify --mend") {
			t.Errorf("the log says %s", said)
		}
		// The folder is free for whoever mends.
		_, err := labelrepo.Mend(t.Context(), cfg, labelrepo.MendOptions{Files: w.Written})
		must(t, err)
		must(t, w.ClearDamage(t.Context(), "object 0123 is damaged"))
		push(2)
		same(t, "what waited", w.again(waiting).Status, labelsubmission.StatusPUSHED)
		if w.Held() {
			t.Error("the server still says that it pushes nothing")
		}
	})
}

func TestKeep_DamageThatTheServerMeetsItselfIsNotedAndNoCommitGetsAnotherID(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	r := w.local(FanOut)
	for n := range 4 {
		w.submit(rat(n, 1))
	}
	r.drain()
	must(t, r.repo.Close())
	ids := git(t, r.dir, "rev-list", "main")
	packs, err := filepath.Glob(filepath.Join(r.dir, "objects/pack/*.pack"))
	must(t, err)
	for _, pack := range packs {
		content, err := os.ReadFile(pack)
		must(t, err)
		content[len(content)-40] ^= 4 // of the last commit
		must(t, errors.Join(os.Chmod(pack, 0o600), os.WriteFile(pack, content, 0o600)))
	}
	_, stop := w.keep(labelrepo.Config{Dir: r.dir})
	waiting := w.submit(rat(9, 1))
	if why := w.told(waiting.ID); why != heldReason {
		t.Errorf("the submission says %q", why)
	}
	stop()
	damage, err := w.Damage(t.Context())
	if err != nil || damage == "" {
		t.Errorf("%q is noted, %v", damage, err)
	}
	if _, err := os.Stat(r.dir); err != nil {
		t.Errorf("the repository was moved away: %v", err)
	}
	for n, row := range w.all()[:4] {
		if !strings.Contains(ids, *row.CommitSha) {
			t.Errorf("submission %d says commit %s, which is not in\n%s", n, *row.CommitSha, ids)
		}
	}
}

func TestKeep_ACacheThatSomebodyFindsDamagedIsFetchedAgainAndPushesGoOn(t *testing.T) {
	w := newWorld(t, "sqlite:"+t.TempDir()+"/tagma.db")
	r := w.remote(FanOut)
	_, stop := w.keep(labelrepo.Config{Dir: filepath.Join(t.TempDir(), "cache"), Remote: r.dir})
	defer stop()
	for n := range 2 {
		receipt, err := w.Submit(w.ana, rat(n, 1), time.Minute)
		must(t, err)
		same(t, "status", receipt.Submission.Status, labelsubmission.StatusPUSHED)
		must(t, w.SetDamage(t.Context(), "object 0123 is damaged"))
	}
	for {
		damage, err := w.Damage(t.Context())
		must(t, err)
		if damage == "" {
			break
		}
		wokenWithin(t.Context(), 10*time.Millisecond, nil)
	}
	receipt, err := w.Submit(w.ana, rat(5, 1), time.Minute)
	must(t, err)
	same(t, "status", receipt.Submission.Status, labelsubmission.StatusPUSHED)
	same(t, "commits", len(r.commits("%H")), 3)
}
