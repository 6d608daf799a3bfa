package labels

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"sync"

	"tagma/internal/storage/database"
)

// groupCommit is the queue of submissions that arrive while another request writes a
// group. The first request with the turn writes the queue as one group. A group waits
// for the disk once, because the number of flushes bounds the number of writes per
// second.
type groupCommit struct {
	mu    sync.Mutex
	queue []*entry
	turn  chan struct{} // holds one token while a request writes a group
}

// maxGroup is the largest number of rows in one statement. The number of rows is
// always a power of two, because each number of rows is a different statement, and
// every connection plans and caches each statement.
const maxGroup = 128

var errInterrupted = errors.New("the request that wrote for others did not end")

// recordInGroup records a submission together with the submissions that arrive at the
// same time, and returns the receipt.
func (l *Service) recordInGroup(e *entry) (*Receipt, error) {
	receipt, err := l.receiptOfRepeat(e)
	if receipt != nil || err != nil {
		return receipt, err
	}
	ctx := e.ctx
	e.ctx = context.WithoutCancel(ctx) // a client that disconnects must not undo the rows of other requests
	e.done = make(chan struct{})
	l.group.mu.Lock()
	l.group.queue = append(l.group.queue, e)
	l.group.mu.Unlock()
	for {
		select {
		case <-e.done:
			return e.receipt, e.err
		case <-ctx.Done():
			return nil, ctx.Err()
		case l.group.turn <- struct{}{}:
			l.insertGroup()
		}
	}
}

// insertGroup inserts the rows of the queue, at most maxGroup, and releases the turn.
// The caller holds the turn.
func (l *Service) insertGroup() {
	l.group.mu.Lock()
	n := min(len(l.group.queue), maxGroup)
	if n > 0 {
		n = 1 << (bits.Len(uint(n)) - 1)
	}
	all := l.group.queue[:n:n]
	l.group.queue = l.group.queue[n:]
	l.group.mu.Unlock()
	for _, e := range all {
		e.err = errInterrupted
	}
	defer func() {
		for _, e := range all {
			close(e.done)
		}
		<-l.group.turn
	}()
	if n == 0 {
		return
	}
	// All servers insert in the order of file names, so the transactions of two
	// servers never deadlock.
	slices.SortStableFunc(all, func(a, b *entry) int { return strings.Compare(a.s.filename(), b.s.filename()) })
	err := l.insert(all[0].ctx, all)
	stale := database.IsUnique(err) // the lookup of at least one entry
	if stale {
		l.lastConflict.Store(int64(l.clock()))
	}
	for _, e := range all {
		if e.err = err; err != nil { // record one by one, so that each request gets its own error
			e.receipt, e.err = l.record(e, stale)
		}
	}
}
