package labels

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/user"
	"tagma/ent/generated/video"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/fault"
)

// Outcome is what became of a submission.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "ACCEPTED"
	NoChange Outcome = "NO_CHANGE"
)

// Receipt is the answer to a submission.
type Receipt struct {
	Outcome    Outcome
	Submission *ent.LabelSubmission
}

// Submit checks and records a submission by the caller. When it returns
// without error, the submission survives a crash and will get into the
// repository. The same submission again is NoChange, so that a retry does no
// harm; if it had failed, it is queued again. Other content for the same frame
// and time is a new revision of the file. It waits up to so long for the repository to have it: see Await.
func (l *Labels) Submit(ctx context.Context, s *Submission, wait time.Duration) (*Receipt, error) {
	name := DefaultSet
	if s.LabelSet != nil {
		name = *s.LabelSet
	}
	set, err := l.Set(ctx, name)
	if err != nil {
		return nil, err
	}
	var problems fault.Problems
	var definitions []Definition
	if set == nil {
		problems.Add(fault.NotFound, []any{"input", "labelSet"}, "there is no label set %.40q: an admin makes one by createLabelSet", name)
	} else if definitions, err = Definitions(set); err != nil {
		return nil, err
	}
	s.check(&problems, definitions)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	author, err := l.author(ctx)
	if err != nil {
		return nil, err
	}
	receipt, err := l.recordTogether(ctx, s, set, origin{by: &author.id, author: author.String(), at: l.clock()})
	if err != nil {
		return nil, err
	}
	if receipt.Submission.Status == labelsubmission.StatusQUEUED {
		l.arrivals.send()
		l.tell(receipt.Submission.ID)
	}
	if wait > 0 {
		receipt.Submission, err = l.Await(ctx, receipt.Submission.ID, wait)
	}
	return receipt, err
}

// person is whom a commit names.
type person struct {
	id          int64
	name, email string
}

func (p person) String() string { return p.name + " <" + p.email + ">" }

func (l *Labels) author(ctx context.Context) (person, error) {
	c := caller.From(ctx)
	if c == nil {
		return person{}, fault.New(fault.Unauthenticated, "sign in to submit labels")
	}
	row, err := l.db.User.Query().Where(user.ID(c.UserID)).Select(user.FieldID, user.FieldUsername, user.FieldEmail).Only(ctx)
	if err != nil {
		return person{}, err
	}
	p := person{row.ID, row.Username, row.Username + "@tagma.invalid"} // a name that RFC 2606 keeps from being anybody's
	if row.Email != nil {
		p.email = *row.Email
	}
	return p, nil
}

// record writes a submission, in one transaction.
func (l *Labels) record(ctx context.Context, s *Submission, set *ent.LabelSet, from origin) (*Receipt, error) {
	for {
		var receipt *Receipt
		err := l.db.InTx(ctx, func(tx *ent.Tx) (err error) {
			receipt, err = recordIn(ctx, tx, s, set, from)
			return err
		})
		if !database.IsUnique(err) { // else another has just recorded this file or video: look again
			return receipt, err
		}
	}
}

// recordIn writes a submission in a transaction.
func recordIn(ctx context.Context, tx *ent.Tx, s *Submission, set *ent.LabelSet, from origin) (*Receipt, error) {
	content, err := s.content()
	if err != nil {
		return nil, err
	}
	kept := content
	if from.content != "" {
		kept = from.content
	}
	if known, err := readBefore(ctx, tx, s, kept, from); known || err != nil {
		return &Receipt{Outcome: NoChange}, err
	}
	last, err := tx.LabelSubmission.Query().Where(labelsubmission.Filename(s.filename())).
		Order(labelsubmission.ByRevision(sql.OrderDesc())).First(ctx)
	revision := 1
	switch {
	case ent.IsNotFound(err):
	case err != nil:
		return nil, err
	case canonical(last.Content) == content:
		if last.Status == labelsubmission.StatusFAILED && from.commit == "" {
			last, err = tx.LabelSubmission.UpdateOne(last).SetStatus(labelsubmission.StatusQUEUED).ClearFailure().Save(ctx)
		}
		return &Receipt{Outcome: NoChange, Submission: last}, err
	default:
		revision = last.Revision + 1
	}
	videoID, err := upsertVideo(ctx, tx, s, from)
	if err != nil {
		return nil, err
	}
	create := tx.LabelSubmission.Create().
		SetVideoID(videoID).
		SetFrameIndex(s.FrameIndex).
		SetTimestamp(s.Timestamp).
		SetLabelSetID(set.ID).
		SetFilename(s.filename()).
		SetRevision(revision).
		SetContent(kept).
		SetCreatedAt(from.at).
		SetNillableSubmittedByID(from.by).
		SetAuthor(from.author)
	if from.commit != "" {
		create.SetStatus(labelsubmission.StatusPUSHED).SetCommitSha(from.commit).SetPushedAt(from.pushedAt)
	}
	row, err := create.Save(ctx)
	return &Receipt{Outcome: Accepted, Submission: row}, err
}

