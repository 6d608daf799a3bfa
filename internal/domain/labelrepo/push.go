package labelrepo

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tagma/internal/base/sleep"
	"tagma/internal/domain/labelrepo/bare"
)

// PushResult is the result of a Push. All commits from Base (exclusive) to Tip
// (inclusive) belong to the batch. Commits that others pushed during the Push
// come before Base.
type PushResult struct {
	Results []Result // one for each commit of the batch
	Base    string   // "" if the branch was empty
	Tip     string
}

// add appends the results of a part of the batch.
func (p *PushResult) add(part *Batch) {
	if base := shaOf(part.base); len(p.Results) == 0 || base != p.Tip {
		p.Base = base
	}
	p.Tip = shaOf(part.tip)
	p.Results = append(p.Results, part.results...)
}

// Push sends a batch to the remote and publishes the batch in the local
// repository. If others have pushed, or if the Push of the previous batch failed,
// Push builds the batch again upon the new tip.
//
// After Push returns without an error, every commit without a Result.Err is in
// the remote, or flushed to the local disk if there is no remote. After an error,
// the caller may prepare the same commits again: commits that did reach the
// repository are unchanged then.
//
// Errors wrap ErrUnavailable, ErrAuth, ErrRejected or ErrDamaged, or are ctx's
// error. Any other error is an error of the local disk or of the signing key.
func (r *Repo) Push(ctx context.Context, b *Batch) (PushResult, error) {
	defer b.Discard()
	if err := r.takeTurn(ctx); err != nil {
		return PushResult{}, err
	}
	defer r.endTurn()
	if err := sleep.For(ctx, time.Until(r.resumeAt)); err != nil {
		return PushResult{}, err
	}
	var pushed PushResult
	start, races, healed := time.Now(), 0, false
	for part := b; ; {
		err := r.pushOnce(ctx, part)
		if err == nil {
			pushed.add(part)
		} else {
			// The remote may have taken the push although its answer was lost. After
			// errMoved the branch was read already.
			r.synced = errors.Is(err, errMoved)
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
				return PushResult{}, err
			}
		case errors.Is(err, errMoved), errors.Is(err, bare.ErrMoved):
			if time.Since(start) > r.cfg.RaceTimeout {
				return PushResult{}, &repoError{kind: ErrUnavailable, text: fmt.Sprintf("others have pushed first for %v: try again later", r.cfg.RaceTimeout)}
			}
			races++
			if err := pause(ctx, races); err != nil {
				return PushResult{}, err
			}
			// One commit takes less time than many, and so is more likely to win
			// the race.
			part = &Batch{repo: r, commits: rest[:min(1, len(rest))]}
		case ctx.Err() != nil:
			return PushResult{}, ctx.Err()
		default:
			return PushResult{}, err
		}
	}
}

// pushOnce builds the batch upon the tip if necessary, and sends the batch once.
// Afterwards the batch has its results and no files.
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
		// Nothing to send, so no answer of the remote would show that the branch
		// has moved.
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
		// Others pushed since the last Push of this Repo: give them time to push
		// again.
		r.resumeAt = time.Now().Add(time.Since(start))
	}
	r.pushedTip = b.tip
	if *r.tip.Load() != b.base {
		return nil // send has fetched the batch from the remote
	}
	if err := r.publish(b); err != nil {
		if r.remote == nil {
			return err
		}
		// The commits are in the remote, so the Push has succeeded. The cache
		// fetches the commits in the next refresh.
		r.cfg.Log.Warn("the pushed commits could not be written to the cache of the label repository: the next push fetches the commits", "error", err)
		r.synced = false
	}
	return nil
}

// send sends a batch to the remote. Without a remote, send does nothing.
//
// After a refusal, the branch of the remote decides, not the words of the
// refusal: each kind of host has its own words for a lost race. If the branch has
// the batch, the push has succeeded. If the branch is at another commit, send
// returns errMoved. If the branch is at the base of the batch twice, RecheckDelay
// apart, send returns the refusal: a host with replicas may show an old commit
// after a lost race. Each look fetches what the branch has.
func (r *Repo) send(ctx context.Context, b *Batch) error {
	if r.remote == nil {
		return nil
	}
	refusal := r.remote.push(ctx, b.base, b.tip, b.pack.Content())
	if !errors.Is(refusal, errMoved) && !errors.Is(refusal, ErrRejected) {
		return refusal
	}
	for looks := 1; ; looks++ {
		if err := r.refresh(ctx); err != nil {
			return err
		}
		switch tip := *r.tip.Load(); {
		case tip != b.base:
			_, err := r.commitsSince(ctx, tip, b.tip)
			if errors.Is(err, ErrRewritten) {
				err = errMoved
			}
			return err
		case looks == 2 || errors.Is(refusal, errMoved):
			return refusal
		}
		if err := sleep.For(ctx, r.cfg.RecheckDelay); err != nil {
			return err
		}
	}
}

// publish adds the objects of the batch to the local repository and moves the
// local branch.
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

// mergePacks merges small packs. A failure is logged and does not fail the Push.
func (r *Repo) mergePacks() {
	r.buildMu.Lock()
	defer r.buildMu.Unlock()
	if err := r.store.MergePacks(); err != nil {
		r.cfg.Log.Warn("merging the packs of the label repository failed", "error", err)
	}
}

// pause waits for a random time. The limit of the time doubles with each lost
// race, up to a second, so that two writers do not overtake each other without
// end.
func pause(ctx context.Context, races int) error {
	return sleep.For(ctx, rand.N(min(20*time.Millisecond<<min(races, 6), time.Second)))
}
