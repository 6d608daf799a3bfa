package labels

import (
	"context"
	"errors"
	"slices"
	"strings"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
)

// origin says where a submission came from: a person, or a commit of others.
type origin struct {
	by     *int64
	author string
	at     instant.Instant

	// Of a commit of others:
	commit   string
	content  string // the file as the commit left it
	pushedAt instant.Instant
}

// pushBatch is submissions that are pushed together, with their commits.
type pushBatch struct {
	rows    []*ent.LabelSubmission
	commits *labelrepo.Batch
}

// prepare returns the batch of some submissions, built upon the batch after, or
// upon the tip if after is nil.
func (o *Outbox) prepare(ctx context.Context, rows []*ent.LabelSubmission, after *labelrepo.Batch) (pushBatch, error) {
	if len(rows) == 0 {
		return pushBatch{}, nil
	}
	commits := make([]labelrepo.Commit, len(rows))
	for n, row := range rows {
		commits[n] = o.commit(row)
	}
	batch, err := o.repo.Prepare(ctx, commits, after)
	return pushBatch{rows, batch}, err
}

// takeBatch returns the batch to push: the batch that is prepared already, or
// what waits. Without submissions that wait, the batch has no rows.
func (o *Outbox) takeBatch(ctx context.Context) (pushBatch, error) {
	if next := o.next; len(next.rows) > 0 {
		o.next = pushBatch{}
		return next, nil
	}
	rows, err := o.queued(ctx, o.batchSize(), nil)
	if err == nil && o.repeated != nil {
		err = o.labels.renewAuthors(ctx, rows) // the repository may have refused an address
	}
	if err != nil {
		return pushBatch{}, err
	}
	return o.prepare(ctx, o.withinBytes(rows), nil)
}

// prepareNext prepares the batch behind one that is being pushed, if that many
// submissions wait that both batches are full. Else it is better to see who
// comes in the meantime.
func (o *Outbox) prepareNext(ctx context.Context, pushing pushBatch) error {
	if o.repeated != nil || len(pushing.rows) < o.size {
		return nil
	}
	rows, err := o.queued(ctx, o.size, pushing.rows)
	if err != nil || len(o.withinBytes(rows)) < o.size {
		return err
	}
	o.next, err = o.prepare(ctx, rows, pushing.commits)
	return err
}

// dropNext discards the batch that was prepared ahead, if there is one.
func (o *Outbox) dropNext() {
	if o.next.commits != nil {
		o.next.commits.Discard()
	}
	o.next = pushBatch{}
}

// push brings a batch into the repository, and prepares the next batch while
// this one is sent. If the repository rejects the batch, or finds the batch too
// large, the batch is halved until the submission that the repository does not take
// stands alone: that submission has failed, and the others are not held up, unless
// the refusals are repeated.
func (o *Outbox) push(ctx context.Context, batch pushBatch) error {
	type answer struct {
		pushed labelrepo.PushResult
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		pushed, err := o.repo.Push(ctx, batch.commits)
		answers <- answer{pushed, err}
	}()
	failed := o.mark(ctx, batch.rows, labelsubmission.StatusCOMMITTED)
	if failed == nil {
		failed = o.prepareNext(ctx, batch)
	}
	got := <-answers
	tooLarge := errors.Is(got.err, labelrepo.ErrTooLarge)
	if tooLarge {
		o.maxBytes = max(bytesOf(batch.rows)/2, 1)
	}
	switch refused := tooLarge || errors.Is(got.err, labelrepo.ErrRejected); {
	case refused && len(batch.rows) > 1:
		return o.pushHalves(ctx, batch.rows)
	case refused:
		return o.refuse(ctx, batch.rows[0], got.err)
	case got.err != nil:
		return errors.Join(got.err, failed)
	}
	if slices.ContainsFunc(got.pushed.Results, func(r labelrepo.Result) bool { return r.Changed }) {
		o.accept()
	}
	if err := o.done(ctx, batch.rows, got.pushed.Results); err != nil || failed != nil {
		return errors.Join(err, failed)
	}
	if got.pushed.Base != o.readUpTo {
		return nil // what others pushed in between is read in its turn
	}
	o.readUpTo = got.pushed.Tip
	return o.labels.setCheckpoint(ctx, readUpToID, o.readUpTo)
}

// pushHalves pushes the first half of a batch, and then the second half.
func (o *Outbox) pushHalves(ctx context.Context, rows []*ent.LabelSubmission) error {
	o.dropNext()
	half := len(rows) / 2
	for _, part := range [][]*ent.LabelSubmission{rows[:half], rows[half:]} {
		batch, err := o.prepare(ctx, part, nil)
		if err == nil {
			err = o.push(ctx, batch)
		}
		if err != nil {
			return err // the second half waits: nothing may overtake an older revision of its file
		}
	}
	return nil
}

// commit returns a submission as a commit.
func (o *Outbox) commit(row *ent.LabelSubmission) labelrepo.Commit {
	return labelrepo.Commit{
		Path:       o.layout.path(row.Filename),
		Content:    row.Content,
		Message:    message(row),
		Author:     identity(row.Author),
		AuthorTime: row.CreatedAt,
	}
}

// identity parses `Name <address>`.
func identity(author string) labelrepo.Identity {
	name, email, _ := strings.Cut(strings.TrimSuffix(author, ">"), " <")
	return labelrepo.Identity{Name: name, Email: email}
}
