package transport

import (
	"context"
	"net/http"
	"time"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

const (
	// decodedPerByte is an upper bound of the memory of a decoded byte of JSON, in
	// bytes: a list of empty lists takes 26.
	decodedPerByte = 32
	// smallBody is the largest length of a body that is decoded without waiting, so
	// that large bodies do not delay small bodies.
	smallBody = 16 << 10
	// initBytes bounds a message of a socket before the client has signed in.
	initBytes = 16 << 10
)

// reserveBody reserves room in Bodies for a JSON body of length bytes. Without room,
// reserveBody refuses: a body that waited would hold its memory meanwhile. The caller
// calls release when the body is no longer needed.
func (o *Options) reserveBody(length int64) (release func(), err error) {
	if o.Bodies == nil || length <= smallBody {
		return func() {}, nil
	}
	weight := min(length, o.Bodies.size)
	if !o.Bodies.semaphore.TryAcquire(weight) {
		r := newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "too many large bodies are under way: try again")
		r.retryAfter = time.Second
		return nil, r
	}
	return func() { o.Bodies.semaphore.Release(weight) }, nil
}

// reserveBody is Options.reserveBody until the end of the exchange.
func (e *exchange) reserveBody(length int64) error {
	release, err := e.options.reserveBody(length)
	if err != nil {
		return err
	}
	e.cleanup = append(e.cleanup, release)
	return nil
}

// reserveDecoded blocks until Decoded has room for a JSON body of length bytes. The
// caller calls release when the values are no longer needed.
func (o *Options) reserveDecoded(ctx context.Context, length int) (release func(), err error) {
	if o.Decoded == nil || length <= smallBody {
		return func() {}, nil
	}
	weight := min(int64(length)*decodedPerByte, o.Decoded.size)
	if err := o.Decoded.semaphore.Acquire(ctx, weight); err != nil {
		return nil, newRefusal(http.StatusServiceUnavailable, fault.Unavailable, "too many large bodies are under way: try again")
	}
	return func() { o.Decoded.semaphore.Release(weight) }, nil
}

// reserveDecoded is Options.reserveDecoded until the end of the exchange.
func (e *exchange) reserveDecoded(length int) error {
	release, err := e.options.reserveDecoded(e.r.Context(), length)
	if err != nil {
		return err
	}
	e.cleanup = append(e.cleanup, release)
	return nil
}

// bodyLimit returns the limit of the JSON body of the request, in bytes.
func (e *exchange) bodyLimit() int64 {
	limits := e.options.Limits
	if caller.From(e.r.Context()) == nil {
		return min(limits.AnonymousBytes, limits.JSONBytes)
	}
	return limits.JSONBytes
}
