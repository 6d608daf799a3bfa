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

// Pace of the outbox.
const (
	linger      = 5 * time.Millisecond // lets more submissions join a batch: without it half as many get through
	poll        = time.Second          // between looks for what other servers have recorded
	idle        = 30 * time.Second     // between looks for what others pushed
	firstPause  = time.Second
	longestWait = time.Minute

	unusablePause     = time.Hour // a person must change the repository: see labelrepo.ErrUnusable
	longestRetryAfter = time.Hour // of what a host asks for
)

// Sizes of a batch. What a remote checks of a large repository at each push
// costs the remote as much for ten commits as for a thousand. But a push must
// end well before its time is up, and in one flat folder each commit takes the
// longer the more files there are.
const (
	smallest = 100  // of the batches that are slow; a batch that fails is followed by half as many, down to one
	usual    = 1000 // to begin with
	largest  = 2000 // fewer than may wait for one who follows submissions: see package events

	quick = 10 * time.Second // a batch that took less may be followed by a larger one
	slow  = 20 * time.Second // a batch that took more, by a smaller one
)

// nextSize returns how many submissions a batch may have after a batch of n,
// which might have had size and took so long.
func nextSize(size, n int, took time.Duration) int {
	switch {
	case took > slow:
		return max(size/2, min(size, smallest))
	case took < quick && n == size:
		return min(2*size, largest)
	}
	return size
}

// Outbox brings submissions into the label repository, in their order, and
// reads back what others pushed there. One Outbox runs at a time, whatever the
// number of servers.
type Outbox struct {
	labels *Service
	repo   *labelrepo.Repo
	layout Layout
	log    *slog.Logger

	size     int              // how many submissions a batch may have
	maxBytes int              // how long the files of a batch may be together; 0 = any length
	next     pushBatch        // the batch to come, if it is prepared already
	refused  *refusal         // the last refusal of a submission by itself; nil if a submission was taken since
	repeated *repeatedRefusal // while submissions wait because of repeated refusals
	inReach  bool             // whether the last use of the repository met no fault
	readUpTo string           // the commit up to which the repository was read, as the checkpoint says
}

// NewOutbox returns an Outbox that brings the submissions of labels into repo.
func NewOutbox(labels *Service, repo *labelrepo.Repo, layout Layout, log *slog.Logger) *Outbox {
	return &Outbox{labels: labels, repo: repo, layout: layout, log: log, size: usual}
}

// Keep opens the repository and works until ctx ends or something breaks. While
// the repository is damaged, Keep pushes nothing. If the repository cannot be used,
// Keep waits for an hour, and returns. Cache says that the repository
// is a copy of a remote, which brings the copy back.
func Keep(ctx context.Context, labels *Service, layout Layout, log *slog.Logger, cache bool, open func(context.Context) (*labelrepo.Repo, error)) error {
	if !cache {
		if err := NewOutbox(labels, nil, layout, log).hold(ctx); err != nil {
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
		return labels.SetDamage(ctx, err.Error()) // begun again, Keep waits
	}
	return err
}

// Run works until ctx ends, or until the repository on the disk is found to be
// damaged. Run backs off while the repository is out of reach.
func (o *Outbox) Run(ctx context.Context) error {
	defer o.dropNext()
	var refreshed time.Time // when the outbox last asked what others have pushed
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

// pauseAfter returns how long the outbox waits after an error, and after the pause
// before.
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
// records the reason of problem on each submission that arrives.
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

// step pushes one batch. Before the push, step asks the remote what others have
// pushed if refresh is set, and reads that back. step reports whether there may
// be more to push.
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

// queued returns the first submissions that are to be pushed, at most limit, in
// their order: first the submissions of which a push was not answered. While a
// batch is being pushed, queued returns the submissions behind that batch.
func (o *Outbox) queued(ctx context.Context, limit int, pushing []*ent.LabelSubmission) ([]*ent.LabelSubmission, error) {
	last := int64(0)
	for _, row := range pushing {
		last = max(last, row.ID)
	}
	var rows []*ent.LabelSubmission
	// One status at a time, which an index gives in its order. The submissions
	// that are being pushed are the first of the committed ones.
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

// ErrNotEmpty is returned by Rebuild for a repository that has commits.
var ErrNotEmpty = errors.New("the label repository is not empty: give a new one by --labels-repo, or move its folder away")

// Rebuild makes the repository again from the database, in one go. The
// repository must be empty: ErrNotEmpty.
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
