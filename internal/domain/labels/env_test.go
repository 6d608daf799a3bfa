package labels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/storage/database"
	"tagma/internal/testing/logbuffer"
	"tagma/internal/testing/testenv"
)

// noon is when the clock of these tests begins. Each look at it takes a second.
var noon, _ = instant.Parse("2024-05-01T12:00:00Z")

// world is labels on a new database.
type world struct {
	*Service
	t          *testing.T
	address    string // of the database
	statements statementLog
	ana, ben   context.Context // two who submit

	mu  sync.Mutex
	now instant.Instant
}

// statementLog is the statements that were sent.
type statementLog struct {
	mu     sync.Mutex
	all    []string
	onEach func(n int) // if set, is told how many there were
}

// tell sets who is told of each.
func (l *statementLog) tell(onEach func(n int)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onEach = onEach
}

func (l *statementLog) add(_ context.Context, query string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, query)
	if l.onEach != nil {
		l.onEach(len(l.all))
	}
}

func (l *statementLog) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// of is how many statements do sends.
func (l *statementLog) of(do func()) int {
	before := l.count()
	do()
	return l.count() - before
}

// each runs a test on both databases.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db")))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		test(t, newWorld(t, testenv.Postgres(t)))
	})
}

func newWorld(t *testing.T, address string) *world {
	t.Helper()
	w := &world{t: t, now: noon, address: address}
	db, err := database.Open(t.Context(), address, database.Options{Observe: w.statements.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.Service = New(db, w.clock, page.Limits{Default: 50, Max: 1000})
	must(t, w.Ensure(t.Context()))
	ana := db.User.Create().SetUsername("ana").SetEmail("ana@example.org").SetRole(caller.Writer).SetPasswordHash("").SetCreatedAt(noon).SaveX(t.Context())
	ben := db.User.Create().SetUsername("ben").SetRole(caller.Writer).SetPasswordHash("").SetCreatedAt(noon).SaveX(t.Context())
	w.ana = caller.With(t.Context(), &caller.Caller{UserID: ana.ID, Role: caller.Writer})
	w.ben = caller.With(t.Context(), &caller.Caller{UserID: ben.ID, Role: caller.Writer})
	return w
}

func (w *world) clock() instant.Instant {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(time.Second)
	return w.now
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

// rat is labels of a frame with nothing wrong, other ones for another shade.
func rat(frame int, shade float64) *Submission {
	s := &Submission{
		VideoURL: "https://example.org/rat.mp4", FrameIndex: frame, TotalFrames: 1000, FPS: 29.97,
		FrameWidth: 1920, FrameHeight: 1080, Timestamp: noon,
	}
	for n, d := range paws {
		s.Labels = append(s.Labels, Label{ID: d.ID, Name: d.Name, Placed: true, PixelX: ptr(shade + float64(n)), PixelY: ptr(10.5)})
	}
	s.Labels[5].Placed, s.Labels[5].PixelX, s.Labels[5].PixelY = false, nil, nil
	return s
}

// submit submits without waiting, by Ana.
func (w *world) submit(s *Submission) *ent.LabelSubmission {
	w.t.Helper()
	receipt, err := w.Submit(w.ana, s, 0)
	must(w.t, err)
	return receipt.Submission
}

// all is every submission, as they came.
func (w *world) all() []*ent.LabelSubmission {
	w.t.Helper()
	rows, err := w.db.LabelSubmission.Query().Order(labelsubmission.ByID()).All(w.t.Context())
	must(w.t, err)
	return rows
}

func (w *world) again(s *ent.LabelSubmission) *ent.LabelSubmission {
	w.t.Helper()
	row, err := w.db.LabelSubmission.Get(w.t.Context(), s.ID)
	must(w.t, err)
	return row
}

// statuses is how many submissions have which status.
func (w *world) statuses() map[labelsubmission.Status]int {
	w.t.Helper()
	n := map[labelsubmission.Status]int{}
	for _, row := range w.all() {
		n[row.Status]++
	}
	return n
}

// problems are the paths of what is wrong by err, sorted.
func problems(t testing.TB, err error) []string {
	t.Helper()
	known, ok := errors.AsType[*fault.Error](err)
	if !ok {
		t.Fatalf("%v is not for a caller", err)
	}
	var paths []string
	for _, p := range known.Problems {
		if p.Message == "" || p.Code == "" {
			t.Errorf("%v says nothing", p)
		}
		paths = append(paths, strings.Join(p.Path, "."))
	}
	slices.Sort(paths)
	return paths
}

func same[T any](t testing.TB, what string, got, want T) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// Git.

var service = labelrepo.Identity{Name: "Tagma", Email: "tagma@example.org"}

// git runs the real git in dir, in the name of somebody else.
func git(t testing.TB, dir string, args ...string) string {
	t.Helper()
	return gitAs(t, dir, nil, args...)
}

func gitAs(t testing.TB, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "FILTER_BRANCH_SQUELCH_WARNING=1",
		"GIT_AUTHOR_NAME=Foreign", "GIT_AUTHOR_EMAIL=f@example.org", "GIT_COMMITTER_NAME=Foreign", "GIT_COMMITTER_EMAIL=f@example.org"), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// remote is a bare repository that others see, with the outbox that leads
// there.
type remote struct {
	*Outbox
	t    *testing.T
	dir  string
	logs *logbuffer.Buffer
}

// local is an outbox whose repository is the final one.
func (w *world) local(layout Layout) *remote {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "labels.git")
	return w.open(labelrepo.Config{Dir: dir}, dir, layout)
}

// remote is an outbox to a repository on a path, which the ordinary git serves.
func (w *world) remote(layout Layout) *remote {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "remote.git")
	git(w.t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	git(w.t, dir, "config", "receive.fsckObjects", "true")
	return w.to(dir, layout)
}

// to is an outbox to a repository that is there.
func (w *world) to(dir string, layout Layout) *remote {
	w.t.Helper()
	return w.open(labelrepo.Config{Dir: filepath.Join(w.t.TempDir(), "cache"), Remote: dir}, dir, layout)
}

func (w *world) open(cfg labelrepo.Config, dir string, layout Layout) *remote {
	w.t.Helper()
	r := &remote{t: w.t, dir: dir, logs: &logbuffer.Buffer{}}
	cfg.Committer, cfg.Clock, cfg.Log = service, w.clock, r.logs.Logger(slog.LevelInfo)
	cfg.RecheckDelay = time.Millisecond
	repo, err := labelrepo.Open(w.t.Context(), cfg)
	must(w.t, err)
	w.t.Cleanup(func() { _ = repo.Close() })
	r.Outbox = NewOutbox(w.Service, repo, layout, r.logs.Logger(slog.LevelInfo))
	return r
}

// drain steps until nothing is left to do.
func (r *remote) drain() {
	r.t.Helper()
	for {
		more, err := r.step(r.t.Context(), true)
		must(r.t, err)
		if !more {
			return
		}
	}
}

// commits are the subjects of the commits, the oldest first.
func (r *remote) commits(format string) []string {
	r.t.Helper()
	return strings.Split(strings.TrimSpace(git(r.t, r.dir, "log", "--reverse", "--topo-order", "--format="+format, "main")), "\n")
}

func (r *remote) show(path string) string {
	r.t.Helper()
	return git(r.t, r.dir, "show", "main:"+path)
}

// hook gives the repository a pre-receive hook.
func (r *remote) hook(script string) {
	r.t.Helper()
	must(r.t, os.WriteFile(filepath.Join(r.dir, "hooks", "pre-receive"), []byte("#!/bin/sh\n"+script), 0o700))
}

// foreigner works on the repository with an ordinary git.
type foreigner struct {
	t    *testing.T
	work string
}

func (r *remote) foreigner() *foreigner {
	r.t.Helper()
	work := filepath.Join(r.t.TempDir(), "work")
	git(r.t, "", "clone", "--quiet", r.dir, work)
	return &foreigner{r.t, work}
}

// push commits files, by Eva at that moment, and pushes them.
func (f *foreigner) push(at instant.Instant, message string, files map[string]string) {
	f.t.Helper()
	if strings.Contains(git(f.t, f.work, "ls-remote", "origin"), "refs/heads/main") {
		git(f.t, f.work, "pull", "--quiet", "--rebase", "origin", "main")
	}
	for path, content := range files {
		full := filepath.Join(f.work, path)
		must(f.t, os.MkdirAll(filepath.Dir(full), 0o700))
		must(f.t, os.WriteFile(full, []byte(content), 0o600))
		git(f.t, f.work, "add", path)
	}
	when := strconv.FormatInt(at.Time().Unix(), 10) + " +0200"
	gitAs(f.t, f.work, []string{"GIT_AUTHOR_NAME=Eva Berg", "GIT_AUTHOR_EMAIL=eva@example.org", "GIT_AUTHOR_DATE=" + when, "GIT_COMMITTER_DATE=" + when},
		"commit", "--quiet", "--allow-empty", "-m", message)
	git(f.t, f.work, "push", "--quiet", "origin", "HEAD:main")
}
