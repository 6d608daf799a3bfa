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
	"tagma/internal/database"
	"tagma/internal/fault"
	"tagma/internal/instant"
	"tagma/internal/labelrepo"
)

// Pace of the outbox.
const (
	batchSize   = 500
	linger      = 5 * time.Millisecond // lets others join a batch: without it half as many get through
	idle        = 30 * time.Second     // between looks for what others pushed
	firstPause  = time.Second
	longestWait = time.Minute
)

// checkpointID names how far the repository was read.
const checkpointID = "labels"

// Outbox brings submissions into the label repository, in their order, and
// reads back what others pushed there. One runs at a time, whatever the number
// of servers.
type Outbox struct {
	labels *Labels
	repo   *labelrepo.Repo
	layout Layout
	log    *slog.Logger
}

// NewOutbox is the way from labels to the repository.
func NewOutbox(labels *Labels, repo *labelrepo.Repo, layout Layout, log *slog.Logger) *Outbox {
	return &Outbox{labels: labels, repo: repo, layout: layout, log: log}
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

// Run works until ctx ends. It backs off while the repository is out of reach.
func (o *Outbox) Run(ctx context.Context) {
	pause := time.Duration(0)
	for ctx.Err() == nil {
		news := o.labels.news.wait()
		more, err := o.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			pause = min(max(2*pause, firstPause), longestWait)
			o.log.WarnContext(ctx, "labels wait for their repository", "error", err, "again in", pause)
			sleep(ctx, pause, nil)
		case more:
			pause = 0
		default:
			pause = 0
			if sleep(ctx, idle, news) {
				sleep(ctx, linger, nil)
			}
		}
	}
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

// Step reads back what is new in the repository and pushes one batch. It says
// whether there may be more to push.
func (o *Outbox) Step(ctx context.Context) (more bool, err error) {
	if _, err := o.repo.Refresh(ctx); err != nil {
		return false, o.note(ctx, err)
	}
	if err := o.ReadBack(ctx); err != nil {
		return false, err
	}
	rows, err := o.queued(ctx, batchSize)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	if err := o.push(ctx, rows); err != nil {
		return false, o.note(ctx, err)
	}
	return true, nil
}

// queued gives the submissions that are to be pushed, in their order.
func (o *Outbox) queued(ctx context.Context, most int) ([]*ent.LabelSubmission, error) {
	return o.labels.db.LabelSubmission.Query().
		Where(labelsubmission.StatusIn(labelsubmission.StatusQUEUED, labelsubmission.StatusCOMMITTED)).
		Order(labelsubmission.ByID()).WithLabelSet().Limit(most).All(ctx)
}

// push brings a batch into the repository. If the repository rejects it, it is
// halved until the submission that it does not take stands alone: that one has
// failed, and the others are not held up.
func (o *Outbox) push(ctx context.Context, rows []*ent.LabelSubmission) error {
	commits := make([]labelrepo.Commit, len(rows))
	for n, row := range rows {
		commit, err := o.commit(row)
		if err != nil {
			return err
		}
		commits[n] = commit
	}
	if err := o.mark(ctx, rows, labelsubmission.StatusCOMMITTED); err != nil {
		return err
	}
	results, err := o.repo.Apply(ctx, commits)
	switch {
	case errors.Is(err, labelrepo.ErrRejected) && len(rows) > 1:
		half := len(rows) / 2
		return errors.Join(o.push(ctx, rows[:half]), o.push(ctx, rows[half:]))
	case errors.Is(err, labelrepo.ErrRejected):
		return o.fail(ctx, rows[0], err)
	case err != nil:
		return err
	}
	return o.done(ctx, rows, results)
}

// commit is a submission as a commit.
func (o *Outbox) commit(row *ent.LabelSubmission) (labelrepo.Commit, error) {
	s, err := parse([]byte(row.Content))
	if err != nil {
		return labelrepo.Commit{}, err
	}
	set := row.Edges.LabelSet
	return labelrepo.Commit{
		Path:       o.layout.path(row.Filename),
		Content:    []byte(row.Content),
		Message:    message(row.Filename, s, row.CreatedAt, row.ID, set.Name, set.Version),
		Author:     identity(row.Author),
		AuthorTime: row.CreatedAt,
	}, nil
}

// identity reads `Name <address>`.
func identity(author string) labelrepo.Identity {
	name, email, _ := strings.Cut(strings.TrimSuffix(author, ">"), " <")
	return labelrepo.Identity{Name: name, Email: email}
}

func (o *Outbox) mark(ctx context.Context, rows []*ent.LabelSubmission, status labelsubmission.Status) error {
	ids := make([]int64, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	err := o.labels.db.LabelSubmission.Update().Where(database.AmongNumbers(labelsubmission.FieldID, ids)).
		SetStatus(status).ClearFailure().Exec(ctx)
	o.labels.news.send()
	return err
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
	o.labels.news.send()
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
	_, err := o.labels.db.SQL.ExecContext(ctx, query, args...)
	return err
}

func (o *Outbox) fail(ctx context.Context, row *ent.LabelSubmission, reason error) error {
	err := o.labels.db.LabelSubmission.UpdateOne(row).
		SetStatus(labelsubmission.StatusFAILED).SetFailure(reason.Error()).Exec(ctx)
	o.labels.news.send()
	return err
}

// note tells of a fault of the repository on the submissions that wait for it,
// and gives the fault back.
func (o *Outbox) note(ctx context.Context, trouble error) error {
	rows, err := o.queued(ctx, batchSize)
	if err == nil {
		ids := make([]int64, len(rows))
		for n, row := range rows {
			ids[n] = row.ID
		}
		err = o.labels.db.LabelSubmission.Update().Where(database.AmongNumbers(labelsubmission.FieldID, ids)).
			SetStatus(labelsubmission.StatusQUEUED).SetFailure(trouble.Error()).Exec(ctx)
	}
	o.labels.news.send()
	return errors.Join(trouble, err)
}

// ReadBack reads what the repository has got since the last time: submissions
// of ours whose acknowledgement was lost, and files that others pushed in the
// same form.
func (o *Outbox) ReadBack(ctx context.Context) error {
	from, err := o.readUpTo(ctx)
	if err != nil {
		return err
	}
	tip := o.repo.Tip()
	if from == tip {
		return nil
	}
	for f, err := range o.repo.Changes(ctx, from, Folder) {
		if errors.Is(err, labelrepo.ErrRewritten) {
			o.log.WarnContext(ctx, "the history of the label repository was rewritten: it is read from its beginning")
			return o.readUpToBe(ctx, "")
		}
		if err == nil {
			err = o.read(ctx, f)
		}
		if err != nil {
			return err
		}
	}
	return o.readUpToBe(ctx, tip)
}

// read takes in one file of one commit.
func (o *Outbox) read(ctx context.Context, f labelrepo.File) error {
	if id, ok := submissionID(f.Message); ok {
		ours, err := o.labels.db.LabelSubmission.Query().
			Where(labelsubmission.ID(id), labelsubmission.Content(string(f.Content))).Only(ctx)
		if err == nil {
			if ours.Status == labelsubmission.StatusPUSHED {
				return nil
			}
			return o.done(ctx, []*ent.LabelSubmission{ours}, []labelrepo.Result{{SHA: f.SHA}})
		}
		if !ent.IsNotFound(err) {
			return err
		}
	}
	name := f.Path[strings.LastIndexByte(f.Path, '/')+1:]
	if f.Removed || !filenameForm.MatchString(name) {
		return nil
	}
	return o.adopt(ctx, f, name)
}

// adopt records a file that others pushed. One that is not a submission is
// passed over, and the log says so.
func (o *Outbox) adopt(ctx context.Context, f labelrepo.File, name string) error {
	set, err := o.labels.Set(ctx, labelSetOf(f.Message))
	if err != nil {
		return err
	}
	s, err := judge(f.Content, set)
	if err == nil && s.filename() != name {
		err = errors.New("its name is not that of its content: " + s.filename())
	}
	if err != nil {
		o.log.WarnContext(ctx, "a file in the label repository is passed over", "path", f.Path, "commit", f.SHA, "why", err)
		return nil
	}
	_, err = o.labels.record(ctx, s, set, origin{
		author:   f.Author.Name + " <" + f.Author.Email + ">",
		at:       f.AuthorTime,
		commit:   f.SHA,
		content:  string(f.Content),
		pushedAt: f.CommitTime,
	})
	o.labels.news.send()
	return err
}

// judge says whether a file is a submission by the rules.
func judge(content []byte, set *ent.LabelSet) (*Submission, error) {
	s, err := parse(content)
	if err != nil {
		return nil, err
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

func (o *Outbox) readUpTo(ctx context.Context) (string, error) {
	row, err := o.labels.db.Checkpoint.Query().Where(checkpoint.ID(checkpointID)).Only(ctx)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return row.Value, nil
}

func (o *Outbox) readUpToBe(ctx context.Context, tip string) error {
	return o.labels.db.Checkpoint.Create().SetID(checkpointID).SetValue(tip).
		OnConflict(sql.ConflictColumns(checkpoint.FieldID)).UpdateNewValues().Exec(ctx)
}
