package labelrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tagma/internal/domain/labelrepo/bare"
)

// Pushed is what a Push has brought into the repository. Between Base and Tip
// the branch has nothing but commits of the batch. Commits that others pushed
// while Push was at work lie before Base.
type Pushed struct {
	Results []Result // of each commit of the batch
	Base    string   // "" if the branch had no commit
	Tip     string
}

// add adds the results of a part of the batch.
func (p *Pushed) add(part *Batch) {
	if base := shaOf(part.base); len(p.Results) == 0 || base != p.Tip {
		p.Base = base
	}
	p.Tip = shaOf(part.tip)
	p.Results = append(p.Results, part.results...)
}

// Push pushes a batch. A batch that is not built upon the tip, because others
// have pushed or because the batch before failed, is built again.
//
// When Push returns without error, every commit that has no Err of its own is in
// the remote (or, without a remote, flushed to the local disk). With an error,
// none of the commits can be relied on, and all may be prepared again: a commit
// that did reach the repository is then found as unchanged.
//
// Errors are ErrUnavailable, ErrAuth, ErrRejected or ErrDamaged, or ctx's own.
// Any other error is an error of the local disk or of the signing key.
func (r *Repo) Push(ctx context.Context, b *Batch) (Pushed, error) {
	defer b.Discard()
	if err := r.takeTurn(ctx); err != nil {
		return Pushed{}, err
	}
	defer r.endTurn()
	if err := wait(ctx, time.Until(r.resumeAt)); err != nil {
		return Pushed{}, err
	}
	var pushed Pushed
	start, races, healed := time.Now(), 0, false
	for part := b; ; {
		err := r.pushOnce(ctx, part)
		if err == nil {
			pushed.add(part)
		} else {
			r.synced = false // an answer may have been lost: look before building again
		}
		rest := b.commits[len(pushed.Results):]
		switch {
		case err == nil && len(rest) == 0:
			r.mergePacks()
			return pushed, nil
		case err == nil:
			part = &Batch{repo: r, commits: rest}
		case isDamage(err) && !healed:
			healed = true
			if err := r.emptyCache(err); err != nil {
				return Pushed{}, err
			}
		case errors.Is(err, errMoved), errors.Is(err, bare.ErrMoved):
			if time.Since(start) > r.cfg.RaceTimeout {
				return Pushed{}, &repoError{ErrUnavailable, fmt.Sprintf("others pushed first for %v", r.cfg.RaceTimeout)}
			}
			races++
			if err := pause(ctx, races); err != nil {
				return Pushed{}, err
			}
			// One commit is built and sent sooner than many, and so wins sooner.
			part = &Batch{repo: r, commits: rest[:1]}
		case ctx.Err() != nil:
			return Pushed{}, ctx.Err()
		default:
			return Pushed{}, err
		}
	}
}

// pushOnce builds the batch upon the tip, if that is not done, and sends the batch
// once. The batch keeps its results, and nothing on the disk.
func (r *Repo) pushOnce(ctx context.Context, b *Batch) error {
	defer b.Discard()
	if !r.synced {
		if err := r.refresh(ctx); err != nil {
			return err
		}
	}
	if err := b.ensureBuilt(); err != nil {
		return err
	}
	if b.tip == b.base {
		// Nothing to send, and so nobody who would tell us that the remote no
		// longer has what we believe it has.
		if err := r.refresh(ctx); err != nil {
			return err
		}
		if *r.tip.Load() != b.base {
			return errMoved
		}
		return nil
	}
	start := time.Now()
	if err := r.send(ctx, b); err != nil {
		return err
	}
	if r.remote != nil && b.base != r.pushedTip && !r.pushedTip.IsZero() {
		r.resumeAt = time.Now().Add(time.Since(start)) // lets those who pushed in between push again
	}
	r.pushedTip = b.tip
	if err := r.publish(b); err != nil {
		if r.remote == nil {
			return err
		}
		// The remote has the commits, and that is what was asked for. The
		// cache is behind, as after a kill, and fetches them next time.
		r.cfg.Log.Warn("the cache of the label repository could not keep what was pushed", "error", err)
		r.synced = false
	}
	return nil
}

// send sends a batch to the remote, if there is one.
func (r *Repo) send(ctx context.Context, b *Batch) error {
	if r.remote == nil {
		return nil
	}
	return r.remote.push(ctx, b.base, b.tip, b.pack.Content())
}

// publish makes the batch part of the local repository.
func (r *Repo) publish(b *Batch) error {
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	if err := r.store.Publish(b.pack); err != nil {
		return err
	}
	if err := r.store.MoveRef(r.branch, b.base, b.tip); err != nil {
		return err
	}
	tip := b.tip
	r.tip.Store(&tip)
	b.cacheFolders()
	return nil
}

// mergePacks keeps the number of packs small. A failure of mergePacks fails no commit.
func (r *Repo) mergePacks() {
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	if err := r.store.MergePacks(); err != nil {
		r.cfg.Log.Warn("gathering the packs of the label repository", "error", err)
	}
}

// pause waits a random time that grows with the number of lost races, so that
// two writers do not overtake each other for ever.
func pause(ctx context.Context, races int) error {
	return wait(ctx, rand.N(min(20*time.Millisecond<<min(races, 6), time.Second)))
}

// wait blocks until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
