package labels

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/video"
	"tagma/internal/storage/database"
)

// entry is a submission that is to be recorded.
type entry struct {
	ctx   context.Context
	s     *Submission
	setID int64 // the version of the label set that it was checked against
	from  origin

	content string // as a file of ours
	kept    string // as it is recorded: as others wrote it, if it is theirs
	found   *found // what was there when it was last looked

	done    chan struct{} // closed when there is a receipt or an error
	receipt *Receipt
	err     error
}

func newEntry(ctx context.Context, s *Submission, setID int64, from origin) (*entry, error) {
	content, err := s.content()
	e := &entry{ctx: ctx, s: s, setID: setID, from: from, content: content, kept: content}
	if from.content != "" {
		e.kept = from.content
	}
	return e, err
}

// record records a submission by itself. What was found of it may be old, or
// older than what others have recorded since: the constraints of the database
// tell, and then it looks again.
func (l *Labels) record(e *entry, old bool) (*Receipt, error) {
	for {
		if old {
			var err error
			if e.found, err = l.look(e.ctx, question{video: e.s.VideoURL, filename: e.s.filename()}); err != nil {
				return nil, err
			}
		}
		receipt, err := l.repeated(e)
		if receipt != nil || err != nil {
			return receipt, err
		}
		err = l.write(e.ctx, []*entry{e})
		if old = database.IsUnique(err); !old {
			return e.receipt, err
		}
	}
}

// repeated is the receipt of a submission that is the last of its file already;
// nil if it is not. If it had failed and is sent again, it is queued again.
func (l *Labels) repeated(e *entry) (*Receipt, error) {
	last := e.found.last
	if last == nil || canonical(last.Content) != e.content {
		return nil, nil //nolint:nilnil // says that there is something to write
	}
	if last.Status == labelsubmission.StatusFAILED && e.from.commit == "" {
		err := l.db.Write(e.ctx, func() error {
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

// write writes new revisions, all or none. Each statement waits for the
// database, and each transaction for the disk: where the videos are there, as
// nearly always, all is one statement.
func (l *Labels) write(ctx context.Context, all []*entry) error {
	for _, e := range all {
		if !e.videoStands() {
			defer l.recent.Clear() // the videos may have other measures then
			return l.db.InTx(ctx, func(tx *ent.Tx) error {
				if err := writeVideos(ctx, tx, all); err != nil {
					return err
				}
				return writeRevisions(ctx, tx.LabelSubmission, all)
			})
		}
	}
	return l.db.Write(ctx, func() error { return writeRevisions(ctx, l.db.LabelSubmission, all) })
}

// videoStands says whether the video is there with the measures that the
// submission gives it.
func (e *entry) videoStands() bool {
	v := e.found.video
	return v != nil && v.TotalFrames == e.s.TotalFrames && v.Fps == e.s.FPS && v.FrameWidth == e.s.FrameWidth && v.FrameHeight == e.s.FrameHeight
}

// writeVideos makes the videos that are not there, and gives them the measures
// of their submissions. It writes no others: those who label one video would
// wait for each other.
func writeVideos(ctx context.Context, tx *ent.Tx, all []*entry) error {
	for _, e := range all {
		if e.videoStands() {
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
		e.found.video = &ent.Video{ID: id}
	}
	return nil
}

func writeRevisions(ctx context.Context, client *ent.LabelSubmissionClient, all []*entry) error {
	creates := make([]*ent.LabelSubmissionCreate, len(all))
	for n, e := range all {
		revision := 1
		if e.found.last != nil {
			revision = e.found.last.Revision + 1
		}
		creates[n] = client.Create().
			SetVideoID(e.found.video.ID).
			SetFrameIndex(e.s.FrameIndex).
			SetTimestamp(e.s.Timestamp).
			SetLabelSetID(e.setID).
			SetFilename(e.s.filename()).
			SetRevision(revision).
			SetContent(e.kept).
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

// crowd is submissions that came while others were being written. They are
// written together, and wait for the disk once: else that is what bounds how
// many get through.
type crowd struct {
	mu      sync.Mutex
	waiting []*entry
	turn    chan struct{} // holds one token while somebody writes for all who wait
}

// mostTogether bounds one statement. Those who write take a power of two: each
// number of rows is another statement, which is planned and then kept by every
// connection.
const mostTogether = 128

var errInterrupted = errors.New("whoever wrote for others did not end")

// recordTogether is record, with others who come at the same time.
func (l *Labels) recordTogether(e *entry) (*Receipt, error) {
	receipt, err := l.repeated(e)
	if receipt != nil || err != nil {
		return receipt, err
	}
	ctx := e.ctx
	e.ctx = context.WithoutCancel(ctx) // nobody's leaving may undo what the others write
	e.done = make(chan struct{})
	l.crowd.mu.Lock()
	l.crowd.waiting = append(l.crowd.waiting, e)
	l.crowd.mu.Unlock()
	for {
		select {
		case <-e.done:
			return e.receipt, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case l.crowd.turn <- struct{}{}:
			l.writeAll()
		}
	}
}

// writeAll writes for those who wait, as one whose turn it is, and ends the
// turn.
func (l *Labels) writeAll() {
	l.crowd.mu.Lock()
	n := min(len(l.crowd.waiting), mostTogether)
	if n > 0 {
		n = 1 << (bits.Len(uint(n)) - 1)
	}
	all := l.crowd.waiting[:n:n]
	l.crowd.waiting = l.crowd.waiting[n:]
	l.crowd.mu.Unlock()
	for _, e := range all {
		e.err = errInterrupted
	}
	defer func() {
		for _, e := range all {
			close(e.done)
		}
		<-l.crowd.turn
	}()
	if n == 0 {
		return
	}
	// In one order, so that servers that write the same files do not wait for
	// each other.
	slices.SortStableFunc(all, func(a, b *entry) int { return strings.Compare(a.s.filename(), b.s.filename()) })
	err := l.write(all[0].ctx, all)
	old := database.IsUnique(err) // what was found of one of them, or guessed
	if old {
		l.surprised.Store(int64(l.clock()))
	}
	for _, e := range all {
		if e.err = err; err != nil { // so that it is told to whom it concerns
			e.receipt, e.err = l.record(e, old)
		}
	}
}
