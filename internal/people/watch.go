package people

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	ent "tagma/ent/generated"
	"tagma/ent/generated/accesstoken"
	"tagma/ent/generated/user"
	"tagma/internal/caller"
	"tagma/internal/database"
	"tagma/internal/recent"
)

const (
	// watchEvery is how soon one who listens for long is let go when their
	// token holds no more.
	watchEvery = recent.Moment
	// longestBlind is how long they may stay while the database cannot say.
	longestBlind = 15 * time.Second
)

// Watch ends what is going on for long under a token when the token holds no
// more, wherever it was revoked. All tokens are looked at by one statement.
type Watch struct {
	people *People

	mu      sync.Mutex
	watched map[*watched]struct{}
}

type watched struct {
	caller *caller.Caller
	end    context.CancelCauseFunc
}

// NewWatch is a watch, which Start begins.
func NewWatch(p *People) *Watch { return &Watch{people: p, watched: map[*watched]struct{}{}} }

// While is a context that ends, with a *fault.Error as its cause, when the
// caller's token holds no more or allows another role. The caller of While
// cancels it.
func (w *Watch) While(ctx context.Context, c *caller.Caller) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	one := &watched{c, end}
	w.mu.Lock()
	w.watched[one] = struct{}{}
	w.mu.Unlock()
	return ctx, func() {
		w.mu.Lock()
		delete(w.watched, one)
		w.mu.Unlock()
		end(nil)
	}
}

// Start watches until ctx ends. The channel is closed when it has stopped.
func (w *Watch) Start(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		seen := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := w.look(ctx); err == nil {
				seen = time.Now()
			} else if time.Since(seen) > longestBlind {
				w.end(w.all())
			}
		}
	}()
	return ended
}

// look lets those go whose tokens hold no more.
func (w *Watch) look(ctx context.Context) error {
	all := w.all()
	if len(all) == 0 {
		return nil
	}
	ids := make([]int64, len(all))
	for n, one := range all {
		ids[n] = one.caller.TokenID
	}
	asking, cancel := context.WithTimeout(ctx, longestBlind)
	defer cancel()
	tokens, err := w.people.db.AccessToken.Query().
		Where(database.AmongNumbers(accesstoken.FieldID, ids), holds(w.people.clock()), accesstoken.HasUserWith(user.Disabled(false))).
		Select(accesstoken.FieldID, accesstoken.FieldRole, accesstoken.FieldUserID).
		WithUser(func(q *ent.UserQuery) { q.Select(user.FieldID, user.FieldRole) }).All(asking)
	if err != nil {
		return err
	}
	roles := make(map[int64]caller.Role, len(tokens))
	for _, t := range tokens {
		roles[t.ID] = lesser(t.Role, t.Edges.User.Role)
	}
	w.end(slices.DeleteFunc(all, func(one *watched) bool { return roles[one.caller.TokenID] == one.caller.Role }))
	return nil
}

func (w *Watch) all() []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.watched))
}

// end lets some go.
func (w *Watch) end(these []*watched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range these {
		one.end(noLongerHolds())
		delete(w.watched, one)
	}
}
