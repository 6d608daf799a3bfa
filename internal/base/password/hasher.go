package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"tagma/internal/base/fault"
)

// Options are the settings of a Hasher. Zero means the default.
type Options struct {
	Concurrency int // hashes computed at once; 2, or 1 on a machine with one core
	Waiting     int // hashes that wait; 100

	// Cheap makes hashes that are fast and insecure, for tests.
	Cheap bool
}

// Hasher hashes passwords, a few at a time. A hash takes 19 MiB of memory and a core,
// and its garbage takes as much memory again until collection. A waiting hash takes no
// memory, and too many waiting hashes are refused. A Hasher is safe for concurrent use.
type Hasher struct {
	cost    cost                // of a new hash
	slots   *semaphore.Weighted // hashes computed at once
	queue   *semaphore.Weighted // hashes computed or waiting
	waiting int                 // limit of waiting hashes
	dummy   hash                // matches no password
}

// New returns a Hasher.
func New(o Options) *Hasher {
	if o.Concurrency <= 0 {
		o.Concurrency = defaultConcurrency()
	}
	if o.Waiting <= 0 {
		o.Waiting = 100
	}
	newCost := defaultCost
	if o.Cheap {
		newCost = cost{memory: 8, passes: 1, lanes: 1}
	}
	return &Hasher{
		cost:    newCost,
		slots:   semaphore.NewWeighted(int64(o.Concurrency)),
		queue:   semaphore.NewWeighted(int64(o.Concurrency + o.Waiting)),
		waiting: o.Waiting,
		dummy:   hash{cost: newCost, salt: randomBytes(saltLen), key: randomBytes(keyLen)},
	}
}

// defaultConcurrency returns the number of hashes computed at once: memory, not the
// number of cores, is the limit.
func defaultConcurrency() int { return min(2, runtime.GOMAXPROCS(0)) }

// Hash returns the PHC string of a password, with a new salt. The error is the cause of
// an ended ctx, or the fault UNAVAILABLE if too many hashes are waiting.
func (h *Hasher) Hash(ctx context.Context, plain string) (string, error) {
	newHash := hash{cost: h.cost, salt: randomBytes(saltLen)}
	key, err := h.key(ctx, newHash.cost, newHash.salt, keyLen, plain)
	if err != nil {
		return "", err
	}
	newHash.key = key
	return newHash.String(), nil
}

// Verify reports whether phc is the PHC string of the password plain. The error is an
// error as of Hash, or says that phc is no valid hash.
func (h *Hasher) Verify(ctx context.Context, phc, plain string) (bool, error) {
	stored, err := parse(phc)
	if err != nil {
		return false, err
	}
	return h.verify(ctx, stored, plain)
}

// VerifyNothing takes the time of Verify, for a user name that does not exist: otherwise
// the time would show which user names exist. The error is an error as of Hash.
func (h *Hasher) VerifyNothing(ctx context.Context, plain string) error {
	_, err := h.verify(ctx, h.dummy, plain)
	return err
}

// NeedsRehash reports whether a hash differs in its form from a new hash of this Hasher.
// After a login with such a hash the caller stores a new hash of the password.
func (h *Hasher) NeedsRehash(phc string) bool {
	stored, err := parse(phc)
	return err != nil || stored.cost != h.cost || len(stored.salt) != saltLen || len(stored.key) != keyLen
}

func (h *Hasher) verify(ctx context.Context, stored hash, plain string) (bool, error) {
	key, err := h.key(ctx, stored.cost, stored.salt, len(stored.key), plain)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, stored.key) == 1, nil
}

// key computes the key of a password, within the limits of the Hasher.
func (h *Hasher) key(ctx context.Context, c cost, salt []byte, length int, plain string) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, waitError(ctx)
	}
	if !h.queue.TryAcquire(1) {
		busy := fault.New(fault.Unavailable, "%d passwords wait to be checked, which is the limit: try again in a second", h.waiting)
		busy.RetryAfter = time.Second
		return nil, busy
	}
	defer h.queue.Release(1)
	if h.slots.Acquire(ctx, 1) != nil {
		return nil, waitError(ctx)
	}
	defer h.slots.Release(1)
	return argon2.IDKey([]byte(canonical(plain)), salt, c.passes, c.memory, c.lanes, uint32(length)), nil
}

func waitError(ctx context.Context) error {
	return fmt.Errorf("waiting to hash a password: %w", context.Cause(ctx))
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never returns an error
	return b
}
