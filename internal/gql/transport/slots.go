package transport

import (
	"net/http"
	"sync"
	"time"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// StreamLimits bounds the open sockets and event streams.
type StreamLimits struct {
	All    int // sockets and event streams together
	Person int // of one person, by any token

	// Pending bounds the sockets of clients that have not signed in yet, and
	// PendingAddress such sockets from one address, for IPv6 from one /64. Anybody
	// can open pending sockets: without a separate bound, pending sockets would take
	// the slots of people with an account.
	Pending, PendingAddress int
}

// slots counts the open sockets and event streams. slots is safe for concurrent use.
type slots struct {
	limits StreamLimits

	mu        sync.Mutex
	all       int
	pending   int
	addresses map[string]int // pending sockets, by request.Network
	persons   map[int64]int  // other sockets and event streams, by the id of the user
}

func newSlots(limits StreamLimits) *slots {
	return &slots{limits: limits, addresses: map[string]int{}, persons: map[int64]int{}}
}

// slot is the slot of one socket or event stream.
type slot struct {
	slots   *slots
	address string // while person is 0
	person  int64
}

// acquire returns a slot for a connection from an address, or a refusal if a limit is
// reached. by is nil before the client has signed in. The caller must call release.
func (p *slots) acquire(by *caller.Caller, address string) (*slot, *refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.limits.All {
		return nil, noSlot(http.StatusServiceUnavailable, fault.Unavailable,
			"the server has %d sockets and event streams open, and the limit is %d: try again later", p.all, p.limits.All)
	}
	s := &slot{slots: p}
	if by != nil {
		if p.persons[by.UserID] >= p.limits.Person {
			return nil, noSlot(http.StatusTooManyRequests, fault.RateLimited,
				"you have %d sockets and event streams open, and the limit is %d for one person: close one, and try again", p.persons[by.UserID], p.limits.Person)
		}
		s.person = by.UserID
		p.persons[by.UserID]++
		p.all++
		return s, nil
	}
	s.address = request.Network(address)
	switch at := p.addresses[s.address]; {
	case at >= p.limits.PendingAddress:
		return nil, noSlot(http.StatusTooManyRequests, fault.RateLimited,
			"%d sockets from your address have not signed in, and the limit is %d: send connection_init on them, and try again", at, p.limits.PendingAddress)
	case p.pending >= p.limits.Pending:
		return nil, noSlot(http.StatusServiceUnavailable, fault.Unavailable,
			"%d sockets have not signed in, and the limit is %d: try again later, or send the header Authorization with the upgrade", p.pending, p.limits.Pending)
	}
	p.addresses[s.address]++
	p.pending++
	p.all++
	return s, nil
}

// noSlot returns a refusal because a limit of StreamLimits is reached.
func noSlot(status int, code fault.Code, format string, args ...any) *refusal {
	r := newRefusal(status, code, format, args...)
	r.retryAfter = slotRetryAfter
	return r
}

// slotRetryAfter is the longest time that a socket stays pending.
const slotRetryAfter = 5 * time.Second

// signIn assigns the slot to a person. signIn returns false if the person has all of
// their slots in use.
func (p *slot) signIn(by *caller.Caller) bool {
	all := p.slots
	all.mu.Lock()
	defer all.mu.Unlock()
	if p.person == by.UserID {
		return true
	}
	if all.persons[by.UserID] >= all.limits.Person {
		return false
	}
	p.uncount()
	p.person = by.UserID
	all.persons[by.UserID]++
	return true
}

// release returns the slot.
func (p *slot) release() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.uncount()
	p.slots.all--
}

// uncount subtracts the slot from the counts of its person or address.
func (p *slot) uncount() {
	if p.person != 0 {
		decrease(p.slots.persons, p.person)
		return
	}
	decrease(p.slots.addresses, p.address)
	p.slots.pending--
}

// decrease subtracts 1 from a count, and deletes a count of 0, so that the map does not
// grow.
func decrease[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}
