package labels

import (
	"context"
	"errors"
	"maps"
	"slices"

	"entgo.io/ent/dialect"
	"entgo.io/ent/dialect/sql"
	"github.com/lib/pq"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/predicate"
	"tagma/ent/generated/user"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/storage/database"
)

// mark sets the status of the submissions that still wait.
func (o *Outbox) mark(ctx context.Context, rows []*ent.LabelSubmission, status labelsubmission.Status) error {
	ids, err := o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) { u.SetStatus(status) })
	o.labels.notify(ids...)
	return err
}

// change updates the submissions that still wait, and returns the ids of all rows.
// Another server may have pushed some of the submissions.
func (o *Outbox) change(ctx context.Context, rows []*ent.LabelSubmission, set func(*ent.LabelSubmissionUpdate)) ([]int64, error) {
	ids := ent.LabelSubmissions(rows).IDs()
	update := o.labels.db.LabelSubmission.Update().Where(database.AmongNumbers(labelsubmission.FieldID, ids),
		labelsubmission.StatusIn(labelsubmission.StatusQUEUED, labelsubmission.StatusCOMMITTED))
	set(update)
	return ids, o.labels.db.Write(ctx, func() error { return update.Exec(ctx) })
}

// done records the results of a push: each submission is pushed or has failed.
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
	o.labels.notifySettled(ids...)
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
	return o.labels.db.Write(ctx, func() error {
		_, err := o.labels.db.SQL.ExecContext(ctx, query, args...)
		return err
	})
}

// fail sets the status of a submission to FAILED, and records the reason.
func (o *Outbox) fail(ctx context.Context, row *ent.LabelSubmission, reason error) error {
	err := o.labels.db.Write(ctx, func() error {
		return o.labels.db.LabelSubmission.UpdateOne(row).
			SetStatus(labelsubmission.StatusFAILED).SetFailure(reason.Error()).Exec(ctx)
	})
	o.labels.notifySettled(row.ID)
	return err
}

// Retry queues failed submissions again and returns the number of submissions. The
// commits will have the present names and addresses of the authors. A failed
// submission stays failed if a later revision has not failed, because a push would
// put the old revision on top of the later revision.
func (l *Service) Retry(ctx context.Context) (int, error) {
	failed := []predicate.LabelSubmission{labelsubmission.StatusEQ(labelsubmission.StatusFAILED), func(s *sql.Selector) {
		later := sql.Table(labelsubmission.Table).As("later")
		s.Where(sql.NotExists(sql.Select().From(later).Where(sql.And(
			sql.ColumnsEQ(later.C(labelsubmission.FieldFilename), s.C(labelsubmission.FieldFilename)),
			sql.ColumnsGT(later.C(labelsubmission.FieldRevision), s.C(labelsubmission.FieldRevision)),
			sql.NEQ(later.C(labelsubmission.FieldStatus), labelsubmission.StatusFAILED),
		))))
	}}
	rows, err := l.db.LabelSubmission.Query().Where(failed...).
		Select(labelsubmission.FieldID, labelsubmission.FieldSubmittedByID, labelsubmission.FieldAuthor).All(ctx)
	if err == nil {
		err = l.renewAuthors(ctx, rows)
	}
	if err != nil {
		return 0, err
	}
	n, err := l.db.LabelSubmission.Update().Where(failed...).SetStatus(labelsubmission.StatusQUEUED).ClearFailure().Save(ctx)
	l.arrivals.send()
	return n, err
}

// renewAuthors updates the authors of submissions without a commit, in the database
// and in rows. The new author has the present name and address of the person who
// submitted the labels, because a repository may have refused the old address.
func (l *Service) renewAuthors(ctx context.Context, rows []*ent.LabelSubmission) error {
	byUser := map[int64][]*ent.LabelSubmission{}
	for _, row := range rows {
		if row.SubmittedByID != nil {
			byUser[*row.SubmittedByID] = append(byUser[*row.SubmittedByID], row)
		}
	}
	if len(byUser) == 0 {
		return nil
	}
	users, err := l.db.User.Query().Where(database.AmongNumbers(user.FieldID, slices.Sorted(maps.Keys(byUser)))).All(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		email := ""
		if u.Email != nil {
			email = *u.Email
		}
		author := identityOf(u.Username, email)
		stale := slices.DeleteFunc(byUser[u.ID], func(row *ent.LabelSubmission) bool { return row.Author == author })
		if len(stale) == 0 {
			continue
		}
		ids := ent.LabelSubmissions(stale).IDs()
		err := l.db.Write(ctx, func() error {
			return l.db.LabelSubmission.Update().Where(database.AmongNumbers(labelsubmission.FieldID, ids), labelsubmission.CommitShaIsNil()).
				SetAuthor(author).Exec(ctx)
		})
		if err != nil {
			return err
		}
		for _, row := range stale {
			row.Author = author
		}
	}
	return nil
}

// heldUpID names the checkpoint that exists while the repository is known to be out
// of reach or damaged.
const heldUpID = "labels held up"

// note records a fault of the repository on the waiting submissions, and returns the
// fault.
func (o *Outbox) note(ctx context.Context, problem error) error {
	reason := reasonOf(problem)
	o.inReach = false
	err := o.labels.setCheckpoint(ctx, heldUpID, reason)
	// largest covers the whole batch of the failed push. A submission outside rows
	// would stay COMMITTED, and would be pushed before the older submissions in rows.
	rows, failed := o.queued(ctx, largest, nil)
	var ids []int64
	if err = errors.Join(err, failed); err == nil {
		ids, err = o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) {
			u.SetStatus(labelsubmission.StatusQUEUED).SetFailure(reason)
		})
	}
	o.labels.notifySettled(ids...)
	return errors.Join(problem, err)
}

// recordWaiting records the reason on each waiting submission.
func (o *Outbox) recordWaiting(ctx context.Context, reason string) error {
	for {
		rows, err := o.labels.db.LabelSubmission.Query().Where(
			labelsubmission.StatusIn(labelsubmission.StatusQUEUED, labelsubmission.StatusCOMMITTED),
			labelsubmission.Or(labelsubmission.FailureIsNil(), labelsubmission.FailureNEQ(reason)),
		).Order(labelsubmission.ByID()).Limit(largest).Select(labelsubmission.FieldID).All(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids, err := o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) {
			u.SetStatus(labelsubmission.StatusQUEUED).SetFailure(reason)
		})
		if err != nil {
			return err
		}
		o.labels.notifySettled(ids...)
	}
}

// reasonOf returns the text of a fault for all readers. An error that wraps a
// sentinel of package labelrepo is fit for print. Any other error may contain paths
// of this machine, and is only for the log.
func reasonOf(problem error) string {
	if errors.Is(problem, labelrepo.ErrDamaged) {
		return heldReason
	}
	for _, printable := range []error{labelrepo.ErrUnavailable, labelrepo.ErrAuth, labelrepo.ErrRejected, labelrepo.ErrTooLarge, labelrepo.ErrUnusable} {
		if errors.Is(problem, printable) {
			return problem.Error()
		}
	}
	return "the server has a fault of its own, which its log tells; it tries again"
}

// reached records that the repository is in reach.
func (o *Outbox) reached(ctx context.Context) error {
	if o.inReach {
		return nil
	}
	_, err := o.labels.db.Checkpoint.Delete().Where(checkpoint.ID(heldUpID)).Exec(ctx)
	o.inReach = err == nil
	return err
}
