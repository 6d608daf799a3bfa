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

// origin is the source of a submission: a person who calls Submit, or a foreign
// commit. A foreign commit was not made by an Outbox of this database.
type origin struct {
	by     *int64
	author string
	at     instant.Instant

	// The following fields are set only for a foreign commit.
	commit   string
	content  string // the file after the commit
	pushedAt instant.Instant
}

// pushBatch is the submissions of one push, with their commits.
type pushBatch struct {
	rows    []*ent.LabelSubmission
	commits *labelrepo.Batch
}

// prepare returns a batch of the submissions in rows. The commits are built on the
// batch after, or on the tip if after is nil.
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

// takeBatch returns the batch to push: the prepared batch, or a new batch of waiting
// submissions. If no submission waits, the batch has no rows.
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

// prepareNext prepares the batch after pushing, if enough submissions wait to fill
// both batches. Otherwise prepareNext leaves time for more submissions to arrive.
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

// dropNext discards the prepared batch, if any.
func (o *Outbox) dropNext() {
	if o.next.commits != nil {
		o.next.commits.Discard()
	}
	o.next = pushBatch{}
}

// push pushes a batch, and prepares the next batch at the same time. If the
// repository rejects a batch, or a batch is too large, push halves the batch until
// the refused submission is alone. Then only this submission has failed, and the rest
// of the batch is pushed, unless the refusals are repeated (see repeatedRefusal).
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
		return nil // readBack reads the commits between readUpTo and the batch
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
			return err // the second half waits: no revision may overtake an older revision of the same file
		}
	}
	return nil
}

// commit returns the commit of a submission.
func (o *Outbox) commit(row *ent.LabelSubmission) labelrepo.Commit {
	return labelrepo.Commit{
		Path:       o.layout.path(row.Filename),
		Content:    row.Content,
		Message:    message(row),
		Author:     identity(row.Author),
		AuthorTime: row.CreatedAt,
	}
}

// identity returns the parts of `Name <address>`.
func identity(author string) labelrepo.Identity {
	name, email, _ := strings.Cut(strings.TrimSuffix(author, ">"), " <")
	return labelrepo.Identity{Name: name, Email: email}
}
