package labels

import (
	"context"
	"fmt"
	"iter"
	"log/slog"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/storage/database"
)

// damageID names the checkpoint that is there while the label repository on the
// disk is known to be damaged. Whoever finds the damage writes it: a server, the
// scrub, or tagma verify.
const damageID = "labels damaged"

// heldReason is what everybody may read on a submission that waits because the
// repository is damaged.
const heldReason = "the label repository is damaged: nothing is pushed until an operator has mended it with tagma verify --mend"

// Damage returns what is known to be wrong with the label repository on the disk,
// or "".
func (l *Labels) Damage(ctx context.Context) (string, error) {
	row, err := l.db.Checkpoint.Get(ctx, damageID)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return row.Value, nil
}

// NoteDamage has every server push nothing more until ClearDamage. What was noted
// before stays.
func (l *Labels) NoteDamage(ctx context.Context, what string) error {
	known, err := l.Damage(ctx)
	if err != nil || known != "" {
		return err
	}
	return l.setCheckpoint(ctx, damageID, what)
}

// ClearDamage has servers push again, unless other damage than what was noted in
// those words was found meanwhile.
func (l *Labels) ClearDamage(ctx context.Context, what string) error {
	return l.db.Write(ctx, func() error {
		_, err := l.db.Checkpoint.Delete().Where(checkpoint.ID(damageID), checkpoint.Value(what)).Exec(ctx)
		return err
	})
}

// forgetDamage is ClearDamage, whatever was noted.
func (l *Labels) forgetDamage(ctx context.Context) error {
	return l.db.Write(ctx, func() error {
		_, err := l.db.Checkpoint.Delete().Where(checkpoint.ID(damageID)).Exec(ctx)
		return err
	})
}

// Tip returns the commit up to which the repository was read or written, as the
// database notes it, or "".
func (l *Labels) Tip(ctx context.Context) (string, error) {
	values, err := l.checkpoints(ctx, readUpToID)
	return values[readUpToID], err
}

// Held reports whether this server leads and pushes nothing, because the label
// repository is damaged.
func (l *Labels) Held() bool { return l.held.Load() }

// hold blocks while the repository is noted as damaged, and says so: in the log
// once, and on each submission that waits. It leaves the repository's folder
// alone, so that tagma verify can mend it.
func (o *Outbox) hold(ctx context.Context) error {
	defer o.labels.held.Store(false)
	for {
		damage, err := o.labels.Damage(ctx)
		if err != nil || damage == "" {
			return err
		}
		if o.labels.held.CompareAndSwap(false, true) {
			o.log.ErrorContext(ctx, "the label repository is damaged, and nothing is pushed: run tagma verify --mend with the server's settings", "damage", damage)
			if err := o.labels.setCheckpoint(ctx, heldUpID, heldReason); err != nil {
				return err
			}
		}
		if err := o.tellHeld(ctx); err != nil {
			return err
		}
		if sleep(ctx, poll, o.labels.arrivals.wait()); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// tellHeld says on each submission that waits why it does.
func (o *Outbox) tellHeld(ctx context.Context) error {
	for {
		rows, err := o.labels.db.LabelSubmission.Query().Where(
			labelsubmission.StatusIn(labelsubmission.StatusQUEUED, labelsubmission.StatusCOMMITTED),
			labelsubmission.Or(labelsubmission.FailureIsNil(), labelsubmission.FailureNEQ(heldReason)),
		).Order(labelsubmission.ByID()).Limit(largest).Select(labelsubmission.FieldID).All(ctx)
		if err != nil || len(rows) == 0 {
			return err
		}
		ids, err := o.change(ctx, rows, func(u *ent.LabelSubmissionUpdate) {
			u.SetStatus(labelsubmission.StatusQUEUED).SetFailure(heldReason)
		})
		if err != nil {
			return err
		}
		o.labels.settled(ids...)
	}
}

// errNoted ends the work on a repository that somebody else has found damaged.
func errNoted(damage string) error { return fmt.Errorf("%w: %s", labelrepo.ErrDamaged, damage) }

// renew empties a cache that was found damaged, so that the remote fills it again.
func (l *Labels) renew(ctx context.Context, repo *labelrepo.Repo, log *slog.Logger) error {
	damage, err := l.Damage(ctx)
	if err != nil || damage == "" {
		return err
	}
	log.ErrorContext(ctx, "the copy of the label repository on this machine is damaged: it is fetched again from the remote", "damage", damage)
	if err := repo.Renew(ctx); err != nil {
		return err
	}
	return l.ClearDamage(ctx, damage)
}

// Written gives the files of all submissions that have a commit, in the order of
// the submissions, each with the paths that it may have in either layout.
func (l *Labels) Written(ctx context.Context) iter.Seq2[labelrepo.Written, error] {
	return func(yield func(labelrepo.Written, error) bool) {
		const part = 1000
		for last := int64(0); ; {
			rows, err := l.db.LabelSubmission.Query().Where(labelsubmission.IDGT(last), labelsubmission.CommitShaNotNil()).
				Order(labelsubmission.ByID()).Limit(part).
				Select(labelsubmission.FieldID, labelsubmission.FieldFilename, labelsubmission.FieldContent, labelsubmission.FieldCommitSha).All(ctx)
			if err != nil {
				yield(labelrepo.Written{}, err)
				return
			}
			for _, row := range rows {
				last = row.ID
				paths := []string{FanOut.path(row.Filename), Flat.path(row.Filename)}
				if !yield(labelrepo.Written{SHA: *row.CommitSha, Paths: paths, Content: row.Content}, nil) {
					return
				}
			}
			if len(rows) < part {
				return
			}
		}
	}
}

// checkpoints returns the values of checkpoints, by their ids, in one statement.
func (l *Labels) checkpoints(ctx context.Context, ids ...string) (map[string]string, error) {
	rows, err := l.db.Checkpoint.Query().Where(database.AmongTexts(checkpoint.FieldID, ids)).All(ctx)
	values := make(map[string]string, len(rows))
	for _, row := range rows {
		values[row.ID] = row.Value
	}
	return values, err
}
