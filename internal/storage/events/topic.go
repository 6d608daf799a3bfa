package events

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxRemembered is the number of delivered ids that a topic remembers. A
	// scan does not find a row that is committed after so many rows with larger
	// ids.
	maxRemembered = 1000
	// loadBatch is the number of rows loaded by one query.
	loadBatch = 500
	// maxQueued is the largest number of ids that wait for loading.
	maxQueued = 10_000
	// subscriptionBuffer is the largest number of rows that wait for one subscriber.
	// It is large enough for a thousand annotations stored at once.
	subscriptionBuffer = 2048
)

// Source defines the rows of a topic.
type Source[T any] struct {
	Name  string // one word, used in messages between servers
	Table string // has an ascending column id
	Load  func(ctx context.Context, ids []int64) (map[int64]T, error)

	// State returns the state of a row, and whether the state is final. A row
	// is delivered once in each state. Nil means that a row is delivered once
	// only.
	State func(T) (state string, final bool)
}

// Topic is one kind of row, with subscriptions.
type Topic[T any] struct {
	hub    *Hub
	source Source[T]

	mu            sync.Mutex
	subscriptions map[*Subscription[T]]struct{}
	queue         []int64
	scanRequested bool
	wake          chan struct{}
	started       bool
	ready         chan struct{} // closed when started

	// Only run uses the following fields, after started:
	floor         int64            // a scan skips ids at or below floor
	lastState     map[int64]string // state of a row at its last delivery
	openRows      map[int64]bool   // delivered rows whose state is not final
	deliveryOrder []int64          // delivered ids, the oldest first
}

// NewTopic adds a topic to a hub. Call NewTopic before Hub.Start.
func NewTopic[T any](h *Hub, source Source[T]) *Topic[T] {
	t := &Topic[T]{hub: h, source: source, subscriptions: map[*Subscription[T]]struct{}{}, wake: make(chan struct{}, 1), ready: make(chan struct{})}
	h.topics[source.Name] = t
	return t
}

// Subscription receives the rows of a topic.
type Subscription[T any] struct {
	// C receives rows committed after Subscribe. Close closes C; so does the topic
	// if the reader is too slow.
	C <-chan T

	c     chan T
	wants func(T) bool
	slow  bool
	topic *Topic[T]
}

// Subscribe returns a subscription to the rows for which wants returns true. The
// caller must call Close. Wants is called from one goroutine at a time, and
// must be quick.
func (t *Topic[T]) Subscribe(ctx context.Context, wants func(T) bool) (*Subscription[T], error) {
	c := make(chan T, subscriptionBuffer)
	s := &Subscription[T]{C: c, c: c, wants: wants, topic: t}
	t.mu.Lock()
	t.subscriptions[s] = struct{}{}
	ready := t.ready
	t.signal()
	t.mu.Unlock()
	select {
	case <-ready:
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, ctx.Err()
	}
}

// Close ends the subscription. A second call has no effect.
func (s *Subscription[T]) Close() {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	s.topic.drop(s)
}

// Slow reports whether the topic closed C because the reader was too slow.
func (s *Subscription[T]) Slow() bool {
	s.topic.mu.Lock()
	defer s.topic.mu.Unlock()
	return s.slow
}

// drop ends a subscription. The caller holds t.mu.
func (t *Topic[T]) drop(s *Subscription[T]) {
	if _, ok := t.subscriptions[s]; ok {
		delete(t.subscriptions, s)
		close(s.c)
	}
}

// Publish announces committed rows, new or changed. Publish does not block.
func (t *Topic[T]) Publish(ids ...int64) {
	t.enqueue(ids)
	t.hub.queueNotify(t.source.Name, ids)
}

// enqueue queues ids of rows committed on any server.
func (t *Topic[T]) enqueue(ids []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.subscriptions) == 0 {
		return
	}
	if len(t.queue)+len(ids) <= maxQueued {
		t.queue = append(t.queue, ids...)
	}
	t.signal()
}

// requestScan makes run scan for rows without a notification.
func (t *Topic[T]) requestScan() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.scanRequested = true
	t.signal()
}

func (t *Topic[T]) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run loads rows and delivers them to subscribers until ctx ends.
func (t *Topic[T]) run(ctx context.Context) {
	ticker := time.NewTicker(scanInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			t.closeAll()
			return
		case <-ticker.C:
			t.requestScan()
		case <-t.wake:
		}
		if err := t.deliverQueued(ctx); err != nil && ctx.Err() == nil {
			t.hub.log.WarnContext(ctx, "delivery to subscribers failed; it is repeated at the next scan", "topic", t.source.Name, "error", err)
		}
	}
}

