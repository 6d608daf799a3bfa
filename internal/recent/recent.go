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

// most bounds the memory: more is not in use at once.
const most = 10_000

// Memory is what was looked up lately. The zero value is empty. It is safe for
// concurrent use.
type Memory[K comparable, V any] struct {
	mu      sync.Mutex
	seen    map[K]sighting[V]
	changes int // how often everything was forgotten
}

type sighting[V any] struct {
	value V
	at    instant.Instant
}

// Get is what was found, if that was a moment ago. A change that comes while it
// is looked up anew is known by the number that is given back.
func (m *Memory[K, V]) Get(key K, now instant.Instant) (value V, known bool, changes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	one, known := m.seen[key]
	if age := now.Sub(one.at); !known || age < 0 || age >= Moment {
		return value, false, m.changes
	}
	return one.value, true, m.changes
}

// Put remembers what was looked up at a moment, unless something has changed
// since Get.
func (m *Memory[K, V]) Put(key K, value V, at instant.Instant, changes int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changes != changes {
		return
	}
	if m.seen == nil || len(m.seen) >= most {
		m.seen = map[K]sighting[V]{}
	}
	m.seen[key] = sighting[V]{value, at}
}

// Forget forgets everything, because something has changed.
func (m *Memory[K, V]) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = nil
	m.changes++
}
