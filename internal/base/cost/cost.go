// Package cost owns the real cost of an answer, counted while the answer is made:
// objects, bytes, memory, and time of the database. An answer beyond a limit ends
// with one error. Package cost owns also the memory of all answers of the process
// together, until their clients have read them (Pool).
//
// Package cost does not own the reckoning before an operation runs, a matter of
// package guard, nor the form of the error, a matter of package graph.
package cost

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"tagma/internal/base/fault"
)

// Limits bounds one answer. A zero means the default.
type Limits struct {
	Objects  int64         // of the whole answer. 200,000
	Resolved int64         // of these, objects made by resolvers, one by one. 20,000
	Bytes    int64         // 32 MiB
	Database time.Duration // of all statements, added up. 20 s
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

// Meter counts the cost of one answer. Beyond a limit every counting method
// returns the same fault, and the answer's context ends with the fault as its
// cause. A nil Meter counts nothing. A Meter is safe for concurrent use.
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

// Start begins an answer. Start returns a context with the Meter, which ends when
// the answer passes a limit. The caller calls end when the answer is made.
func Start(ctx context.Context, limits Limits) (within context.Context, m *Meter, end func()) {
	share, _ := ctx.Value(shareKey{}).(*Share)
	m = &Meter{limits: limits.OrDefaults(), share: share}
	within, m.cancel = context.WithCancelCause(context.WithValue(ctx, meterKey{}, m))
	return within, m, func() { m.cancel(nil) }
}

// From returns the Meter of the context's answer, or nil.
func From(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Err returns the fault of an answer beyond a limit, or nil.
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

// resolvedBytes is about the memory of an object made by a resolver, until the
// answer is written: a goroutine's stack, and a context and a value for each field.
const resolvedBytes = 6 << 10

// Resolve counts objects made by a resolver.
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

// Written returns the number of bytes counted.
func (m *Meter) Written() int64 {
	if m == nil {
		return 0
	}
	return m.bytes.Load()
}

// Hold counts memory, held until Made.
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

// Made ends the counting: the answer is written, has length bytes, and from now on
// holds so much memory. Made returns the fault of an answer beyond a limit, or nil.
func (m *Meter) Made(length, held int64) error {
	m.atMost(length)
	if m.Err() != nil {
		held = 0
	}
	m.share.set(held)
	return m.Err()
}

// Apply notes a change made by the request.
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

// Streamed returns a context for statements whose rows are written at once, and
// not held.
func Streamed(ctx context.Context) context.Context {
	return context.WithValue(ctx, streamedKey{}, true)
}

// Reader returns the Meter for the bytes of the database's rows, or nil if the
// rows are not held.
func Reader(ctx context.Context) *Meter {
	if ctx.Value(streamedKey{}) != nil {
		return nil
	}
	return From(ctx)
}
