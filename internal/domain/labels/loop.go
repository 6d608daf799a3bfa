package labels

import (
	"context"
	"errors"
	"log/slog"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/predicate"
	"tagma/internal/domain/labelrepo"
)

// Times between the steps of the outbox.
const (
	linger      = 5 * time.Millisecond // lets more submissions join a batch: throughput is half as large without linger
	poll        = time.Second          // between queries for submissions that other servers recorded
	idle        = 30 * time.Second     // between fetches of commits that other people pushed
	firstPause  = time.Second
	longestWait = time.Minute

	unusablePause     = time.Hour // a person must change the repository: see labelrepo.ErrUnusable
	longestRetryAfter = time.Hour // bounds the Retry-After of a host
)

// Limits of a batch, in submissions. A large batch is cheap for the remote: the
// checks of a push to a large repository cost as much for ten commits as for a
// thousand. But a push must end well before its deadline, and in the flat layout the
// time for one commit grows with the number of files.
const (
	smallest = 100  // slow batches lower the limit no further; failed batches halve the limit, down to one
	usual    = 1000 // the first limit
	largest  = 2000 // less than the rows that can wait for one subscriber: see package events

	quick = 10 * time.Second // a full batch in less time doubles the limit
	slow  = 20 * time.Second // a batch in more time halves the limit
)

// nextSize returns the largest number of submissions in the next batch. size was the
// limit of the last batch, n the number of its submissions, and took the time of the
// push.
func nextSize(size, n int, took time.Duration) int {
	switch {
	case took > slow:
		return max(size/2, min(size, smallest))
	case took < quick && n == size:
		return min(2*size, largest)
	}
	return size
}

// Outbox brings submissions into the label repository, in order, and reads back the
// files that other people pushed. All servers together run one Outbox at a time.
type Outbox struct {
	labels *Service
	repo   *labelrepo.Repo
	layout Layout
	log    *slog.Logger

	size     int              // the largest number of submissions in a batch
	maxBytes int              // the largest size of the files in a batch, in bytes; 0 = any size
	next     pushBatch        // the next batch, if already prepared
	refused  *refusal         // the last refusal of a single submission; nil after the repository took a submission
	repeated *repeatedRefusal // not nil while submissions wait because of repeated refusals
	inReach  bool             // whether the last use of the repository succeeded
	readUpTo string           // the commit up to which the repository was read, as in the checkpoint
}

// NewOutbox returns an Outbox from labels to repo.
func NewOutbox(labels *Service, repo *labelrepo.Repo, layout Layout, log *slog.Logger) *Outbox {
	return &Outbox{labels: labels, repo: repo, layout: layout, log: log, size: usual}
}

// Keep opens the repository and runs an Outbox until ctx ends or an error occurs.
// While the repository is damaged, Keep pushes nothing. If the repository cannot be
// used, Keep waits for an hour, and returns. The caller calls Keep again.
//
// cache says that the repository is a copy of a remote. A damaged copy is fetched
// again.
func Keep(ctx context.Context, labels *Service, layout Layout, log *slog.Logger, cache bool, open func(context.Context) (*labelrepo.Repo, error)) error {
	if !cache {
		if err := NewOutbox(labels, nil, layout, log).waitWhileDamaged(ctx); err != nil {
			return err
		}
	}
	repo, err := open(ctx)
	if errors.Is(err, labelrepo.ErrUnusable) {
		log.ErrorContext(ctx, "labels wait for their repository", "error", err, "again in", unusablePause)
		return NewOutbox(labels, nil, layout, log).waitOut(ctx, unusablePause, err)
	}
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
		return labels.SetDamage(ctx, err.Error()) // the next call of Keep waits
	}
	return err
}

// Run pushes and reads back until ctx ends, or until the repository on the disk
// proves to be damaged. While the repository is out of reach, Run tries again after
// growing pauses.
func (o *Outbox) Run(ctx context.Context) error {
	defer o.dropNext()
	var refreshed time.Time // the time of the last successful Refresh
	pause := time.Duration(0)
	for ctx.Err() == nil {
		arrivals := o.labels.arrivals.wait()
		refresh := time.Since(refreshed) >= idle
		more, err := o.step(ctx, refresh)
		if refresh && err == nil {
			refreshed = time.Now()
		}
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, labelrepo.ErrDamaged):
			return err
		case err != nil:
			refreshed = time.Time{} // a push whose answer was lost may be in the repository
			pause = pauseAfter(err, pause)
			o.log.WarnContext(ctx, "labels wait for their repository", "error", err, "again in", pause)
			if err := o.waitOut(ctx, pause, err); err != nil {
				return err
			}
		case more:
			pause = 0
		default:
			pause = 0
			if wokenWithin(ctx, poll, arrivals) {
				wokenWithin(ctx, linger, nil)
			}
		}
	}
	return ctx.Err()
}

