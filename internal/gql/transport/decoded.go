package transport

import (
	"context"
	"net/http"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
)

const (
	// swelling is how many bytes a byte of JSON may take when it is decoded: a
	// list of empty lists takes 26.
	swelling = 32
	// smallBody is the length of a body that is decoded without waiting, so that
	// large bodies hold up no small ones.
	smallBody = 16 << 10
	// initBytes bounds a message of a socket whose client has not signed in.
	initBytes = 16 << 10
)

// decode waits until there is room to decode a JSON body of that length. The
// caller of decode calls leave when the values are no longer needed.
func (o Options) decode(ctx context.Context, length int) (leave func(), err error) {
	if o.Decoded == nil || length <= smallBody {
		return func() {}, nil
	}
	weight := min(int64(length)*swelling, o.Decoded.size)
	if err := o.Decoded.free.Acquire(ctx, weight); err != nil {
		return nil, refuse(http.StatusServiceUnavailable, fault.Unavailable, "too many large bodies are under way: try again")
	}
	return func() { o.Decoded.free.Release(weight) }, nil
}

// bodyLimit returns how many bytes the body of r may have.
func (o Options) bodyLimit(r *http.Request) int64 {
	limits := o.Limits.orDefaults()
	if caller.From(r.Context()) == nil {
		return min(limits.AnonymousBytes, limits.JSONBytes)
	}
	return limits.JSONBytes
}
