package cost

import (
	"context"
	"sync/atomic"
	"time"

	"tagma/internal/fault"
)

// Pool is the memory that the answers of a process may hold together. A nil Pool
// has no bound.
type Pool struct {
	size int64
	held atomic.Int64
}

// NewPool returns a Pool of so many bytes.
func NewPool(bytes int64) *Pool { return &Pool{size: bytes} }

// Held returns how many bytes are held now.
func (p *Pool) Held() int64 { return p.held.Load() }

// Share is what one request, or one subscription, holds of a Pool. A nil Share
// has no bound. It is safe for concurrent use.
type Share struct {
	pool *Pool
	held atomic.Int64
}

// Share returns an empty Share. The caller releases it once the client has read
// the answer, or will not.
func (p *Pool) Share() *Share {
	if p == nil {
		return nil
	}
	return &Share{pool: p}
}

type shareKey struct{}

// WithShare returns a context whose answers hold memory of the Share.
func WithShare(ctx context.Context, s *Share) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, shareKey{}, s)
}

// retryAfter is how long to wait for memory before another try.
const retryAfter = time.Second

// hold takes bytes of the Pool. One Share gets at most half, so that what is
// refused with Unavailable can succeed later.
func (s *Share) hold(n int64) *fault.Error {
	if s == nil {
		return nil
	}
	if s.held.Add(n) > s.pool.size/2 {
		s.held.Add(-n)
		return fault.New(fault.TooLarge, "the answer takes more than %d bytes of memory while it is made: ask for smaller pages with first, or for fewer fields", s.pool.size/2)
	}
	if s.pool.held.Add(n) > s.pool.size {
		s.pool.held.Add(-n)
		s.held.Add(-n)
		err := fault.New(fault.Unavailable, "other answers hold the memory that the server has for them: try again")
		err.RetryAfter = retryAfter
		return err
	}
	return nil
}

// set makes n bytes what the Share holds. It follows a hold of at least as many,
// or of nearly as many, and is never refused.
func (s *Share) set(n int64) {
	if s != nil {
		s.pool.held.Add(n - s.held.Swap(n))
	}
}

// Release gives all back.
func (s *Share) Release() { s.set(0) }
