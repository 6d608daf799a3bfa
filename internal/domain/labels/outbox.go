package labels

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/predicate"
	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/storage/database"
)

// Pace of the outbox.
const (
	linger      = 5 * time.Millisecond // lets others join a batch: without it half as many get through
	poll        = time.Second          // between looks for what other servers have recorded
	idle        = 30 * time.Second     // between looks for what others pushed
	firstPause  = time.Second
	longestWait = time.Minute
)

// Sizes of a batch. What a remote checks of a large repository at each push
// costs it as much for ten commits as for a thousand. But a push must end well
// before its time is up, and in one flat folder each commit takes the longer
// the more files there are.
const (
	smallest = 100
	usual    = 1000 // to begin with
	largest  = 2000 // fewer than may wait for one who follows submissions: see package events

	quick = 10 * time.Second // a batch that took less may be followed by a larger one
	slow  = 20 * time.Second // one that took more, by a smaller one
)

// nextSize is how many a batch may have after one of n, which might have had
// size and took so long.
func nextSize(size, n int, took time.Duration) int {
	switch {
	case took > slow:
		return max(size/2, smallest)
	case took < quick && n == size:
		return min(2*size, largest)
	}
	return size
}

// Outbox brings submissions into the label repository, in their order, and
// reads back what others pushed there. One runs at a time, whatever the number
// of servers.
type Outbox struct {
	labels *Labels
	repo   *labelrepo.Repo
	layout Layout
	log    *slog.Logger

	size    int       // how many a batch may have
	next    pushBatch // the batch to come, if it is known already
	inReach bool      // whether this outbox has last met with no fault of the repository
	read    string    // how far the repository was read, as the checkpoint says
}

// NewOutbox is the way from labels to the repository.
func NewOutbox(labels *Labels, repo *labelrepo.Repo, layout Layout, log *slog.Logger) *Outbox {
	return &Outbox{labels: labels, repo: repo, layout: layout, log: log, size: usual}
}

// origin is where a submission came from: a person, or a commit of others.
type origin struct {
	by     *int64
	author string
	at     instant.Instant

	// Of a commit of others:
	commit   string
	content  string // the file as it is there
	pushedAt instant.Instant
}

// Run works until ctx ends, or until the repository on the disk is found to be
// damaged. It backs off while the repository is out of reach.
func (o *Outbox) Run(ctx context.Context) error {
	var looked time.Time // when it was last known what others have pushed
	pause := time.Duration(0)
	for ctx.Err() == nil {
		arrivals := o.labels.arrivals.wait()
		look := time.Since(looked) >= idle
		more, err := o.step(ctx, look)
		if look && err == nil {
			looked = time.Now()
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, labelrepo.ErrDamaged):
			return err
		case err != nil:
			looked = time.Time{} // what was pushed may be there although nobody said so
			pause = min(max(2*pause, firstPause), longestWait)
			o.log.WarnContext(ctx, "labels wait for their repository", "error", err, "again in", pause)
			sleep(ctx, pause, nil)
		case more:
			pause = 0
		default:
			pause = 0
			if sleep(ctx, poll, arrivals) {
				sleep(ctx, linger, nil)
			}
		}
	}
	return ctx.Err()
}

// sleep waits, and says whether it was woken before the time.
func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-woken:
		return true
	}
	return false
}

// step pushes one batch, and before that reads back what others pushed, if it
// shall look for it. It says whether there may be more to push.
func (o *Outbox) step(ctx context.Context, look bool) (more bool, err error) {
	if look {
		if _, err := o.repo.Refresh(ctx); err != nil {
			return false, o.note(ctx, err)
		}
	}
	if err := o.readBack(ctx); err != nil {
		return false, err
	}
	batch, err := o.nextBatch(ctx)
	if err != nil || len(batch.rows) == 0 {
		if err == nil && look {
			err = o.reached(ctx)
		}
		return false, err
	}
	began := time.Now()
	if err := o.push(ctx, batch); err != nil {
		o.next = pushBatch{}
		o.size = max(o.size/2, smallest) // it may have been too much at once
		return false, o.note(ctx, err)
	}
	o.size = nextSize(o.size, len(batch.rows), time.Since(began))
	return true, o.reached(ctx)
}

