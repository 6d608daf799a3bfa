package labels

import (
	"context"
	stdsql "database/sql"
	"strings"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/ttlcache"
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
// and time is a new revision of the file. It waits up to so long for the
// repository to have it: see Await.
func (l *Labels) Submit(ctx context.Context, s *Submission, wait time.Duration) (*Receipt, error) {
	c := caller.From(ctx)
	if c == nil {
		return nil, fault.New(fault.Unauthenticated, "sign in to submit labels")
	}
	name := DefaultSet
	if s.LabelSet != nil {
		name = *s.LabelSet
	}
	asked := question{user: c.UserID, labelSet: name, video: s.VideoURL, filename: s.filename()}
	there, now, changes := l.remembered(asked)
	if there == nil || there.check(s, name) != nil {
		var err error
		if there, err = l.look(ctx, asked); err != nil {
			return nil, err
		}
		if err := there.check(s, name); err != nil {
			return nil, err
		}
		l.remember(asked, there, now, changes)
	}
	e, err := newEntry(ctx, s, there.set.ID, origin{by: &c.UserID, author: there.author, at: now})
	if err != nil {
		return nil, err
	}
	e.found = there
	receipt, err := l.recordTogether(e)
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

// check checks a submission against the label set of that name, if it was found.
func (f *found) check(s *Submission, name string) error {
	var problems fault.Problems
	if f.set == nil {
		problems.Add(fault.NotFound, []any{"input", "labelSet"}, "there is no label set %.40q: an admin makes one by createLabelSet", name)
	}
	s.check(&problems, f.definitions)
	return problems.Err()
}

// remembered is what was found a moment ago of what a submission has in common
// with others: all but its file. That there is no such file yet is a guess,
// which the database corrects (see record); where that was wrong of late, as
// when somebody sends a thousand submissions again, nothing is guessed.
func (l *Labels) remembered(q question) (there *found, now instant.Instant, changes int) {
	q.filename = ""
	now = l.clock()
	f, known, changes := l.recent.Get(q, now)
	if !known || now.Sub(instant.Instant(l.surprised.Load())) < ttlcache.TTL {
		return nil, now, changes
	}
	return &f, now, changes
}

// remember keeps what was found for submissions to come. Of a video that is not
// there, the first makes a row, which is worth to be known.
func (l *Labels) remember(q question, there *found, at instant.Instant, changes int) {
	if there.video == nil {
		return
	}
	q.filename = ""
	f := *there
	f.last = nil
	l.recent.Put(q, f, at, changes)
}

// question is what a submission depends on; what is not asked for is left
// empty.
type question struct {
	user            int64
	labelSet        string
	video, filename string
}

// found is what there is of it.
type found struct {
	author      string               // the user as git writes one: Name <address>
	set         *ent.LabelSet        // the last version, its id alone; or nil
	definitions []Definition         // of that
	video       *ent.Video           // its id and measures alone; or nil
	last        *ent.LabelSubmission // the last revision of the file: its id, revision, status and content alone; or nil
}

// lookup is one statement, because on its way to the database and back each
// takes as long as recording the submission does.
const lookup = `SELECT u.username, u.email, s.id, s.labels, v.id, v.total_frames, v.fps, v.frame_width, v.frame_height,
	l.id, l.revision, l.status, l.content
FROM (SELECT 1) one
LEFT JOIN users u ON u.id = $1
LEFT JOIN label_sets s ON s.id = (SELECT id FROM label_sets WHERE name = $2 ORDER BY version DESC LIMIT 1)
LEFT JOIN videos v ON v.url = $3
LEFT JOIN label_submissions l ON l.id = (SELECT id FROM label_submissions WHERE filename = $4 ORDER BY revision DESC LIMIT 1)`

func (l *Labels) look(ctx context.Context, q question) (*found, error) {
	var username, email, status, content stdsql.NullString
	var set, video, last stdsql.Null[int64]
	var labels []byte
	var frames, width, height, revision stdsql.Null[int]
	var fps stdsql.NullFloat64
	err := l.db.SQL.QueryRowContext(ctx, lookup, q.user, q.labelSet, q.video, q.filename).Scan(&username, &email, &set, &labels,
		&video, &frames, &fps, &width, &height, &last, &revision, &status, &content)
	if err != nil {
		return nil, err
	}
	f := &found{author: identityOf(username.String, email.String)}
	if set.Valid {
		f.set = &ent.LabelSet{ID: set.V}
		if f.definitions, err = l.definitionsOf(set.V, labels); err != nil {
			return nil, err
		}
	}
	if video.Valid {
		f.video = &ent.Video{ID: video.V, TotalFrames: frames.V, Fps: fps.Float64, FrameWidth: width.V, FrameHeight: height.V}
	}
	if last.Valid {
		f.last = &ent.LabelSubmission{ID: last.V, Revision: revision.V, Status: labelsubmission.Status(status.String), Content: content.String}
	}
	return f, nil
}

// nobody ends the addresses of users who have none. RFC 2606 keeps the domain
// from being anybody's.
const nobody = "@tagma.invalid"

// identityOf names a user as the author of a commit.
func identityOf(username, email string) string {
	if email == "" {
		email = username + nobody
	}
	return username + " <" + email + ">"
}

// AuthorOf returns the name and the address of a submission's author in the
// commit. The address is nil if the author has none.
func AuthorOf(row *ent.LabelSubmission) (name string, email *string) {
	author := identity(row.Author)
	if author.Email == "" || strings.HasSuffix(author.Email, nobody) {
		return author.Name, nil
	}
	return author.Name, &author.Email
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
