package transport

import (
	"net/http"
	"sync"
	"time"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
)

// StreamLimits bounds the sockets and event streams that are open at once.
type StreamLimits struct {
	All    int // sockets and event streams together
	Person int // of one person, with all their tokens

	// Pending bounds the sockets whose clients have not signed in yet, and
	// PendingAddress those of them from one address, which for IPv6 is a /64.
	// Anybody can open such a socket: without bounds of their own they would
	// take the slots of those who have an account.
	Pending, PendingAddress int
}

// slots counts the sockets and event streams that are open. It is safe for
// concurrent use.
type slots struct {
	limits StreamLimits

	mu        sync.Mutex
	all       int
	pending   int
	addresses map[string]int // of those that are pending, by request.Network
	persons   map[int64]int  // of the others, by the id of the user
}

func newSlots(limits StreamLimits) *slots {
	return &slots{limits: limits, addresses: map[string]int{}, persons: map[int64]int{}}
}

// slot is that of one socket or event stream.
type slot struct {
	slots   *slots
	address string // while person is 0
	person  int64
}

// acquire takes a slot for a connection from an address; by is nil if its client
// has not signed in yet. The caller of acquire gives the slot back by release.
func (p *slots) acquire(by *caller.Caller, address string) (*slot, *refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all >= p.limits.All {
		return nil, noSlot(http.StatusServiceUnavailable, fault.Unavailable,
			"the server has %d sockets and event streams open, and the limit is %d: try again later", p.all, p.limits.All)
	}
	taken := &slot{slots: p}
	if by != nil {
		if p.persons[by.UserID] >= p.limits.Person {
			return nil, noSlot(http.StatusTooManyRequests, fault.RateLimited,
				"you have %d sockets and event streams open, and the limit is %d for one person: close one, and try again", p.persons[by.UserID], p.limits.Person)
		}
		taken.person = by.UserID
		p.persons[by.UserID]++
		p.all++
		return taken, nil
	}
	taken.address = request.Network(address)
	switch at := p.addresses[taken.address]; {
	case at >= p.limits.PendingAddress:
		return nil, noSlot(http.StatusTooManyRequests, fault.RateLimited,
			"%d sockets from your address have not signed in, and the limit is %d: send connection_init on them, and try again", at, p.limits.PendingAddress)
	case p.pending >= p.limits.Pending:
		return nil, noSlot(http.StatusServiceUnavailable, fault.Unavailable,
			"%d sockets have not signed in, and the limit is %d: try again later, or send the header Authorization with the upgrade", p.pending, p.limits.Pending)
	}
	p.addresses[taken.address]++
	p.pending++
	p.all++
	return taken, nil
}

// noSlot refuses a connection for which there is no slot just now.
func noSlot(status int, code fault.Code, format string, args ...any) *refusal {
	r := newRefusal(status, code, format, args...)
	r.retryAfter = slotRetryAfter
	return r
}

// slotRetryAfter is as long as a socket may stay pending.
const slotRetryAfter = 5 * time.Second

// signIn makes the slot one of a person. It reports whether the person may have
// another.
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

// release gives the slot back.
func (p *slot) release() {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	p.uncount()
	p.slots.all--
}

// uncount takes the slot out of the counts of its person or address.
func (p *slot) uncount() {
	if p.person != 0 {
		decrease(p.slots.persons, p.person)
		return
	}
	decrease(p.slots.addresses, p.address)
	p.slots.pending--
}

// decrease keeps no key for a count of 0, so that a map is as large as what is
// open.
func decrease[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}