// pushBatch is submissions that go together.
type pushBatch struct {
	rows    []*ent.LabelSubmission
	commits []labelrepo.Commit
}

func (o *Outbox) batchOf(rows []*ent.LabelSubmission) pushBatch {
	commits := make([]labelrepo.Commit, len(rows))
	for n, row := range rows {
		commits[n] = o.commit(row)
	}
	return pushBatch{rows, commits}
}

// nextBatch is the batch to come: that which is ready, or what waits.
func (o *Outbox) nextBatch(ctx context.Context) (pushBatch, error) {
	if next := o.next; len(next.rows) > 0 {
		o.next = pushBatch{}
		return next, nil
	}
	rows, err := o.queued(ctx, o.size, nil)
	return o.batchOf(rows), err
}

// queued gives the first so many of the submissions that are to be pushed, in
// their order: first those of which a push was not answered. If others are being
// pushed now, it gives those behind them.
func (o *Outbox) queued(ctx context.Context, limit int, pushing []*ent.LabelSubmission) ([]*ent.LabelSubmission, error) {
	last := int64(0)
	for _, row := range pushing {
		last = max(last, row.ID)
	}
	var rows []*ent.LabelSubmission
	// One status at a time, which an index gives in its order. Those that are
	// being pushed are the first of the committed ones.
	for _, waiting := range []predicate.LabelSubmission{
		labelsubmission.And(labelsubmission.StatusEQ(labelsubmission.StatusCOMMITTED), labelsubmission.IDGT(last)),
		labelsubmission.StatusEQ(labelsubmission.StatusQUEUED),
	} {
		if len(rows) == limit {
			break
		}
		more, err := o.labels.db.LabelSubmission.Query().Where(waiting).
			Order(labelsubmission.ByID()).Limit(limit - len(rows)).All(ctx)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := o.labels.addVideos(ctx, rows); err != nil {
		return nil, err
	}
	if err := o.labels.addSets(ctx, rows); err != nil {
		return nil, err
	}
	return rows, nil
}

// push brings a batch into the repository. If the repository rejects it, it is
// halved until the submission that it does not take stands alone: that one has
// failed, and the others are not held up.
func (o *Outbox) push(ctx context.Context, batch pushBatch) error {
	var failed error
	results, err := o.repo.Apply(ctx, batch.commits, func() []labelrepo.Commit {
		if failed = o.mark(ctx, batch.rows, labelsubmission.StatusCOMMITTED); failed == nil {
			o.next, failed = o.following(ctx, batch)
		}
		return o.next.commits
	})
	switch half := len(batch.rows) / 2; {
	case errors.Is(err, labelrepo.ErrRejected) && half > 0:
		if err := o.push(ctx, pushBatch{batch.rows[:half], batch.commits[:half]}); err != nil {
			return err // the others wait: nothing may overtake an older revision of its file
		}
		return o.push(ctx, pushBatch{batch.rows[half:], batch.commits[half:]})
	case errors.Is(err, labelrepo.ErrRejected):
		return o.fail(ctx, batch.rows[0], err)
	case err != nil || failed != nil:
		return errors.Join(err, failed)
	}
	if err := o.done(ctx, batch.rows, results); err != nil || o.repo.Base() != o.read {
		return err // what others pushed in between is read in its turn
	}
	o.read = o.repo.Tip()
	return o.labels.setCheckpoint(ctx, readUpToID, o.read)
}

// following is the batch behind one that is being pushed, if so many wait that
// it is as large. Else it is better to see who comes meanwhile.
func (o *Outbox) following(ctx context.Context, batch pushBatch) (pushBatch, error) {
	if len(batch.rows) < o.size {
		return pushBatch{}, nil
	}
	rows, err := o.queued(ctx, o.size, batch.rows)
	if len(rows) < o.size {
		return pushBatch{}, err
	}
	return o.batchOf(rows), err
}

// commit is a submission as a commit.
func (o *Outbox) commit(row *ent.LabelSubmission) labelrepo.Commit {
	return labelrepo.Commit{
		Path:       o.layout.path(row.Filename),
		Content:    row.Content,
		Message:    message(row),
		Author:     identity(row.Author),
		AuthorTime: row.CreatedAt,
	}
}

// identity reads `Name <address>`.
func identity(author string) labelrepo.Identity {
	name, email, _ := strings.Cut(strings.TrimSuffix(author, ">"), " <")
	return labelrepo.Identity{Name: name, Email: email}
}

func (o *Outbox) mark(ctx context.Context, rows []*ent.LabelSubmission, status labelsubmission.Status) error {
	ids, err := o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) { u.SetStatus(status) })
	o.labels.tell(ids...)
	return err
}

