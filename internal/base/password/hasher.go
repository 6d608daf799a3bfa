package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/crypto/argon2"

	"tagma/internal/base/fault"
)

// Options are the choices of an operator. Zero means the default.
type Options struct {
	Concurrency int // hashes computed at once: 2, or 1 on a machine of one core
	Waiting     int // hashes that may wait for their turn: 100

	// Cheap makes hashes that take next to no time and protect nothing. It is
	// for tests.
	Cheap bool
}

// Hasher hashes passwords, a few at a time: each takes 19 MiB and a core for a
// while, and the garbage of those before takes as much again until it is
// collected. Whoever waits holds no memory; a crowd that is too large to be
// served soon is sent away. It is safe for concurrent use.
type Hasher struct {
	cost    cost // of a new hash
	slots   chan struct{}
	queue   chan struct{} // a place for each that waits or is computed
	nothing hash          // belongs to no password
}

// New makes a Hasher.
func New(o Options) *Hasher {
	if o.Concurrency <= 0 {
		o.Concurrency = min(2, runtime.GOMAXPROCS(0))
	}
	if o.Waiting <= 0 {
		o.Waiting = 100
	}
	made := present
	if o.Cheap {
		made = cost{memory: 8, passes: 1, lanes: 1}
	}
	return &Hasher{
		cost:    made,
		slots:   make(chan struct{}, o.Concurrency),
		queue:   make(chan struct{}, o.Concurrency+o.Waiting),
		nothing: hash{cost: made, salt: random(saltLen), key: random(keyLen)},
	}
}

// Hash makes the PHC string of a password, with a new salt. The error is that
// of ctx, if it ended while others were before, or the fault UNAVAILABLE, if too
// many are waiting.
func (h *Hasher) Hash(ctx context.Context, plain string) (string, error) {
	made := hash{cost: h.cost, salt: random(saltLen)}
	key, err := h.key(ctx, made.cost, made.salt, keyLen, plain)
	if err != nil {
		return "", err
	}
	made.key = key
	return made.String(), nil
}

// Verify says whether plain is the password that the PHC string was made of.
// The error is one of Hash, or says that the string is no such hash.
func (h *Hasher) Verify(ctx context.Context, phc, plain string) (bool, error) {
	kept, err := parse(phc)
	if err != nil {
		return false, err
	}
	return h.verify(ctx, kept, plain)
}

// VerifyNothing takes as long as Verify, for a user who does not exist: else
// the time would tell who does. The error is one of Hash.
func (h *Hasher) VerifyNothing(ctx context.Context, plain string) error {
	_, err := h.verify(ctx, h.nothing, plain)
	return err
}

// NeedsRehash says that a hash was not made as this Hasher makes them, and
// should be made again when its password is next at hand: after a login.
func (h *Hasher) NeedsRehash(phc string) bool {
	kept, err := parse(phc)
	return err != nil || kept.cost != h.cost || len(kept.salt) != saltLen || len(kept.key) != keyLen
}

func (h *Hasher) verify(ctx context.Context, kept hash, plain string) (bool, error) {
	key, err := h.key(ctx, kept.cost, kept.salt, len(kept.key), plain)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(key, kept.key) == 1, nil
}

// key is the one place that spends the memory and the time.
func (h *Hasher) key(ctx context.Context, c cost, salt []byte, length int, plain string) ([]byte, error) {
	if ctx.Err() != nil { // do not leave it to the luck of select
		return nil, waiting(ctx)
	}
	select {
	case h.queue <- struct{}{}:
		defer func() { <-h.queue }()
	default:
		busy := fault.New(fault.Unavailable, "%d passwords wait to be checked, which is the limit: try again in a second",
			cap(h.queue)-cap(h.slots))
		busy.RetryAfter = time.Second
		return nil, busy
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return nil, waiting(ctx)
	}
	return argon2.IDKey([]byte(canonical(plain)), salt, c.passes, c.memory, c.lanes, uint32(length)), nil
}

func waiting(ctx context.Context) error {
	return fmt.Errorf("waiting to hash a password: %w", context.Cause(ctx))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program rather
	return b
}
