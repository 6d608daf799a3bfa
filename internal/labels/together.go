package labels

import (
	"context"
	"errors"
	"sync"

	"entgo.io/ent/dialect"

	ent "tagma/ent/generated"
)

// crowd is submissions that came while another was being written. On SQLite,
// which has one writer at a time, they are written in one transaction, and wait
// for the disk once: else that is what bounds how many get through.
type crowd struct {
	mu      sync.Mutex
	waiting []*entry
	turn    chan struct{} // holds one token while somebody writes for all who wait
}

// entry is a submission that waits to be written.
type entry struct {
	ctx  context.Context
	s    *Submission
	set  *ent.LabelSet
	from origin

	done    chan struct{} // closed when there is a receipt or an error
	receipt *Receipt
	err     error
}

// mostTogether bounds one transaction.
const mostTogether = 100

var errInterrupted = errors.New("whoever wrote for others did not end")

// recordTogether is record, with others who come at the same time.
func (l *Labels) recordTogether(ctx context.Context, s *Submission, set *ent.LabelSet, from origin) (*Receipt, error) {
	if l.db.Dialect != dialect.SQLite {
		return l.record(ctx, s, set, from) // the database itself gathers what is to be flushed
	}
	// Nobody's leaving may undo what the others write.
	mine := &entry{ctx: context.WithoutCancel(ctx), s: s, set: set, from: from, done: make(chan struct{})}
	l.crowd.mu.Lock()
	l.crowd.waiting = append(l.crowd.waiting, mine)
	l.crowd.mu.Unlock()
	for {
		select {
		case <-mine.done:
			return mine.receipt, mine.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case l.crowd.turn <- struct{}{}:
			l.writeAll()
		}
	}
}

// writeAll writes for those who wait, as one whose turn it is, and ends the
// turn.
func (l *Labels) writeAll() {
	l.crowd.mu.Lock()
	n := min(len(l.crowd.waiting), mostTogether)
	all := l.crowd.waiting[:n:n]
	l.crowd.waiting = l.crowd.waiting[n:]
	l.crowd.mu.Unlock()
	for _, e := range all {
		e.err = errInterrupted
	}
	defer func() {
		for _, e := range all {
			close(e.done)
		}
		<-l.crowd.turn
	}()
	if n == 0 {
		return
	}
	err := l.db.InTx(all[0].ctx, func(tx *ent.Tx) error {
		for _, e := range all {
			if e.receipt, e.err = recordIn(e.ctx, tx, e.s, e.set, e.from); e.err != nil {
				return e.err
			}
		}
		return nil
	})
	if err == nil {
		return
	}
	for _, e := range all { // so that it is told to whom it concerns
		e.receipt, e.err = l.record(e.ctx, e.s, e.set, e.from)
	}
}
