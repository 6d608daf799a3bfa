// Package ttlcache owns a cache of values read from the database less than half a
// second ago, for lookups with a large share of the time of a small request.
// Package ttlcache owns the lifetime, the size, and the rule for races: Put
// stores nothing if Clear ran during the lookup. Package ttlcache does not own
// invalidation: whoever changes the data calls Clear.
package ttlcache

import (
	"sync"
	"time"

	"tagma/internal/base/instant"
)

// TTL is the lifetime of a value. Changes by this server take effect at once,
// because the server calls Clear. Changes by another server take effect after
// TTL.
const TTL = 500 * time.Millisecond

// maxEntries is the size at which Put empties the cache. A server in normal use
// has fewer entries.
const maxEntries = 10_000

// Cache is a cache of recently looked up values. The zero value is empty.
// Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	mu         sync.Mutex
	entries    map[K]entry[V]
	generation int // number of calls of Clear
}

type entry[V any] struct {
	value    V
	storedAt instant.Instant
}

// Get returns the value of key if the value is younger than TTL. Get also returns
// the generation; after a new lookup the caller passes the generation to Put.
func (m *Cache[K, V]) Get(key K, now instant.Instant) (value V, ok bool, generation int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if age := now.Sub(e.storedAt); !ok || age < 0 || age >= TTL {
		return value, false, m.generation
	}
	return e.value, true, m.generation
}

// Put stores a value looked up at storedAt, unless Clear was called
// since the Get that returned generation.
func (m *Cache[K, V]) Put(key K, value V, storedAt instant.Instant, generation int) {
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

// Clear empties the cache, because the data has changed.
func (m *Cache[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = nil
	m.generation++
}