// change changes those submissions that still wait, for another server may have
// led meanwhile, and gives the ids of all.
func (o *Outbox) change(ctx context.Context, rows []*ent.LabelSubmission, how func(*ent.LabelSubmissionUpdate)) ([]int64, error) {
	ids := fromEach(rows, func(row *ent.LabelSubmission) int64 { return row.ID })
	update := o.labels.db.LabelSubmission.Update().Where(database.AmongNumbers(labelsubmission.FieldID, ids),
		labelsubmission.StatusIn(labelsubmission.StatusQUEUED, labelsubmission.StatusCOMMITTED))
	how(update)
	return ids, o.labels.db.Write(ctx, func() error { return update.Exec(ctx) })
}

// done records what has reached the repository.
func (o *Outbox) done(ctx context.Context, rows []*ent.LabelSubmission, results []labelrepo.Result) error {
	var ids []int64
	var commits []string
	for n, result := range results {
		if result.Err != nil {
			if err := o.fail(ctx, rows[n], result.Err); err != nil {
				return err
			}
			continue
		}
		ids, commits = append(ids, rows[n].ID), append(commits, result.SHA)
	}
	err := o.pushed(ctx, ids, commits)
	o.labels.settled(ids...)
	return err
}

// pushed records the commits of submissions, in one statement.
func (o *Outbox) pushed(ctx context.Context, ids []int64, commits []string) error {
	query := `UPDATE label_submissions SET status = 'PUSHED', commit_sha = v.sha, pushed_at = $1, failure = NULL `
	var args []any
	if o.labels.db.Dialect == dialect.Postgres {
		query += `FROM unnest($2::bigint[], $3::text[]) v(id, sha) WHERE label_submissions.id = v.id`
		args = []any{int64(o.labels.clock()), pq.Array(ids), pq.Array(commits)}
	} else {
		pairs := make([][2]any, len(ids))
		for n, id := range ids {
			pairs[n] = [2]any{id, commits[n]}
		}
		query += `FROM (SELECT value->>0 AS id, value->>1 AS sha FROM json_each($2)) v WHERE label_submissions.id = v.id`
		args = []any{int64(o.labels.clock()), database.JSON(pairs)}
	}
	return o.labels.db.Write(ctx, func() error {
		_, err := o.labels.db.SQL.ExecContext(ctx, query, args...)
		return err
	})
}

func (o *Outbox) fail(ctx context.Context, row *ent.LabelSubmission, reason error) error {
	err := o.labels.db.Write(ctx, func() error {
		return o.labels.db.LabelSubmission.UpdateOne(row).
			SetStatus(labelsubmission.StatusFAILED).SetFailure(reason.Error()).Exec(ctx)
	})
	o.labels.settled(row.ID)
	return err
}

