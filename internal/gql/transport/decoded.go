package transport

import (
	"context"
	"net/http"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

const (
	// decodedPerByte is how many bytes a byte of JSON may take when it is decoded: a
	// list of empty lists takes 26.
	decodedPerByte = 32
	// smallBody is the length of a body that is decoded without waiting, so that
	// large bodies hold up no small ones.
	smallBody = 16 << 10
	// initBytes bounds a message of a socket whose client has not signed in.
	initBytes = 16 << 10
)

// reserveDecoded waits until the server has memory for a decoded JSON body of so
// many bytes. The caller calls release when the values are no longer needed.
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

// bodyLimit returns how many bytes the JSON body of the request may have.
func (e *exchange) bodyLimit() int64 {
	limits := e.options.Limits
	if caller.From(e.r.Context()) == nil {
		return min(limits.AnonymousBytes, limits.JSONBytes)
	}
	return limits.JSONBytes
}
