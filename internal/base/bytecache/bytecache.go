// Package bytecache owns a least recently used cache with a limit in bytes.
//
// Package bytecache does not own the size of a value: the caller computes the size. It
// does not own expiry either (package ttlcache).
package bytecache

import (
	"math"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Cache holds values by key, up to a total size: Cache removes the least recently used
// values first. Cache is safe for concurrent use.
type Cache[K comparable, V any] struct {
	limit  int
	sizeOf func(key K, value V) int

	mu   sync.Mutex
	size int
	lru  *simplelru.LRU[K, V]
}

// New returns an empty cache of at most limit bytes. sizeOf returns the size of a value in
// bytes, and must return the same size for the same value.
func New[K comparable, V any](limit int, sizeOf func(key K, value V) int) *Cache[K, V] {
	c := &Cache[K, V]{limit: limit, sizeOf: sizeOf}
	onRemove := func(key K, value V) { c.size -= sizeOf(key, value) }
	c.lru, _ = simplelru.NewLRU(math.MaxInt, onRemove) // fails for a capacity below 1
	return c
}

// Get returns the value of key, if the cache has one.
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(key)
}

// Add stores a value, unless the value alone exceeds the limit. If the cache has a value
// of key, Add changes nothing.
func (c *Cache[K, V]) Add(key K, value V) {
	size := c.sizeOf(key, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.limit || c.lru.Contains(key) {
		return
	}
	c.lru.Add(key, value)
	for c.size += size; c.size > c.limit; {
		c.lru.RemoveOldest()
	}
}

// Take removes the value of key and returns the value, if the cache has one.
func (c *Cache[K, V]) Take(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, ok = c.lru.Peek(key)
	c.lru.Remove(key)
	return value, ok
}

// Clear removes all values.
func (c *Cache[K, V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Purge()
}
