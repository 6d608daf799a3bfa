package labels

import (
	"context"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/video"
	"tagma/internal/storage/database"
)

// entry is a submission to record.
type entry struct {
	ctx   context.Context
	s     *Submission
	setID int64 // the version of the label set that validated the submission
	from  origin

	content    string // the canonical form of the file
	rowContent string // the file in the row: of a foreign commit, the file as committed
	lookup     *lookup

	done    chan struct{} // closed when the receipt or the error is set
	receipt *Receipt
	err     error
}

func newEntry(ctx context.Context, s *Submission, setID int64, from origin) (*entry, error) {
	content, err := s.content()
	e := &entry{ctx: ctx, s: s, setID: setID, from: from, content: content, rowContent: s.withTimestampText(content)}
	if from.content != "" {
		e.rowContent = from.content
	}
	return e, err
}

// record records one submission by itself, and returns the receipt. The lookup of the
// entry may be stale, because another request has recorded a revision. Then the
// unique indexes of the database refuse the row, and record looks up again.
func (l *Service) record(e *entry, stale bool) (*Receipt, error) {
	var receipt *Receipt
	err := database.RetryConflict(e.ctx, func() (err error) {
		if stale {
			if e.lookup, err = l.lookUp(e.ctx, lookupKey{video: e.s.VideoURL, filename: e.s.filename()}); err != nil {
				return err
			}
		}
		stale = true // if this try ends in a conflict
		if receipt, err = l.receiptOfRepeat(e); receipt != nil || err != nil {
			return err
		}
		err = l.insert(e.ctx, []*entry{e})
		receipt = e.receipt
		return err
	})
	return receipt, err
}

// receiptOfRepeat returns the receipt of a submission with the content of the file's
// last revision, or nil for new content. If a person sends a failed submission again,
// receiptOfRepeat queues the submission again, as Retry does.
func (l *Service) receiptOfRepeat(e *entry) (*Receipt, error) {
	last := e.lookup.last
	if last == nil || canonical(last.Content) != e.content {
		return nil, nil //nolint:nilnil // says that there is something to write
	}
	if last.Status == labelsubmission.StatusFAILED && e.from.commit == "" {
		row, err := l.db.LabelSubmission.Get(e.ctx, last.ID)
		if err == nil {
			err = l.renewAuthors(e.ctx, []*ent.LabelSubmission{row})
		}
		if err != nil {
			return nil, err
		}
		err = l.db.Write(e.ctx, func() error {
			return l.db.LabelSubmission.Update().Where(labelsubmission.ID(last.ID), labelsubmission.StatusEQ(labelsubmission.StatusFAILED)).
				SetStatus(labelsubmission.StatusQUEUED).ClearFailure().Exec(e.ctx)
		})
		if err != nil {
			return nil, err
		}
	}
	row, err := l.db.LabelSubmission.Get(e.ctx, last.ID)
	return &Receipt{Outcome: NoChange, Submission: row}, err
}

// insert inserts new revisions, all or none. Each statement waits for the database,
// and each transaction for the disk. So insert is one statement if all rows of the
// videos are current, as in nearly every call.
func (l *Service) insert(ctx context.Context, all []*entry) error {
	for _, e := range all {
		if !e.videoIsCurrent() {
			defer l.lookups.Clear() // cached lookups hold the old measures of the videos
			return l.db.InTx(ctx, func(tx *ent.Tx) error {
				if err := upsertVideos(ctx, tx, all); err != nil {
					return err
				}
				return insertRevisions(ctx, tx.LabelSubmission, all)
			})
		}
	}
	return l.db.Write(ctx, func() error { return insertRevisions(ctx, l.db.LabelSubmission, all) })
}

// videoIsCurrent reports whether the video has a row with the measures of the
// submission.
func (e *entry) videoIsCurrent() bool {
	v := e.lookup.video
	return v != nil && v.TotalFrames == e.s.TotalFrames && v.Fps == e.s.FPS && v.FrameWidth == e.s.FrameWidth && v.FrameHeight == e.s.FrameHeight
}

// upsertVideos creates the missing rows of videos, and updates the measures of videos
// to the measures of their submissions. upsertVideos does not write current rows,
// because requests for the same video would wait for each other.
func upsertVideos(ctx context.Context, tx *ent.Tx, all []*entry) error {
	for _, e := range all {
		if e.videoIsCurrent() {
			continue
		}
		err := tx.Video.Create().
			SetURL(e.s.VideoURL).
			SetHash(videoHash(e.s.VideoURL)).
			SetTotalFrames(e.s.TotalFrames).
			SetFps(e.s.FPS).
			SetFrameWidth(e.s.FrameWidth).
			SetFrameHeight(e.s.FrameHeight).
			SetCreatedAt(e.from.at).
			OnConflict(sql.ConflictColumns(video.FieldURL)).
			Update(func(u *ent.VideoUpsert) {
				u.UpdateTotalFrames().UpdateFps().UpdateFrameWidth().UpdateFrameHeight()
			}).Exec(ctx)
		if err != nil {
			return err
		}
		id, err := tx.Video.Query().Where(video.URL(e.s.VideoURL)).OnlyID(ctx)
		if err != nil {
			return err
		}
		e.lookup.video = &ent.Video{ID: id}
	}
	return nil
}

// insertRevisions inserts a row for each entry and sets the receipts of the entries.
func insertRevisions(ctx context.Context, client *ent.LabelSubmissionClient, all []*entry) error {
	creates := make([]*ent.LabelSubmissionCreate, len(all))
	for n, e := range all {
		revision := 1
		if e.lookup.last != nil {
			revision = e.lookup.last.Revision + 1
		}
		creates[n] = client.Create().
			SetVideoID(e.lookup.video.ID).
			SetFrameIndex(e.s.FrameIndex).
			SetTimestamp(e.s.Timestamp).
			SetLabelSetID(e.setID).
			SetFilename(e.s.filename()).
			SetRevision(revision).
			SetContent(e.rowContent).
			SetCreatedAt(e.from.at).
			SetNillableSubmittedByID(e.from.by).
			SetAuthor(e.from.author)
		if e.from.commit != "" {
			creates[n].SetStatus(labelsubmission.StatusPUSHED).SetCommitSha(e.from.commit).SetPushedAt(e.from.pushedAt)
		}
	}
	rows, err := client.CreateBulk(creates...).Save(ctx)
	if err != nil {
		return err
	}
	for n, e := range all {
		e.receipt = &Receipt{Outcome: Accepted, Submission: rows[n]}
	}
	return nil
}