// pauseAfter returns the pause after an error. previous is the pause before the
// failed try.
func pauseAfter(err error, previous time.Duration) time.Duration {
	if errors.Is(err, labelrepo.ErrUnusable) {
		return unusablePause
	}
	if _, ok := errors.AsType[*repeatedRefusal](err); ok {
		return longestWait
	}
	pause := min(max(2*previous, firstPause), longestWait)
	return max(pause, min(labelrepo.RetryAfter(err), longestRetryAfter))
}

// waitOut blocks until pause has passed or ctx ends. During a long pause, waitOut
// records the reason of problem on each waiting submission.
func (o *Outbox) waitOut(ctx context.Context, pause time.Duration, problem error) error {
	if pause < longestWait {
		wokenWithin(ctx, pause, nil)
		return nil
	}
	if err := o.labels.setCheckpoint(ctx, heldUpID, reasonOf(problem)); err != nil {
		return err
	}
	for end := time.Now().Add(pause); ctx.Err() == nil && time.Now().Before(end); {
		arrivals := o.labels.arrivals.wait()
		if err := o.recordWaiting(ctx, reasonOf(problem)); err != nil {
			return err
		}
		wokenWithin(ctx, min(poll, time.Until(end)), arrivals)
	}
	return nil
}

// wokenWithin blocks until d has passed, ctx ends or wake is ready, and reports
// whether wake was ready.
func wokenWithin(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-wake:
		return true
	}
	return false
}

// step pushes one batch, and reports whether more submissions may wait. Before the
// push, step reads back the commits of other people. With refresh, step first fetches
// the commits from the remote.
func (o *Outbox) step(ctx context.Context, refresh bool) (more bool, err error) {
	if refresh {
		if _, err := o.repo.Refresh(ctx); err != nil {
			return false, o.note(ctx, err)
		}
	}
	if err := o.readBack(ctx); err != nil {
		return false, err
	}
	batch, err := o.takeBatch(ctx)
	if err != nil || len(batch.rows) == 0 {
		if err == nil && refresh {
			err = o.reached(ctx)
		}
		return false, err
	}
	start := time.Now()
	if err := o.push(ctx, batch); err != nil {
		o.dropNext()
		if o.repeated == nil {
			o.size = max(len(batch.rows)/2, 1) // the batch may have been too large
		}
		return false, o.note(ctx, err)
	}
	o.size = nextSize(o.size, len(batch.rows), time.Since(start))
	return true, o.reached(ctx)
}

// queued returns the first submissions to push, at most limit, in order. Submissions
// without an answer to their push come first. pushing holds the submissions of a
// running push: queued returns the submissions after pushing.
func (o *Outbox) queued(ctx context.Context, limit int, pushing []*ent.LabelSubmission) ([]*ent.LabelSubmission, error) {
	last := int64(0)
	for _, row := range pushing {
		last = max(last, row.ID)
	}
	var rows []*ent.LabelSubmission
	// One query for each status, because an index returns the submissions of one
	// status in order. The submissions of a running push are the first COMMITTED
	// submissions.
	for _, status := range []predicate.LabelSubmission{
		labelsubmission.And(labelsubmission.StatusEQ(labelsubmission.StatusCOMMITTED), labelsubmission.IDGT(last)),
		labelsubmission.StatusEQ(labelsubmission.StatusQUEUED),
	} {
		if len(rows) == limit {
			break
		}
		more, err := o.labels.db.LabelSubmission.Query().Where(status).
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

// ErrNotEmpty is returned by Rebuild for a repository with commits.
var ErrNotEmpty = errors.New("the label repository is not empty: give a new one by --labels-repo, or move its folder away")

// Rebuild pushes all submissions of the database to an empty repository. For a
// repository with commits, Rebuild returns ErrNotEmpty.
func (o *Outbox) Rebuild(ctx context.Context) error {
	defer o.dropNext()
	tip, err := o.repo.Refresh(ctx)
	if err == nil && tip != "" {
		err = ErrNotEmpty
	}
	if err == nil {
		err = o.labels.clearAnyDamage(ctx) // the damaged repository is gone
	}
	if err == nil {
		err = o.requeueAll(ctx)
	}
	for more := true; more && err == nil; {
		more, err = o.step(ctx, false)
	}
	return err
}
