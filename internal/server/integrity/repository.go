package integrity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tagma/internal/domain/labelrepo"
)

// lockTime is the longest wait for a server to release the repository's folder.
// The wait is longer than a push may take.
const lockTime = 2 * time.Minute

// LabelRepository checks the label repository, without taking the repository's
// lock. LabelRepository notes damage in the database, so that servers stop
// pushing. If settle is set and the repository is whole, LabelRepository removes
// the note.
func (c *Checker) LabelRepository(ctx context.Context, settle bool) error {
	if c.Repository.Dir == "" {
		return nil
	}
	return c.reportDamage("label repository", c.labelRepository(ctx, settle))
}

func (c *Checker) labelRepository(ctx context.Context, settle bool) error {
	damage, err := c.Labels.Damage(ctx)
	if err != nil {
		return err
	}
	faults, err := c.readRepository(ctx)
	if err != nil {
		return err
	}
	if len(faults) == 0 {
		if damage != "" && settle && c.objects > 0 {
			return c.Labels.ClearDamage(ctx, damage)
		}
		return nil
	}
	if damage == "" {
		damage = fmt.Sprintf("%d faults, the first: %s", len(faults), faults[0])
		if err := c.Labels.SetDamage(ctx, damage); err != nil {
			return err
		}
	}
	if c.Mend {
		if faults, err = c.mendRepository(ctx, faults); err != nil {
			return err
		}
	}
	unmended := 0
	for _, f := range faults {
		if !f.Mended {
			unmended++
		}
		c.Found(f)
	}
	if unmended == 0 {
		return c.Labels.ClearDamage(ctx, damage)
	}
	return nil
}

// readRepository reads the repository, and returns the faults as findings.
func (c *Checker) readRepository(ctx context.Context) (findings []Finding, err error) {
	c.objects, err = labelrepo.Check(ctx, c.Repository.Dir,
		func(bytes int64) error { return c.pace(ctx, bytes) },
		func(f labelrepo.Fault) { findings = append(findings, findingOf(f)) })
	if err != nil && c.ended(ctx) == nil {
		findings = append(findings, Finding{Kind: Unreadable, Key: "label repository", Err: err})
		err = nil
	}
	return findings, err
}

func findingOf(f labelrepo.Fault) Finding {
	finding := Finding{Kind: Damaged, Key: f.Object, About: "object of the label repository", Err: f.Err}
	if f.Object == "" {
		finding.Key, finding.About = f.File, "file of the label repository"
	} else if f.File != "" {
		finding.About += ", in " + f.File
	}
	if f.Kind == labelrepo.Missing {
		finding.Kind, finding.Err = Missing, nil
		finding.About += ", which " + f.Referrer + " names"
	}
	return finding
}

// mendRepository mends the repository, reads the repository again, and returns the
// findings with Mended or Err set. Findings new after mending are added.
func (c *Checker) mendRepository(ctx context.Context, before []Finding) ([]Finding, error) {
	from := c.Clone
	if from == "" {
		from = c.Repository.Remote
	}
	tip, err := c.Labels.Tip(ctx)
	if err != nil {
		return before, err
	}
	lockCtx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	_, mendErr := labelrepo.Mend(lockCtx, c.Repository, labelrepo.MendOptions{Files: c.Labels.Written, Tip: tip, Source: from})
	after, err := c.readRepository(ctx)
	if err != nil {
		return before, err
	}
	if _, lost := errors.AsType[*labelrepo.NotMendedError](mendErr); lost {
		mendErr = fmt.Errorf("%w with --labels-clone. If nobody has one, tagma labels rebuild makes the repository again from the database: all commit ids change then", mendErr)
	}
	unmended := map[string]bool{}
	for _, f := range after {
		unmended[f.Key] = true
	}
	for n := range before {
		before[n].Mended = !unmended[before[n].Key]
		delete(unmended, before[n].Key)
	}
	for _, f := range after { // findings that mending uncovered
		if unmended[f.Key] {
			before = append(before, f)
		}
	}
	if mendErr != nil {
		for n := range before {
			if !before[n].Mended {
				before[n].Err = mendErr
				break // once is enough
			}
		}
	}
	return before, nil
}
