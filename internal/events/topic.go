package events

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// kept is how many ids a topic remembers to have told: a row that is
	// committed after so many later ones is not found by looking.
	kept = 1000
	// loaded is how many rows are loaded at once.
	loaded = 500
	// maxHeard is how many ids may wait to be loaded.
	maxHeard = 10_000
	// waiting is how many rows may wait for one listener: a thousand annotations
	// that were put at once are no reason to let anybody go.
	waiting = 2048
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

	mu        sync.Mutex
	listeners map[*Listener[T]]struct{}
	heard     []int64
	looking   bool
	wake      chan struct{}
	begun     bool
	ready     chan struct{} // closed once begun

	// Of run alone, and of meaning once begun:
	floor int64            // what is at or below it is not looked for
	told  map[int64]string // the state in which a row was told last
	open  map[int64]bool   // rows that were told and may still change
	order []int64          // told, the earliest first
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
	c := make(chan T, waiting)
	l := &Listener[T]{C: c, c: c, wants: wants, topic: t}
	t.mu.Lock()
	t.listeners[l] = struct{}{}
	ready := t.ready
	t.awake()
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
	t.hear(ids)
	t.hub.tell(t.source.Name, ids)
}

// hear takes ids in that were committed here or elsewhere.
func (t *Topic[T]) hear(ids []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.listeners) == 0 {
		return
	}
	if len(t.heard)+len(ids) <= maxHeard {
		t.heard = append(t.heard, ids...)
	}
	t.awake()
}

// look has the topic look for what nobody told.
func (t *Topic[T]) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.looking = true
	t.awake()
}

func (t *Topic[T]) awake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run loads rows and gives them to listeners, until ctx ends.
func (t *Topic[T]) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			t.end()
			return
		case <-ticker.C:
			t.look()
		case <-t.wake:
		}
		if err := t.step(ctx); err != nil && ctx.Err() == nil {
			t.hub.log.WarnContext(ctx, "listeners hear of a change later", "topic", t.source.Name, "error", err)
		}
	}
}

func (t *Topic[T]) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.listeners {
		t.drop(l)
	}
}

// step tells what there is to tell.
func (t *Topic[T]) step(ctx context.Context) error {
	t.mu.Lock()
	ids, looking, nobody, begun := t.heard, t.looking, len(t.listeners) == 0, t.begun
	t.heard, t.looking = nil, false
	if nobody && begun {
		t.begun, t.ready = false, make(chan struct{})
	}
	t.mu.Unlock()
	if nobody {
		return nil
	}
	if !begun {
		if err := t.begin(ctx); err != nil {
			return err
		}
	}
	err := t.tell(ctx, ids)
	if err == nil && looking {
		err = t.tellMissed(ctx)
	}
	if err != nil { // again, the next time that the topic looks
		t.mu.Lock()
		defer t.mu.Unlock()
		t.heard = append(t.heard, ids...)
	}
	return err
}

// begin notes where the first listener comes in.
func (t *Topic[T]) begin(ctx context.Context) error {
	err := t.hub.db.SQL.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), 0) FROM "+t.source.Table).Scan(&t.floor)
	if err != nil {
		return err
	}
	t.told, t.open, t.order = map[int64]string{}, map[int64]bool{}, nil
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = true
	close(t.ready)
	return nil
}

// tellMissed looks for rows above the floor, and at those that may change.
func (t *Topic[T]) tellMissed(ctx context.Context) error {
	var changing []int64
	for id := range t.open {
		changing = append(changing, id)
	}
	if err := t.tell(ctx, changing); err != nil {
		return err
	}
	for above := t.floor; ; {
		ids, err := t.above(ctx, above)
		if err != nil || len(ids) == 0 {
			return err
		}
		above = ids[len(ids)-1]
		missed := slices.DeleteFunc(ids, func(id int64) bool { _, ok := t.told[id]; return ok })
		if err := t.tell(ctx, missed); err != nil {
			return err
		}
	}
}

// above gives some ids above one, in order.
func (t *Topic[T]) above(ctx context.Context, id int64) ([]int64, error) {
	rows, err := t.hub.db.SQL.QueryContext(ctx, "SELECT id FROM "+t.source.Table+" WHERE id > $1 ORDER BY id LIMIT $2", id, loaded)
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

// tell loads rows and gives those to listeners that are new or have changed.
func (t *Topic[T]) tell(ctx context.Context, ids []int64) error {
	ids = slices.Clone(ids)
	if t.source.State == nil {
		ids = slices.DeleteFunc(ids, func(id int64) bool { _, ok := t.told[id]; return ok })
	}
	slices.Sort(ids)
	for part := range slices.Chunk(slices.Compact(ids), loaded) {
		rows, err := t.source.Load(ctx, part)
		if err != nil {
			return err
		}
		for _, id := range part {
			if row, ok := rows[id]; ok && t.note(id, row) {
				t.give(row)
			}
		}
	}
	return nil
}

// note remembers a row, and says whether there is something new about it.
func (t *Topic[T]) note(id int64, row T) bool {
	state, final := "", true
	if t.source.State != nil {
		state, final = t.source.State(row)
	}
	before, known := t.told[id]
	if known && before == state {
		return false
	}
	t.told[id] = state
	delete(t.open, id)
	if !final {
		t.open[id] = true
	}
	if !known {
		t.order = append(t.order, id)
		if len(t.order) > kept {
			first := t.order[0]
			t.order = t.order[1:]
			t.floor = max(t.floor, first)
			delete(t.told, first)
			delete(t.open, first)
		}
	}
	return true
}

// give hands a row to those who want it. One who has not taken what they got
// before is let go: they would hold everything up, or memory would grow.
func (t *Topic[T]) give(row T) {
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
