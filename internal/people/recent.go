package people

import (
	"sync"

	"tagma/internal/caller"
	"tagma/internal/instant"
)

// recent remembers for a moment whose a token is, for to ask the database takes
// a third of the time of a small request. What this server changes about people
// it forgets at once; what others change, it follows as soon as a Watch does.
type recent struct {
	mu      sync.Mutex
	seen    map[string]sighting // by the hash of the token
	changes int                 // how often everything was forgotten
}

type sighting struct {
	caller caller.Caller
	at     instant.Instant
}

// mostSeen bounds the memory: more tokens than that are not in use at once.
const mostSeen = 10_000

// get is whose a token is, or nil if that must be looked up. A change that
// comes while it is looked up is known by the number that is given back.
func (r *recent) get(hash string, now instant.Instant) (c *caller.Caller, changes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, ok := r.seen[hash]
	if age := now.Sub(one.at); !ok || age < 0 || age >= watchEvery || one.caller.Until != nil && *one.caller.Until <= now {
		return nil, r.changes
	}
	return &one.caller, r.changes
}

// put remembers what was looked up at a moment, unless something has changed
// since get.
func (r *recent) put(hash string, c caller.Caller, at instant.Instant, changes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changes != changes {
		return
	}
	if r.seen == nil || len(r.seen) >= mostSeen {
		r.seen = map[string]sighting{}
	}
	r.seen[hash] = sighting{c, at}
}

// forget forgets everything: somebody's tokens or role have changed.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
	r.changes++
}
