package cost

import (
	"context"
	"sync/atomic"
	"time"

	"tagma/internal/base/fault"
)

// Pool is the memory of all answers of a process together. A nil Pool has no
// bound.
type Pool struct {
	size int64
	held atomic.Int64
}

// NewPool returns a Pool of so many bytes.
func NewPool(bytes int64) *Pool { return &Pool{size: bytes} }

// Held returns the number of bytes held now.
func (p *Pool) Held() int64 { return p.held.Load() }

// Share is the part of a Pool held by one request or subscription. A nil Share
// has no bound. A Share is safe for concurrent use.
type Share struct {
	pool *Pool
	held atomic.Int64
}

// Share returns an empty Share. The caller releases the Share once the client has
// read the answer, or was given up.
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

// hold takes bytes of the Pool. One Share gets at most half: a request refused with
// Unavailable must be able to succeed later.
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

// set makes the Share hold n bytes. It follows a hold of about as many, and never
// fails.
func (s *Share) set(n int64) {
	if s != nil {
		s.pool.held.Add(n - s.held.Swap(n))
	}
}

// Release gives all back.
func (s *Share) Release() { s.set(0) }