// readBefore says whether a file of a commit of others is recorded already, be
// it not as the last revision: histories are read again.
func readBefore(ctx context.Context, tx *ent.Tx, s *Submission, content string, from origin) (bool, error) {
	if from.commit == "" {
		return false, nil
	}
	return tx.LabelSubmission.Query().Where(
		labelsubmission.Filename(s.filename()), labelsubmission.Content(content), labelsubmission.CreatedAt(from.at),
	).Exist(ctx)
}

// upsertVideo makes the video, or gives it the measures of this submission. It
// writes nothing if they are the same: those who label one video would wait for
// each other.
func upsertVideo(ctx context.Context, tx *ent.Tx, s *Submission, from origin) (int64, error) {
	known, err := tx.Video.Query().Where(video.URL(s.VideoURL)).Only(ctx)
	if err == nil && known.TotalFrames == s.TotalFrames && known.Fps == s.FPS && known.FrameWidth == s.FrameWidth && known.FrameHeight == s.FrameHeight {
		return known.ID, nil
	}
	if err != nil && !ent.IsNotFound(err) {
		return 0, err
	}
	err = tx.Video.Create().
		SetURL(s.VideoURL).
		SetHash(videoHash(s.VideoURL)).
		SetTotalFrames(s.TotalFrames).
		SetFps(s.FPS).
		SetFrameWidth(s.FrameWidth).
		SetFrameHeight(s.FrameHeight).
		SetCreatedAt(from.at).
		OnConflict(sql.ConflictColumns(video.FieldURL)).
		Update(func(u *ent.VideoUpsert) {
			u.UpdateTotalFrames().UpdateFps().UpdateFrameWidth().UpdateFrameHeight()
		}).Exec(ctx)
	if err != nil {
		return 0, err
	}
	return tx.Video.Query().Where(video.URL(s.VideoURL)).OnlyID(ctx)
}

// Await waits until a submission has reached the repository or has failed, for
// at most so long, and gives it as it then is. It does not wait while the
// repository is known to be out of reach.
func (l *Labels) Await(ctx context.Context, id int64, longest time.Duration) (*ent.LabelSubmission, error) {
	deadline := time.NewTimer(longest)
	defer deadline.Stop()
	// Another server may be the one that pushes: then only the database tells.
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		news := l.news.wait()
		row, err := l.db.LabelSubmission.Get(ctx, id)
		if err != nil || settled(row) {
			return row, err
		}
		if down, err := l.down(ctx); down || err != nil {
			return row, err
		}
		select {
		case <-news:
		case <-look.C:
		case <-deadline.C:
			return row, nil
		case <-ctx.Done():
			return row, nil
		}
	}
}

// down says whether the repository is known to be out of reach, by whichever
// server pushes.
func (l *Labels) down(ctx context.Context) (bool, error) {
	return l.db.Checkpoint.Query().Where(checkpoint.ID(heldUpID)).Exist(ctx)
}

func settled(row *ent.LabelSubmission) bool {
	return row.Status == labelsubmission.StatusPUSHED || row.Status == labelsubmission.StatusFAILED
}
