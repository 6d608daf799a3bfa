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
	"tagma/internal/base/caller"
	"tagma/internal/base/ttlcache"
	"tagma/internal/storage/database"
)

const (
	// watchInterval is the time within which a long-lived listener is ended
	// after its token was revoked.
	watchInterval = ttlcache.TTL
	// maxOutage is the time that listeners stay while the database does not
	// answer.
	maxOutage = 15 * time.Second
)

// Watch ends long-lived work under a token when the token becomes invalid, on
// any server. One statement checks all tokens.
type Watch struct {
	people *Service

	mu      sync.Mutex
	entries map[*entry]struct{}
}

type entry struct {
	caller *caller.Caller
	cancel context.CancelCauseFunc
}

// NewWatch returns a watch. Start starts it.
func NewWatch(p *Service) *Watch { return &Watch{people: p, entries: map[*entry]struct{}{}} }

// While returns a context that ends when the caller's token becomes invalid or
// changes its role. The cause is a *fault.Error. The caller of While must
// cancel the context.
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

// Start checks tokens until ctx ends. The returned channel is closed when
// Start's work has ended.
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

// checkAll ends the work of all invalid tokens.
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

// endAll ends the given entries.
func (w *Watch) endAll(list []*entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range list {
		e.cancel(invalidToken())
		delete(w.entries, e)
	}
}
