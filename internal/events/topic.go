package events

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxRemembered is how many ids a topic remembers to have told: a row that is
	// committed after so many later ones is not found by looking.
	maxRemembered = 1000
	// loadBatch is how many rows are loaded at once.
	loadBatch = 500
	// maxQueued is how many ids may wait to be loaded.
	maxQueued = 10_000
	// listenerBuffer is how many rows may wait for one listener: a thousand annotations
	// that were put at once are no reason to let anybody go.
	listenerBuffer = 2048
)

// Source says where the rows of a topic come from.
type Source[T any] struct {
	Name  string // in messages between servers: one word
	Table string // with a column id, which grows
	Load  func(ctx context.Context, ids []int64) (map[int64]T, error)

	// State tells apart what may be told of a row more than once, and whether
	// it may still change. Nil is for rows that are told once.
	State func(T) (state string, final bool)
}

// Topic is one kind of row that may be listened to.
type Topic[T any] struct {
	hub    *Hub
	source Source[T]

	mu            sync.Mutex
	listeners     map[*Listener[T]]struct{}
	queue         []int64
	scanRequested bool
	wake          chan struct{}
	started       bool
	ready         chan struct{} // closed once begun

	// Of run alone, and of meaning once begun:
	floor         int64            // what is at or below it is not looked for
	lastState     map[int64]string // the state in which a row was told last
	openRows      map[int64]bool   // rows that were told and may still change
	deliveryOrder []int64          // told, the earliest first
}

// NewTopic adds a topic to a hub that is not started yet.
func NewTopic[T any](h *Hub, source Source[T]) *Topic[T] {
	t := &Topic[T]{hub: h, source: source, listeners: map[*Listener[T]]struct{}{}, wake: make(chan struct{}, 1), ready: make(chan struct{})}
	h.topics[source.Name] = t
	return t
}

// Listener is one who listens to a topic.
type Listener[T any] struct {
	// C gives rows that were committed after Listen. It is closed by Close, or
	// when its reader is too slow.
	C <-chan T

	c     chan T
	wants func(T) bool
	slow  bool
	topic *Topic[T]
}

// Listen hears of the rows that wants says yes to, until Close. Wants is called
// from one goroutine at a time, and must be quick.
func (t *Topic[T]) Listen(ctx context.Context, wants func(T) bool) (*Listener[T], error) {
	c := make(chan T, listenerBuffer)
	l := &Listener[T]{C: c, c: c, wants: wants, topic: t}
	t.mu.Lock()
	t.listeners[l] = struct{}{}
	ready := t.ready
	t.signal()
	t.mu.Unlock()
	select {
	case <-ready:
		return l, nil
	case <-ctx.Done():
		l.Close()
		return nil, ctx.Err()
	}
}

// Close ends listening. It may be called twice.
func (l *Listener[T]) Close() {
	l.topic.mu.Lock()
	defer l.topic.mu.Unlock()
	l.topic.drop(l)
}

// Slow says whether C was closed because its reader was too slow.
func (l *Listener[T]) Slow() bool {
	l.topic.mu.Lock()
	defer l.topic.mu.Unlock()
	return l.slow
}

// drop ends a listener. The topic is locked.
func (t *Topic[T]) drop(l *Listener[T]) {
	if _, ok := t.listeners[l]; ok {
		delete(t.listeners, l)
		close(l.c)
	}
}

// Tell says that rows were committed, new or changed. It does not wait.
func (t *Topic[T]) Tell(ids ...int64) {
	t.enqueue(ids)
	t.hub.queueNotify(t.source.Name, ids)
}

// enqueue takes ids in that were committed here or elsewhere.
func (t *Topic[T]) enqueue(ids []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.listeners) == 0 {
		return
	}
	if len(t.queue)+len(ids) <= maxQueued {
		t.queue = append(t.queue, ids...)
	}
	t.signal()
}

// requestScan has the topic look for what nobody told.
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

// run loads rows and gives them to listeners, until ctx ends.
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
			t.hub.log.WarnContext(ctx, "listeners hear of a change later", "topic", t.source.Name, "error", err)
		}
	}
}

func (t *Topic[T]) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.listeners {
		t.drop(l)
	}
}

// deliverQueued tells what there is to tell.
func (t *Topic[T]) deliverQueued(ctx context.Context) error {
	t.mu.Lock()
	queuedIDs, scanRequested, idle, started := t.queue, t.scanRequested, len(t.listeners) == 0, t.started
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
	if err != nil { // again, the next time that the topic looks
		t.mu.Lock()
		defer t.mu.Unlock()
		t.queue = append(t.queue, queuedIDs...)
	}
	return err
}

// start notes where the first listener comes in.
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

// scan looks for rows above the floor, and at those that may change.
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

// idsAbove gives some ids above one, in order.
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

// deliver loads rows and gives those to listeners that are new or have changed.
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

// remember remembers a row, and says whether there is something new about it.
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

// send hands a row to those who want it. One who has not taken what they got
// before is let go: they would hold everything up, or memory would grow.
func (t *Topic[T]) send(row T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.listeners {
		if !l.wants(row) {
			continue
		}
		select {
		case l.c <- row:
		default:
			l.slow = true
			t.drop(l)
		}
	}
}
