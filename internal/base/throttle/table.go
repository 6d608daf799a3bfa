package throttle

import (
	"container/list"
	"crypto/sha256"
	"time"
)

type key [sha256.Size]byte

// table stores values by key: at most capacity values, each until ttl after the
// last put. A full table evicts the value of least heat; of equal heat, the
// value with the oldest put.
type table[V any] struct {
	capacity int
	ttl      time.Duration
	byKey    map[key]*list.Element
	byHeat   []list.List // of *entry[V]; each list starts with the oldest put
}

type entry[V any] struct {
	key      key
	value    V
	heat     int
	storedAt time.Duration
}

// newTable returns a table for values of heat 0 to maxHeat.
func newTable[V any](capacity int, ttl time.Duration, maxHeat int) table[V] {
	return table[V]{
		capacity: capacity,
		ttl:      ttl,
		byKey:    make(map[key]*list.Element),
		byHeat:   make([]list.List, maxHeat+1),
	}
}

// get returns the value of a key, or the zero value.
func (t *table[V]) get(now time.Duration, k key) V {
	element, ok := t.byKey[k]
	if !ok || t.stale(now, element) {
		var zero V
		return zero
	}
	return element.Value.(*entry[V]).value
}

// put sets the value of a key, and evicts another value from a full table.
func (t *table[V]) put(now time.Duration, k key, heat int, value V) {
	t.drop(k)
	t.evictStale(now)
	if len(t.byKey) >= t.capacity {
		t.evictColdest()
	}
	t.byKey[k] = t.byHeat[heat].PushBack(&entry[V]{key: k, value: value, heat: heat, storedAt: now})
}

// drop removes a key, if present.
func (t *table[V]) drop(k key) {
	if element, ok := t.byKey[k]; ok {
		t.remove(element)
	}
}

func (t *table[V]) evictStale(now time.Duration) {
	for i := range t.byHeat {
		for e := t.byHeat[i].Front(); e != nil && t.stale(now, e); e = t.byHeat[i].Front() {
			t.remove(e)
		}
	}
}

func (t *table[V]) evictColdest() {
	for i := range t.byHeat {
		if e := t.byHeat[i].Front(); e != nil {
			t.remove(e)
			return
		}
	}
}

func (t *table[V]) stale(now time.Duration, e *list.Element) bool {
	return now-e.Value.(*entry[V]).storedAt >= t.ttl
}

func (t *table[V]) remove(element *list.Element) {
	e := element.Value.(*entry[V])
	t.byHeat[e.heat].Remove(element)
	delete(t.byKey, e.key)
}
