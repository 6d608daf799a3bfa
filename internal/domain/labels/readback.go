package labels

import (
	"context"
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelset"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo"
)

// readSize is how many files are read back between two looks at the database.
const readSize = 500

// readUpToID names the checkpoint that says how far the repository was read.
const readUpToID = "labels"

// readBack reads what the repository has got since the last time: submissions
// of ours whose acknowledgement was lost, and files that others pushed in the
// same form. What it reads twice, as after a crash, is recorded once.
func (o *Outbox) readBack(ctx context.Context) error {
	from, err := o.loadReadUpTo(ctx)
	tip := o.repo.Tip()
	if from != o.readUpTo || from != tip {
		o.dropNext() // the repository may have some of the batch already
	}
	o.readUpTo = from
	switch {
	case err != nil || from == tip:
		return err
	case tip == "":
		return o.startAgain(ctx)
	}
	_, err = o.readFrom(ctx, from)
	if errors.Is(err, labelrepo.ErrRewritten) {
		o.log.WarnContext(ctx, "the history of the label repository was rewritten: it is read from its beginning")
		_, err = o.readFrom(ctx, "")
	}
	if err != nil {
		return err
	}
	o.readUpTo = tip
	return o.labels.setCheckpoint(ctx, readUpToID, tip)
}

// Tally is what reading a repository has found.
type Tally struct {
	Read       int // files, each as one commit left it
	Recorded   int // that were not known
	PassedOver int // that are no submissions
}

// ErrNoSet is returned by Import for a database without the default label set:
// every file that names no other set would be passed over for good.
var ErrNoSet = errors.New("the database has no label set " + DefaultSet + " yet: start the server on it once, which makes the set")

// Import reads the whole history of the repository into the database.
func (o *Outbox) Import(ctx context.Context) (Tally, error) {
	set, err := o.labels.Set(ctx, DefaultSet)
	if err != nil {
		return Tally{}, err
	}
	if set == nil {
		return Tally{}, ErrNoSet
	}
	if _, err := o.repo.Refresh(ctx); err != nil {
		return Tally{}, err
	}
	tip := o.repo.Tip()
	tally, err := o.readFrom(ctx, "")
	if err == nil && tip != "" {
		err = o.labels.setCheckpoint(ctx, readUpToID, tip)
	}
	return tally, err
}

// readFrom takes in what changed since a commit.
func (o *Outbox) readFrom(ctx context.Context, from string) (Tally, error) {
	var tally Tally
	part := make([]labelrepo.File, 0, readSize)
	for f, err := range o.repo.Changes(ctx, from, Folder) {
		if err != nil {
			return tally, o.repo.Heal(ctx, err)
		}
		if part = append(part, f); len(part) == readSize {
			if err := o.take(ctx, part, &tally); err != nil {
				return tally, err
			}
			part = part[:0]
		}
	}
	return tally, o.take(ctx, part, &tally)
}

// startAgain queues everything, because a repository that held it is empty:
// another one, or one that was lost.
func (o *Outbox) startAgain(ctx context.Context) error {
	o.log.WarnContext(ctx, "the label repository is empty: it is made again from the database")
	return o.labels.db.InTx(ctx, func(tx *ent.Tx) error {
		err := tx.LabelSubmission.Update().Where(labelsubmission.StatusEQ(labelsubmission.StatusPUSHED)).
			SetStatus(labelsubmission.StatusQUEUED).ClearCommitSha().ClearPushedAt().Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Checkpoint.Delete().Where(checkpoint.ID(readUpToID)).Exec(ctx)
		return err
	})
}

// take takes in files, each as one commit left it.
func (o *Outbox) take(ctx context.Context, files []labelrepo.File, tally *Tally) error {
	var ids []int64
	for _, f := range files {
		if id, ok := submissionID(f.Message); ok {
			ids = append(ids, id)
		}
	}
	ours, err := o.labels.SubmissionsByID(ctx, ids)
	if err != nil {
		return err
	}
	var arrived []*ent.LabelSubmission
	var commits []labelrepo.Result
	for _, f := range files {
		tally.Read++
		if id, ok := submissionID(f.Message); ok && ours[id] != nil && ours[id].Content == string(f.Content) {
			if ours[id].CommitSha == nil || *ours[id].CommitSha != f.SHA { // else it is known
				arrived, commits = append(arrived, ours[id]), append(commits, labelrepo.Result{SHA: f.SHA})
			}
			continue
		}
		if err := o.adopt(ctx, f, tally); err != nil {
			return err
		}
	}
	if len(arrived) == 0 {
		return nil
	}
	return o.done(ctx, arrived, commits)
}