// Retry queues again what has failed, and says how many that is. What a later
// revision has replaced stays as it is: it would come on top of that.
func (l *Labels) Retry(ctx context.Context) (int, error) {
	n, err := l.db.LabelSubmission.Update().Where(labelsubmission.StatusEQ(labelsubmission.StatusFAILED), func(s *sql.Selector) {
		later := sql.Table(labelsubmission.Table).As("later")
		s.Where(sql.NotExists(sql.Select().From(later).Where(sql.And(
			sql.ColumnsEQ(later.C(labelsubmission.FieldFilename), s.C(labelsubmission.FieldFilename)),
			sql.ColumnsGT(later.C(labelsubmission.FieldRevision), s.C(labelsubmission.FieldRevision)),
			sql.NEQ(later.C(labelsubmission.FieldStatus), labelsubmission.StatusFAILED),
		))))
	}).SetStatus(labelsubmission.StatusQUEUED).ClearFailure().Save(ctx)
	l.arrivals.send()
	return n, err
}

// ErrNotEmpty is Rebuild's for a repository that has commits.
var ErrNotEmpty = errors.New("the label repository is not empty: give a new one by --labels-repo, or move its folder away")

// Rebuild makes the repository again from the database, in one go. It must be
// empty.
func (o *Outbox) Rebuild(ctx context.Context) error {
	tip, err := o.repo.Refresh(ctx)
	if err == nil && tip != "" {
		err = ErrNotEmpty
	}
	if err == nil {
		err = o.labels.forgetDamage(ctx) // what was damaged is no longer there
	}
	if err == nil {
		err = o.startAgain(ctx)
	}
	for more := true; more && err == nil; {
		more, err = o.step(ctx, false)
	}
	return err
}

// heldUpID names the checkpoint that is there while the repository is known to
// be out of reach.
const heldUpID = "labels held up"

// note tells of a fault of the repository on the submissions that wait for it,
// and gives the fault back.
func (o *Outbox) note(ctx context.Context, trouble error) error {
	reason := reasonOf(trouble)
	o.inReach = false
	err := o.labels.setCheckpoint(ctx, heldUpID, reason)
	// All of a batch under way, or its rest would go first.
	rows, failed := o.queued(ctx, largest, nil)
	var ids []int64
	if err = errors.Join(err, failed); err == nil {
		ids, err = o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) {
			u.SetStatus(labelsubmission.StatusQUEUED).SetFailure(reason)
		})
	}
	o.labels.settled(ids...)
	return errors.Join(trouble, err)
}

// reasonOf is a fault in words that everyone may read. Those of package
// labelrepo about the repository are; any other may hold the paths of this
// machine, and is for the log.
func reasonOf(trouble error) string {
	if errors.Is(trouble, labelrepo.ErrDamaged) {
		return heldReason
	}
	for _, known := range []error{labelrepo.ErrUnavailable, labelrepo.ErrAuth, labelrepo.ErrRejected} {
		if errors.Is(trouble, known) {
			return trouble.Error()
		}
	}
	return "the server has a fault of its own, which its log tells; it tries again"
}

// reached notes that the repository is in reach.
func (o *Outbox) reached(ctx context.Context) error {
	if o.inReach {
		return nil
	}
	_, err := o.labels.db.Checkpoint.Delete().Where(checkpoint.ID(heldUpID)).Exec(ctx)
	o.inReach = err == nil
	return err
}

// Keep opens the repository and works until ctx ends or something breaks. While
// the repository is damaged, Keep pushes nothing. Cache says that the repository
// is a copy of a remote, which brings the copy back.
func Keep(ctx context.Context, labels *Labels, layout Layout, log *slog.Logger, cache bool, open func(context.Context) (*labelrepo.Repo, error)) error {
	if !cache {
		if err := NewOutbox(labels, nil, layout, log).hold(ctx); err != nil {
			return err
		}
	}
	repo, err := open(ctx)
	if err == nil {
		if cache {
			err = labels.renew(ctx, repo, log)
		}
		if err == nil {
			err = NewOutbox(labels, repo, layout, log).Run(ctx)
		}
		err = errors.Join(err, repo.Close())
	}
	if errors.Is(err, labelrepo.ErrDamaged) && ctx.Err() == nil {
		return labels.NoteDamage(ctx, err.Error()) // begun again, Keep waits
	}
	return err
}
