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
	// watchInterval is how soon one who listens for long is let go when their
	// token holds no more.
	watchInterval = recent.Moment
	// maxOutage is how long they may stay while the database cannot say.
	maxOutage = 15 * time.Second
)

// Watch ends what is going on for long under a token when the token holds no
// more, wherever it was revoked. All tokens are looked at by one statement.
type Watch struct {
	people *People

	mu      sync.Mutex
	entries map[*entry]struct{}
}

type entry struct {
	caller *caller.Caller
	cancel context.CancelCauseFunc
}

// NewWatch is a watch, which Start begins.
func NewWatch(p *People) *Watch { return &Watch{people: p, entries: map[*entry]struct{}{}} }

// While is a context that ends, with a *fault.Error as its cause, when the
// caller's token holds no more or allows another role. The caller of While
// cancels it.
func (w *Watch) While(ctx context.Context, c *caller.Caller) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	e := &entry{c, end}
	w.mu.Lock()
	w.entries[e] = struct{}{}
	w.mu.Unlock()
	return ctx, func() {
		w.mu.Lock()
		delete(w.entries, e)
		w.mu.Unlock()
		end(nil)
	}
}

// Start watches until ctx ends. The channel is closed when it has stopped.
func (w *Watch) Start(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(watchInterval)
		defer ticker.Stop()
		lastSuccess := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if err := w.checkAll(ctx); err == nil {
				lastSuccess = time.Now()
			} else if time.Since(lastSuccess) > maxOutage {
				w.endAll(w.snapshot())
			}
		}
	}()
	return ended
}

// checkAll lets those go whose tokens hold no more.
func (w *Watch) checkAll(ctx context.Context) error {
	list := w.snapshot()
	if len(list) == 0 {
		return nil
	}
	ids := make([]int64, len(list))
	for n, e := range list {
		ids[n] = e.caller.TokenID
	}
	queryCtx, cancel := context.WithTimeout(ctx, maxOutage)
	defer cancel()
	tokens, err := w.people.db.AccessToken.Query().
		Where(database.AmongNumbers(accesstoken.FieldID, ids), notExpired(w.people.clock()), accesstoken.HasUserWith(user.Disabled(false))).
		Select(accesstoken.FieldID, accesstoken.FieldRole, accesstoken.FieldUserID).
		WithUser(func(q *ent.UserQuery) { q.Select(user.FieldID, user.FieldRole) }).All(queryCtx)
	if err != nil {
		return err
	}
	roles := make(map[int64]caller.Role, len(tokens))
	for _, t := range tokens {
		roles[t.ID] = minRole(t.Role, t.Edges.User.Role)
	}
	w.endAll(slices.DeleteFunc(list, func(e *entry) bool { return roles[e.caller.TokenID] == e.caller.Role }))
	return nil
}

func (w *Watch) snapshot() []*entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.entries))
}

// end lets some go.
func (w *Watch) endAll(list []*entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range list {
		e.cancel(invalidToken())
		delete(w.entries, e)
	}
}
