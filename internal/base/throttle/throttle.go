// Package throttle owns the rate of password guesses, by account and by
// address. It does not own passwords, nor the answer to a refused attempt.
//
// Allow counts an attempt as failed at once, and Succeeded undoes the count. So
// concurrent guesses cannot pass before the first guess is answered. A refused
// attempt is not counted, so a retry does not lengthen the wait.
//
//   - An account has five attempts. Each later attempt waits 1 s, 2 s, 4 s and so
//     on up to 5 min. A success resets the wait, as does an hour without attempts.
//     In addition, at most ten unsuccessful attempts a minute are allowed, even if
//     the owner's successes keep resetting the wait.
//   - An address, which for IPv6 is a /64, has sixty attempts a minute, half of
//     them at once. A success does not return the attempt: otherwise the owner of
//     an account could guess the passwords of others without limit.
//
// The state is in memory and bounded. To make the throttle forget k guesses at
// one account, an attacker must make k guesses at each of Entries other
// accounts: the throttle forgets the accounts with the fewest guesses first.
// Existing and unknown accounts are treated alike.
//
// An attacker who never stops guessing keeps an account's wait at 5 min, and
// may take each attempt before the owner does. Existing tokens keep working.
package throttle

import (
	"crypto/sha256"
	"sync"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/base/request"
)

const (
	freeAttempts = 5
	firstWait    = time.Second
	maxWait      = 5 * time.Minute
	// maxSeries is the largest count: firstWait doubled nine times exceeds
	// maxWait.
	maxSeries = freeAttempts + 9

	window       = time.Minute
	maxPerWindow = 10        // unsuccessful attempts at one account
	quietPeriod  = time.Hour // starting anew after an hour allows about as many guesses a day as going on
)

// Options are the settings of an operator. Zero means the default.
type Options struct {
	Entries          int // largest number of accounts, and of addresses; 10,000
	AddressPerMinute int // attempts from one address; 60
}

// Throttle allows or refuses attempts to log in. It is safe for concurrent use.
type Throttle struct {
	clock instant.Clock

	burst    int           // attempts that an address may make at once
	interval time.Duration // time in which an address regains one attempt

	mu           sync.Mutex
	clockReading instant.Instant // last reading of the clock
	now          time.Duration   // time since New
	accounts     table[account]
	addresses    table[address]
}

// account is the state of an account.
type account struct {
	series   int             // attempts since the last success, up to maxSeries
	lastAt   time.Duration   // time of the last attempt or of its answer
	attempts []time.Duration // times of the unsuccessful attempts of the last minute, ascending
}

// address is a bucket of attempts that fills at a constant rate. The time at
// which the bucket is full describes its whole state (the "generic cell rate
// algorithm" of ATM).
type address struct {
	fullAt time.Duration
}

// New returns an empty Throttle.
func New(clock instant.Clock, o Options) *Throttle {
	if o.Entries <= 0 {
		o.Entries = 10_000
	}
	if o.AddressPerMinute <= 0 {
		o.AddressPerMinute = 60
	}
	// In the worst minute an address uses the whole burst and the attempts
	// regained during the minute; together they make AddressPerMinute.
	burst := max(1, o.AddressPerMinute/2)
	interval := window / time.Duration(max(1, o.AddressPerMinute-burst))
	const clockResolution = time.Millisecond
	interval = (interval + clockResolution - 1).Truncate(clockResolution)
	return &Throttle{
		clock:        clock,
		burst:        burst,
		interval:     interval,
		clockReading: clock(),
		accounts:     newTable[account](o.Entries, quietPeriod, maxSeries),
		addresses:    newTable[address](o.Entries, window, 0),
	}
}

// Allow reports whether an attempt at an account from an address is allowed. If
// not, retryAfter is the time until the next allowed attempt, at most 5 min.
//
// AccountName is the name used to look up the account: if Alice and alice are
// the same account, pass the same name. Remote is an IP address, with or
// without a port; all other texts count as one address.
func (t *Throttle) Allow(accountName, remote string) (ok bool, retryAfter time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.tick()

	accountKey, addressKey := digest(accountName), digest(request.Network(remote))
	acct := t.accounts.get(now, accountKey)
	addr := t.addresses.get(now, addressKey)

	wait := max(acct.wait(now), addr.fullAt-time.Duration(t.burst-1)*t.interval-now)
	if wait > 0 {
		return false, wait
	}

	if len(acct.attempts) == maxPerWindow {
		acct.attempts = acct.attempts[1:]
	}
	acct.attempts = append(acct.attempts, now)
	acct.series = min(acct.series+1, maxSeries)
	acct.lastAt = now
	t.accounts.put(now, accountKey, acct.series, acct)

	addr.fullAt = max(addr.fullAt, now) + t.interval
	t.addresses.put(now, addressKey, 0, addr)
	return true, 0
}

// wait returns the time until the next attempt at the account.
func (a account) wait(now time.Duration) time.Duration {
	var next time.Duration
	if a.series >= freeAttempts {
		next = a.lastAt + min(firstWait<<(a.series-freeAttempts), maxWait)
	}
	if len(a.attempts) == maxPerWindow {
		next = max(next, a.attempts[0]+window)
	}
	return next - now
}

// Failed records that an allowed attempt was wrong. Allow has already counted
// the attempt; Failed restarts the wait at the time of the answer.
func (t *Throttle) Failed(accountName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, accountKey := t.tick(), digest(accountName)

	acct := t.accounts.get(now, accountKey)
	if acct.series == 0 {
		return // a success has reset the account meanwhile
	}
	acct.lastAt = now
	t.accounts.put(now, accountKey, acct.series, acct)
}

// Succeeded records that an allowed attempt was right, and resets the account's
// wait. Call Succeeded within a minute of Allow, as a request does: a later
// call could remove another attempt from the count.
func (t *Throttle) Succeeded(accountName string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now, accountKey := t.tick(), digest(accountName)

	acct := t.accounts.get(now, accountKey)
	acct.series = 0
	// One of the recent attempts is the successful attempt, but which is
	// unknown. Removing the oldest is safe, because the others count for
	// longer.
	if len(acct.attempts) > 0 {
		acct.attempts = acct.attempts[1:]
	}
	if len(acct.attempts) == 0 {
		t.accounts.drop(accountKey)
		return
	}
	t.accounts.put(now, accountKey, acct.series, acct)
}

// tick returns the time since New. If the clock was set back, tick continues
// from the new reading, so that no account is locked for the difference.
func (t *Throttle) tick() time.Duration {
	clockReading := t.clock()
	t.now += max(0, clockReading.Sub(t.clockReading))
	t.clockReading = clockReading
	return t.now
}

// digest returns a key of fixed size for a name of any length.
func digest(s string) key { return sha256.Sum256([]byte(s)) }