// adopt records a file that others pushed. One that is not a submission is
// passed over, and the log says so.
func (o *Outbox) adopt(ctx context.Context, f labelrepo.File, tally *Tally) error {
	name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	if f.Removed {
		return nil
	}
	if !filenameForm.MatchString(name) {
		tally.PassedOver++
		return nil
	}
	set, err := o.labels.setOfCommit(ctx, f.Message)
	if err != nil {
		return err
	}
	s, err := judge(name, f.Content, set)
	if err != nil {
		o.log.WarnContext(ctx, "a file in the label repository is passed over", "path", f.Path, "commit", f.SHA, "why", err)
		tally.PassedOver++
		return nil
	}
	receipt, err := o.labels.adopt(ctx, s, set, origin{
		author:   strings.ReplaceAll(f.Author.Name+" <"+f.Author.Email+">", "\x00", ""), // which PostgreSQL does not take
		at:       min(f.AuthorTime, latest),
		commit:   f.SHA,
		content:  string(f.Content),
		pushedAt: min(f.CommitTime, latest),
	})
	if err == nil && receipt.Outcome == Accepted {
		tally.Recorded++
		o.labels.tell(receipt.Submission.ID)
	}
	return err
}

// adopt records a submission of others, be it known already as another revision
// than the last: histories are read again.
func (l *Labels) adopt(ctx context.Context, s *Submission, set *ent.LabelSet, from origin) (*Receipt, error) {
	known, err := l.db.LabelSubmission.Query().Where(
		labelsubmission.Filename(s.filename()), labelsubmission.Content(from.content), labelsubmission.CreatedAt(from.at),
	).Exist(ctx)
	if known || err != nil {
		return &Receipt{Outcome: NoChange}, err
	}
	e, err := newEntry(ctx, s, set.ID, from)
	if err == nil {
		e.found, err = l.look(ctx, question{video: s.VideoURL, filename: s.filename()})
	}
	if err != nil {
		return nil, err
	}
	return l.record(e, false)
}

// latest is the last moment that can be written: git counts on.
const latest = instant.Instant(253402300799999) // 9999-12-31T23:59:59.999Z

// setOfCommit is the label set that a commit's message names, in the version
// that it names if that is there; else its last version.
func (l *Labels) setOfCommit(ctx context.Context, message string) (*ent.LabelSet, error) {
	name, version := labelSetOf(message)
	found, err := l.db.LabelSet.Query().Where(labelset.Name(name), labelset.Version(version)).Only(ctx)
	if ent.IsNotFound(err) {
		return l.Set(ctx, name)
	}
	return found, err
}

// longestFile bounds what is adopted, in bytes. A submission has a few kB.
const longestFile = 1 << 20

// judge says whether a file is a submission by the rules.
func judge(name string, content []byte, set *ent.LabelSet) (*Submission, error) {
	if len(content) > longestFile || !utf8.Valid(content) {
		return nil, errors.New("it is longer than 1 MiB, or not UTF-8")
	}
	s, err := parseNamed(name, content)
	if err != nil {
		return nil, err
	}
	if s.filename() != name {
		return nil, errors.New("its name is not that of its content: " + s.filename())
	}
	if s.TotalFrames > math.MaxInt32 || s.FrameWidth > math.MaxInt32 || s.FrameHeight > math.MaxInt32 {
		return nil, errors.New("it has a number of more than 32 bits")
	}
	if set == nil {
		return nil, errors.New("its label set is not known")
	}
	definitions, err := Definitions(set)
	if err != nil {
		return nil, err
	}
	var problems fault.Problems
	s.check(&problems, definitions)
	return s, problems.Err()
}

// loadReadUpTo returns how far the repository was read. The error is ErrDamaged if
// somebody has found the repository damaged.
func (o *Outbox) loadReadUpTo(ctx context.Context) (string, error) {
	values, err := o.labels.checkpoints(ctx, readUpToID, damageID)
	if damage := values[damageID]; err == nil && damage != "" {
		err = errNoted(damage)
	}
	return values[readUpToID], err
}

func (l *Labels) setCheckpoint(ctx context.Context, id, value string) error {
	return l.db.Write(ctx, func() error {
		return l.db.Checkpoint.Create().SetID(id).SetValue(value).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID)).UpdateNewValues().Exec(ctx)
	})
}
