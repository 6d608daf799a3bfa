// Package recent remembers for a moment what was looked up, where to ask the
// database each time takes a good part of a small request. It owns how long, how
// much, and that nothing is remembered of what changed while it was looked up.
// What must be forgotten is for those to say who change it.
package recent

import (
	"sync"
	"time"

	"tagma/internal/instant"
)

// Moment is how long something is remembered. What this server changes it
// forgets at once; what others change, it knows after that time.
const Moment = 500 * time.Millisecond

// maxEntries bounds the memory: more is not in use at once.
const maxEntries = 10_000

// Memory is what was looked up lately. The zero value is empty. It is safe for
// concurrent use.
type Memory[K comparable, V any] struct {
	mu         sync.Mutex
	entries    map[K]entry[V]
	generation int // how often everything was forgotten
}

type entry[V any] struct {
	value    V
	storedAt instant.Instant
}

// Get is what was found, if that was a moment ago. A change that comes while it
// is looked up anew is known by the number that is given back.
func (m *Memory[K, V]) Get(key K, now instant.Instant) (value V, ok bool, generation int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if age := now.Sub(e.storedAt); !ok || age < 0 || age >= Moment {
		return value, false, m.generation
	}
	return e.value, true, m.generation
}

// Put remembers what was looked up at a moment, unless something has changed
// since Get.
func (m *Memory[K, V]) Put(key K, value V, storedAt instant.Instant, generation int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation != generation {
		return
	}
	if m.entries == nil || len(m.entries) >= maxEntries {
		m.entries = map[K]entry[V]{}
	}
	m.entries[key] = entry[V]{value, storedAt}
}

// Forget forgets everything, because something has changed.
func (m *Memory[K, V]) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = nil
	m.generation++
}
