// Package throttle owns how often passwords may be guessed, by account and by
// address. It does not own passwords, nor what is answered to one who must
// wait.
//
// An attempt counts from the moment it is allowed, as if it had failed, until
// Succeeded takes that back: so guesses made side by side cannot slip through
// before the first has been answered. A refused attempt counts for nothing, so
// that asking again does not lengthen the wait.
//
//   - An account has five attempts; then each needs a wait, of 1 s, 2 s, 4 s and
//     so on up to 5 min. A success ends the series, as does an hour of quiet.
//     Besides, ten in a minute that did not succeed are the most, even if the
//     owner's successes keep ending the series.
//   - An address, which for IPv6 is a /64, has sixty attempts a minute, half of
//     them at once. A success does not give them back: else one who has an
//     account would guess at the others' for nothing.
//
// What it remembers is in memory and bounded. To make it forget k guesses at
// one account by guessing at others takes k guesses at each of as many
// accounts as it has room for: the accounts with the fewest are forgotten
// first. Whether an account exists makes no difference.
//
// One who never stops guessing keeps an account's wait at 5 min and may take
// each turn before the owner does. Tokens that were given out work all the
// same.
package throttle

import (
	"crypto/sha256"
	"sync"
	"time"

	"tagma/internal/instant"
	"tagma/internal/request"
)

const (
	freeAttempts = 5
	firstWait    = time.Second
	longestWait  = 5 * time.Minute
	// hottest is where counting ends: firstWait doubled nine times is beyond
	// longestWait.
	hottest = freeAttempts + 9

	window      = time.Minute
	perWindow   = 10        // unsuccessful attempts at an account
	quietPeriod = time.Hour // after it, starting anew gives about as many guesses a day as going on
)

// Options are the choices of an operator. Zero means the default.
type Options struct {
	Entries          int // accounts, and as many addresses, that are remembered; 10,000
	AddressPerMinute int // attempts from one address; 60
}

// Throttle decides on attempts to log in. It is safe for concurrent use.
type Throttle struct {
	clock instant.Clock

	burst    int           // attempts that an address has at once
	interval time.Duration // in which it gets back one

	mu        sync.Mutex
	reading   instant.Instant // what the clock said last
	now       time.Duration   // time that passed since New
	accounts  table[account]
	addresses table[address]
}

// account is the state of an account.
type account struct {
	series int             // attempts since the last success, up to hottest
	last   time.Duration   // when the last was allowed, or answered
	recent []time.Duration // when the unsuccessful of the last minute were allowed, in order
}

// address is a bucket of attempts that fills up steadily. The time when it
// will be full says all about it (the "generic cell rate algorithm" of ATM).
type address struct {
	full time.Duration
}

// New makes a Throttle that remembers nothing yet.
func New(clock instant.Clock, o Options) *Throttle {
	if o.Entries <= 0 {
		o.Entries = 10_000
	}
	if o.AddressPerMinute <= 0 {
		o.AddressPerMinute = 60
	}
	// What is there at once and what comes back in a minute make up the
	// whole, in the worst minute.
	burst := max(1, o.AddressPerMinute/2)
	interval := window / time.Duration(max(1, o.AddressPerMinute-burst))
	const finest = time.Millisecond // of the clock
	interval = (interval + finest - 1).Truncate(finest)
	return &Throttle{
		clock:     clock,
		burst:     burst,
		interval:  interval,
		reading:   clock(),
		accounts:  newTable[account](o.Entries, quietPeriod, hottest),
		addresses: newTable[address](o.Entries, window, 0),
	}
}

// Allow asks for one attempt at an account from an address. Where ok is false,
// retryAfter is the time until it may be asked again, 5 min at the most.
//
// The name is the one that the account is looked up by, so that Alice and
// alice do not count apart if they are the same. The address is an IP, with or
// without a port; all that is neither counts as one.
func (t *Throttle) Allow(accountName, remote string) (ok bool, retryAfter time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.tick()

	name, from := digest(accountName), digest(request.Network(remote))
	who := t.accounts.get(now, name)
	where := t.addresses.get(now, from)

	wait := max(who.wait(now), where.full-time.Duration(t.burst-1)*t.interval-now)
	if wait > 0 {
		return false, wait
	}

	if len(who.recent) == perWindow {
		who.recent = who.recent[1:]
	}
	who.recent = append(who.recent, now)
	who.series = min(who.series+1, hottest)
	who.last = now
	t.accounts.put(now, name, who.series, who)

	where.full = max(where.full, now) + t.interval
	t.addresses.put(now, from, 0, where)
	return true, 0
}

// wait is the time until the next attempt at the account.
func (a account) wait(now time.Duration) time.Duration {
	var next time.Duration
	if a.series >= freeAttempts {
		next = a.last + min(firstWait<<(a.series-freeAttempts), longestWait)
	}
	if len(a.recent) == perWindow {
		next = max(next, a.recent[0]+window)
	}
	return next - now
}

// Failed says that an allowed attempt was wrong. It counts already; now the
// wait runs from its answer, which may have taken time.
func (t *Throttle) Failed(accountName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, name := t.tick(), digest(accountName)

	who := t.accounts.get(now, name)
	if who.series == 0 {
		return // a success has ended the series meanwhile
	}
	who.last = now
	t.accounts.put(now, name, who.series, who)
}

// Succeeded says that an allowed attempt was right. The account has its
// attempts again. It is for answers within a minute, as those of a request
// are: what came later could take an attempt of another's out of the count.
func (t *Throttle) Succeeded(accountName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, name := t.tick(), digest(accountName)

	who := t.accounts.get(now, name)
	who.series = 0
	// One of the recent attempts was this one. Which, is not known; to take
	// out the oldest errs on the safe side, as the others count for longer.
	if len(who.recent) > 0 {
		who.recent = who.recent[1:]
	}
	if len(who.recent) == 0 {
		t.accounts.drop(name)
		return
	}
	t.accounts.put(now, name, who.series, who)
}

// tick is the time that passed since New. Where the clock was set back, it
// goes on from there, lest an account be locked for the difference.
func (t *Throttle) tick() time.Duration {
	reading := t.clock()
	t.now += max(0, reading.Sub(t.reading))
	t.reading = reading
	return t.now
}

// digest makes keys of one size, whatever the length of a name.
func digest(s string) key { return sha256.Sum256([]byte(s)) }
