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

// damageID names the checkpoint that exists while the label repository on the disk
// is known to be damaged. A server, the scrub or tagma verify writes the
// checkpoint.
const damageID = "labels damaged"

// heldReason is the failure of a submission while the repository is damaged.
// Everybody may read the text.
const heldReason = "the label repository is damaged: nothing is pushed until an operator has mended it with tagma verify --mend"

// Damage returns the known damage of the label repository on the disk, or "".
func (l *Service) Damage(ctx context.Context) (string, error) {
	row, err := l.db.Checkpoint.Get(ctx, damageID)
	if ent.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return row.Value, nil
}

// SetDamage records damage, and every server stops pushing until ClearDamage.
// SetDamage does not overwrite recorded damage.
func (l *Service) SetDamage(ctx context.Context, damage string) error {
	recorded, err := l.Damage(ctx)
	if err != nil || recorded != "" {
		return err
	}
	return l.setCheckpoint(ctx, damageID, damage)
}

// ClearDamage lets servers push again, unless the recorded damage has another text:
// different damage may have been recorded in the meantime.
func (l *Service) ClearDamage(ctx context.Context, damage string) error {
	return l.db.Write(ctx, func() error {
		_, err := l.db.Checkpoint.Delete().Where(checkpoint.ID(damageID), checkpoint.Value(damage)).Exec(ctx)
		return err
	})
}

// clearAnyDamage is ClearDamage for damage with any text.
func (l *Service) clearAnyDamage(ctx context.Context) error {
	return l.db.Write(ctx, func() error {
		_, err := l.db.Checkpoint.Delete().Where(checkpoint.ID(damageID)).Exec(ctx)
		return err
	})
}

// Tip returns the commit up to which the repository was read or written, or "". The
// commit comes from the checkpoint in the database.
func (l *Service) Tip(ctx context.Context) (string, error) {
	values, err := l.checkpoints(ctx, readUpToID)
	return values[readUpToID], err
}

// Held reports whether this server is the one server with an outbox, and pushes
// nothing because the label repository is damaged.
func (l *Service) Held() bool { return l.held.Load() }

// waitWhileDamaged blocks while the repository is recorded as damaged. It logs the
// damage once and records heldReason on each waiting submission. It leaves the
// repository's folder alone, so tagma verify can mend the repository.
func (o *Outbox) waitWhileDamaged(ctx context.Context) error {
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
		if err := o.recordWaiting(ctx, heldReason); err != nil {
			return err
		}
		if wokenWithin(ctx, poll, o.labels.arrivals.wait()); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// damageError returns the error for a repository with recorded damage.
func damageError(damage string) error { return fmt.Errorf("%w: %s", labelrepo.ErrDamaged, damage) }

// renew empties a cache with recorded damage, and clears the damage. The remote then
// fills the cache again.
func (l *Service) renew(ctx context.Context, repo *labelrepo.Repo, log *slog.Logger) error {
	damage, err := l.Damage(ctx)
	if err != nil || damage == "" {
		return err
	}
	log.ErrorContext(ctx, "the copy of the label repository on this machine is damaged: it is fetched again from the remote", "damage", damage)
	if err := repo.EmptyCache(ctx); err != nil {
		return err
	}
	return l.ClearDamage(ctx, damage)
}

// Written returns the files of all submissions with a commit, in the order of the
// submissions. Each file comes with its path in either layout.
func (l *Service) Written(ctx context.Context) iter.Seq2[labelrepo.CommittedFile, error] {
	return func(yield func(labelrepo.CommittedFile, error) bool) {
		const pageSize = 1000
		for last := int64(0); ; {
			rows, err := l.db.LabelSubmission.Query().Where(labelsubmission.IDGT(last), labelsubmission.CommitShaNotNil()).
				Order(labelsubmission.ByID()).Limit(pageSize).
				Select(labelsubmission.FieldID, labelsubmission.FieldFilename, labelsubmission.FieldContent, labelsubmission.FieldCommitSha).All(ctx)
			if err != nil {
				yield(labelrepo.CommittedFile{}, err)
				return
			}
			for _, row := range rows {
				last = row.ID
				paths := []string{FanOut.path(row.Filename), Flat.path(row.Filename)}
				if !yield(labelrepo.CommittedFile{SHA: *row.CommitSha, Paths: paths, Content: row.Content}, nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
		}
	}
}

// checkpoints returns the values of checkpoints, by their ids, in one statement.
func (l *Service) checkpoints(ctx context.Context, ids ...string) (map[string]string, error) {
	rows, err := l.db.Checkpoint.Query().Where(database.AmongTexts(checkpoint.FieldID, ids)).All(ctx)
	values := make(map[string]string, len(rows))
	for _, row := range rows {
		values[row.ID] = row.Value
	}
	return values, err
}
