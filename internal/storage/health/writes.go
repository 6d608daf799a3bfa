package health

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"tagma/internal/base/instant"
)

const (
	// every is the shortest time between two probes.
	probeInterval = 5 * time.Second
	// longest bounds a probe.
	probeTimeout = 3 * time.Second
)

// Writes is what is known of a server's writing. It is safe for concurrent use.
//
// A write that fails tells Writes by Observe. While writing fails, and whenever
// somebody asks by Ask, Writes probes whether a small write works, at most once in
// five seconds. So a server notices by itself that there is room again.
type Writes struct {
	log      *slog.Logger
	clock    instant.Clock
	probe    func(context.Context) error
	database string

	turn   chan struct{} // holds a token while a probe runs
	mu     sync.Mutex
	kind   Kind
	probed instant.Instant // when the last probe began; 0 for never
}

// NewWrites returns the state of a server that can write as far as is known. Probe
// writes something small to each place that the server writes to. Where names the
// database, for the log.
func NewWrites(log *slog.Logger, clock instant.Clock, database string, probe func(context.Context) error) *Writes {
	return &Writes{log: log, clock: clock, probe: probe, database: database, turn: make(chan struct{}, 1)}
}

// Observe notes an error of a write. An error that has another cause changes
// nothing. A nil Writes ignores it.
func (w *Writes) Observe(ctx context.Context, err error) {
	if kind := KindOf(err); w != nil && kind != "" {
		w.set(ctx, kind, err)
	}
}

// Explain observes an error, and returns what a caller may read in its place if it
// is of a write that failed. It returns any other error as it is.
func (w *Writes) Explain(ctx context.Context, err error) error {
	w.Observe(ctx, err)
	if refusal := Fault(err); refusal != nil {
		return refusal
	}
	return err
}

// set notes the outcome of a write, and logs a change.
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

// Known returns why the server cannot write. It probes only while writing fails.
func (w *Writes) Current(ctx context.Context) Kind { return w.probeIfDue(ctx, false) }

// Ask returns why the server cannot write, by a probe that is at most five seconds
// old.
func (w *Writes) Probe(ctx context.Context) Kind { return w.probeIfDue(ctx, true) }

func (w *Writes) probeIfDue(ctx context.Context, always bool) Kind {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	default: // another caller probes: the last answer holds meanwhile
		kind, _ := w.state()
		return kind
	}
	kind, probed := w.state()
	now := w.clock()
	if kind == "" && !always || probed != 0 && now.Sub(probed) < probeInterval {
		return kind
	}
	w.mu.Lock()
	w.probed = now
	w.mu.Unlock()
	// The result is for others too, who do not hang up with this caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	err := w.probe(ctx)
	if failed := KindOf(err); err == nil || failed != "" {
		w.set(ctx, failed, err)
		return failed
	}
	return kind // the database or the store is not reached: that is not known to be about writing
}

func (w *Writes) state() (Kind, instant.Instant) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.kind, w.probed
}
