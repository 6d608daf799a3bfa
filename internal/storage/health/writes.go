package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tagma/internal/base/instant"
)

const (
	// probeInterval is the least time between two probes.
	probeInterval = 5 * time.Second
	// probeTimeout is the largest duration of a probe.
	probeTimeout = 3 * time.Second
)

// Writes holds whether a server's writes work, and the reason if not. Writes is safe
// for concurrent use.
//
// Observe records a failed write. Later, Current and Probe attempt a small write, at
// most once in probeInterval, to notice when writes work again. While writes work, only
// Probe attempts a write.
type Writes struct {
	log      *slog.Logger
	clock    instant.Clock
	probe    func(context.Context) error
	database string

	probing sync.Mutex // held during a probe
	mu      sync.Mutex
	kind    Kind
	probed  instant.Instant // the start of the last probe, or 0
}

// NewWrites returns the state of a server with working writes. Probe writes a small
// value to the database and to the bucket. Database is the name of the database in
// logs.
func NewWrites(log *slog.Logger, clock instant.Clock, database string, probe func(context.Context) error) *Writes {
	return &Writes{log: log, clock: clock, probe: probe, database: database}
}

// Observe records an error of a write. Observe ignores an error with another cause. A
// nil Writes ignores every error.
func (w *Writes) Observe(ctx context.Context, err error) {
	if kind := KindOf(err); w != nil && kind != "" {
		w.set(ctx, kind, err)
	}
}

// Explain calls Observe. For a failed write, Explain returns the error for the caller;
// any other error is returned unchanged.
func (w *Writes) Explain(ctx context.Context, err error) error {
	w.Observe(ctx, err)
	if refusal := Fault(err); refusal != nil {
		return refusal
	}
	return err
}

// set records the result of a write, and logs a change.
func (w *Writes) set(ctx context.Context, kind Kind, err error) {
	w.mu.Lock()
	before := w.kind
	w.kind = kind
	w.mu.Unlock()
	switch {
	case kind == before:
	case kind == "":
		w.log.InfoContext(ctx, "writing works again", "after", string(before))
	default:
		w.log.ErrorContext(ctx, "cannot write: only what reads is answered until this ends",
			"kind", string(kind), "remedy", kind.Remedy(), "error", err, "database", w.database)
	}
}

// Current returns the reason why the server cannot write. Current probes only while
// writes fail.
func (w *Writes) Current(ctx context.Context) Kind { return w.probeIfDue(ctx, false) }

// Probe returns the reason why the server cannot write, by a probe at most
// probeInterval old.
func (w *Writes) Probe(ctx context.Context) Kind { return w.probeIfDue(ctx, true) }

func (w *Writes) probeIfDue(ctx context.Context, always bool) Kind {
	if !w.probing.TryLock() { // another caller probes: return the last result
		kind, _ := w.state()
		return kind
	}
	defer w.probing.Unlock()
	kind, probed := w.state()
	now := w.clock()
	if kind == "" && !always || probed != 0 && now.Sub(probed) < probeInterval {
		return kind
	}
	w.mu.Lock()
	w.probed = now
	w.mu.Unlock()
	// Other callers use the result too, so the end of this request must not cancel the
	// probe.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	err := w.probe(ctx)
	if failed := KindOf(err); err == nil || failed != "" {
		w.set(ctx, failed, err)
		return failed
	}
	return kind // the database or the bucket cannot be reached: this says nothing about writes
}

func (w *Writes) state() (Kind, instant.Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kind, w.probed
}
