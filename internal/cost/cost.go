// Package cost owns what one answer really costs while it is made: objects,
// bytes, memory, and time of the database. An answer that passes a limit ends
// there, with one error.
//
// It owns also how much memory all answers of the process may hold together,
// until their clients have read them (Pool).
//
// It does not own what an operation may ask for, which package guard reckons
// before anything runs, nor how the error travels, which package graph writes.
package cost

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"tagma/internal/fault"
)

// Limits bounds one answer. A zero means the default.
type Limits struct {
	Objects  int64         // of the whole answer. 200,000
	Resolved int64         // of these, objects that resolvers make one by one. 20,000
	Bytes    int64         // 32 MiB
	Database time.Duration // that statements take, one after the other. 20 s
}

// OrDefaults returns the limits in force.
func (l Limits) OrDefaults() Limits {
	return Limits{
		Objects:  cmp.Or(l.Objects, 200_000),
		Resolved: cmp.Or(l.Resolved, 20_000),
		Bytes:    cmp.Or(l.Bytes, 32<<20),
		Database: cmp.Or(l.Database, 20*time.Second),
	}
}

// Meter counts what one answer costs. Each method that counts returns the
// fault once a limit is passed, and the answer's context ends with that fault
// as its cause. A nil Meter counts nothing. It is safe for concurrent use.
type Meter struct {
	limits Limits
	share  *Share
	cancel context.CancelCauseFunc

	objects  atomic.Int64
	resolved atomic.Int64
	bytes    atomic.Int64
	database atomic.Int64 // nanoseconds
	applied  atomic.Bool
	failure  atomic.Pointer[fault.Error]
}

type meterKey struct{}

// Start begins an answer. The context that Start returns carries the Meter, and
// ends when the answer passes a limit. The caller calls end when the answer is
// made.
func Start(ctx context.Context, limits Limits) (within context.Context, m *Meter, end func()) {
	share, _ := ctx.Value(shareKey{}).(*Share)
	m = &Meter{limits: limits.OrDefaults(), share: share}
	within, m.cancel = context.WithCancelCause(context.WithValue(ctx, meterKey{}, m))
	return within, m, func() { m.cancel(nil) }
}

// From returns the Meter of the answer that the context is of, or nil.
func From(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Err returns the fault that ended the answer, or nil.
func (m *Meter) Err() error {
	if m == nil {
		return nil
	}
	if failure := m.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// Objects counts objects of the answer.
func (m *Meter) Objects(n int64) error {
	if m == nil {
		return nil
	}
	if m.objects.Add(n) > m.limits.Objects {
		m.fail(fault.New(fault.TooLarge, "the answer has more than %d objects: ask for smaller pages with first, or for fewer lists within lists", m.limits.Objects))
	}
	return m.Err()
}

// resolvedBytes is about what an object holds until the answer is written that a
// resolver made: its goroutine's stack, and a context and a value for each field.
const resolvedBytes = 6 << 10

// Resolve counts objects that a resolver made.
func (m *Meter) Resolve(n int64) error {
	if m == nil {
		return nil
	}
	if m.resolved.Add(n) > m.limits.Resolved {
		m.fail(fault.New(fault.TooLarge, "the answer has more than %d objects that are resolved one by one: ask for smaller pages with first, or for fewer lists within lists", m.limits.Resolved))
	}
	_ = m.Hold(n * resolvedBytes)
	return m.Objects(n)
}

// Bytes counts bytes of the answer.
func (m *Meter) Bytes(n int64) error {
	if m == nil {
		return nil
	}
	m.atMost(m.bytes.Add(n))
	return m.Err()
}

func (m *Meter) atMost(bytes int64) {
	if bytes > m.limits.Bytes {
		m.fail(fault.New(fault.TooLarge, "the answer has more than %d bytes: ask for smaller pages with first, or for fewer fields", m.limits.Bytes))
	}
}

// Written returns how many bytes were counted.
func (m *Meter) Written() int64 {
	if m == nil {
		return 0
	}
	return m.bytes.Load()
}

// Hold counts memory that the answer holds until Made.
func (m *Meter) Hold(n int64) error {
	if m == nil {
		return nil
	}
	if m.failure.Load() == nil {
		if why := m.share.hold(n); why != nil {
			m.fail(why)
		}
	}
	return m.Err()
}

// Made tells that the answer is written, how many bytes it has, and how much
// memory it still holds. Made returns the fault that ended the answer, or nil.
func (m *Meter) Made(length, held int64) error {
	m.atMost(length)
	if m.Err() != nil {
		held = 0
	}
	m.share.set(held)
	return m.Err()
}

// Apply tells that the request has changed something.
func (m *Meter) Apply() {
	if m != nil {
		m.applied.Store(true)
	}
}

// Applied reports whether the request has changed something.
func (m *Meter) Applied() bool { return m.applied.Load() }

// fail ends the answer. The first fault counts.
func (m *Meter) fail(why *fault.Error) {
	if m.failure.CompareAndSwap(nil, why) {
		m.cancel(why)
	}
}

func (m *Meter) slow() {
	m.fail(fault.New(fault.TooLarge, "the request takes the database more than %s: ask for less at once", m.limits.Database))
}

type streamedKey struct{}

// Streamed returns a context for statements whose rows are written as they come,
// and not held.
func Streamed(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamedKey{}, true)
}

// Reader returns the Meter that counts bytes that the database gives, or nil if
// the rows are not held.
func Reader(ctx context.Context) *Meter {
	if ctx.Value(streamedKey{}) != nil {
		return nil
	}
	return From(ctx)
}