func (t *Topic[T]) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subscriptions {
		t.drop(s)
	}
}

// deliverQueued delivers the queued rows, and scans if requested.
func (t *Topic[T]) deliverQueued(ctx context.Context) error {
	t.mu.Lock()
	queuedIDs, scanRequested, idle, started := t.queue, t.scanRequested, len(t.subscriptions) == 0, t.started
	t.queue, t.scanRequested = nil, false
	if idle && started {
		t.started, t.ready = false, make(chan struct{})
	}
	t.mu.Unlock()
	if idle {
		return nil
	}
	if !started {
		if err := t.start(ctx); err != nil {
			return err
		}
	}
	err := t.deliver(ctx, queuedIDs)
	if err == nil && scanRequested {
		err = t.scan(ctx)
	}
	if err != nil { // the next scan retries
		t.mu.Lock()
		defer t.mu.Unlock()
		t.queue = append(t.queue, queuedIDs...)
	}
	return err
}

// start sets the floor: the first subscriber receives only later rows.
func (t *Topic[T]) start(ctx context.Context) error {
	err := t.hub.db.SQL.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM "+t.source.Table).Scan(&t.floor)
	if err != nil {
		return err
	}
	t.lastState, t.openRows, t.deliveryOrder = map[int64]string{}, map[int64]bool{}, nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.started = true
	close(t.ready)
	return nil
}

// scan delivers missed rows above the floor, and open rows whose state changed.
func (t *Topic[T]) scan(ctx context.Context) error {
	var openIDs []int64
	for id := range t.openRows {
		openIDs = append(openIDs, id)
	}
	if err := t.deliver(ctx, openIDs); err != nil {
		return err
	}
	for floor := t.floor; ; {
		ids, err := t.idsAbove(ctx, floor)
		if err != nil || len(ids) == 0 {
			return err
		}
		floor = ids[len(ids)-1]
		missedIDs := slices.DeleteFunc(ids, func(id int64) bool { _, ok := t.lastState[id]; return ok })
		if err := t.deliver(ctx, missedIDs); err != nil {
			return err
		}
	}
}

// idsAbove returns up to loadBatch ids above id, ascending.
func (t *Topic[T]) idsAbove(ctx context.Context, id int64) ([]int64, error) {
	rows, err := t.hub.db.SQL.QueryContext(ctx, "SELECT id FROM "+t.source.Table+" WHERE id > $1 ORDER BY id LIMIT $2", id, loadBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// deliver loads rows, and sends new and changed rows to subscribers.
func (t *Topic[T]) deliver(ctx context.Context, ids []int64) error {
	ids = slices.Clone(ids)
	if t.source.State == nil {
		ids = slices.DeleteFunc(ids, func(id int64) bool { _, ok := t.lastState[id]; return ok })
	}
	slices.Sort(ids)
	for chunk := range slices.Chunk(slices.Compact(ids), loadBatch) {
		rows, err := t.source.Load(ctx, chunk)
		if err != nil {
			return err
		}
		for _, id := range chunk {
			if row, ok := rows[id]; ok && t.remember(id, row) {
				t.send(row)
			}
		}
	}
	return nil
}

// remember records the state of a row, and reports whether the state is new.
func (t *Topic[T]) remember(id int64, row T) bool {
	state, final := "", true
	if t.source.State != nil {
		state, final = t.source.State(row)
	}
	previous, ok := t.lastState[id]
	if ok && previous == state {
		return false
	}
	t.lastState[id] = state
	delete(t.openRows, id)
	if !final {
		t.openRows[id] = true
	}
	if !ok {
		t.deliveryOrder = append(t.deliveryOrder, id)
		if len(t.deliveryOrder) > maxRemembered {
			oldest := t.deliveryOrder[0]
			t.deliveryOrder = t.deliveryOrder[1:]
			t.floor = max(t.floor, oldest)
			delete(t.lastState, oldest)
			delete(t.openRows, oldest)
		}
	}
	return true
}

// send sends a row to every subscriber that wants the row. A subscription with a
// full buffer is dropped: waiting would delay all subscribers, or memory would
// grow.
func (t *Topic[T]) send(row T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subscriptions {
		if !s.wants(row) {
			continue
		}
		select {
		case s.c <- row:
		default:
			s.slow = true
			t.drop(s)
		}
	}
}
