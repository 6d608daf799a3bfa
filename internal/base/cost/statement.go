package cost

import (
	"sync/atomic"
	"time"
)

// Statement is one statement of the database. Its time runs from Enter to Leave:
// the work on a row, in between, is not the database's.
type Statement struct {
	meter   *Meter
	base    time.Time
	entered atomic.Int64 // nanoseconds since base, or outside
	watch   atomic.Pointer[time.Timer]
}

// outside is the value of entered while the database is not waited for.
const outside = -1

// Statement begins a statement, and enters it. The caller ends it. Statement
// returns nil, which counts nothing, for a nil Meter.
func (m *Meter) Statement() *Statement {
	if m == nil {
		return nil
	}
	s := &Statement{meter: m, base: time.Now()}
	// One call may take longer than the time left.
	s.watch.Store(time.AfterFunc(m.left(), s.look))
	return s
}

func (m *Meter) left() time.Duration {
	return max(0, m.limits.Database-time.Duration(m.database.Load()))
}

// look ends the answer if the database's time is over, and otherwise looks again
// at the earliest moment when the time may be over.
func (s *Statement) look() {
	left := s.meter.left()
	if entered := s.entered.Load(); entered != outside {
		left -= time.Since(s.base) - time.Duration(entered)
	}
	if left <= 0 {
		s.meter.slow()
	} else if watch := s.watch.Load(); watch != nil {
		watch.Reset(max(left, time.Millisecond))
	}
}

// Enter begins a wait for the database.
func (s *Statement) Enter() {
	if s != nil {
		s.entered.Store(int64(time.Since(s.base)))
	}
}

// Leave ends a wait for the database.
func (s *Statement) Leave() {
	if s == nil {
		return
	}
	spent := int64(time.Since(s.base)) - s.entered.Swap(outside)
	if s.meter.database.Add(spent) > int64(s.meter.limits.Database) {
		s.meter.slow()
	}
}

// End ends the statement, which has been left. End may be called more than once.
func (s *Statement) End() {
	if s == nil {
		return
	}
	if watch := s.watch.Swap(nil); watch != nil {
		watch.Stop()
	}
}
