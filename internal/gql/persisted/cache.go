package persisted

import (
	"container/list"
	"context"
	"sync"
)

// Cache holds values by key, up to a total size: Cache drops the least recently used
// value first. Cache is safe for concurrent use, and implements gqlgen's
// graphql.Cache.
type Cache[T any] struct {
	maxBytes int
	weight   func(key string, value T) int

	mu    sync.Mutex
	bytes int
	items map[string]*list.Element // of type entry
	order list.List                // the last used first
}

type entry[T any] struct {
	key   string
	value T
	bytes int
}

// NewCache returns a cache of at most maxBytes. weight returns the size of a value in
// bytes.
func NewCache[T any](maxBytes int, weight func(key string, value T) int) *Cache[T] {
	return &Cache[T]{maxBytes: maxBytes, weight: weight, items: map[string]*list.Element{}}
}

// Get returns the value of a key, if the cache has one.
func (c *Cache[T]) Get(_ context.Context, key string) (value T, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(element)
	return element.Value.(entry[T]).value, true
}

// Add stores a value, unless the value alone is too large. The value of an existing
// key stays.
func (c *Cache[T]) Add(_ context.Context, key string, value T) {
	bytes := c.weight(key, value)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[key]; ok || bytes > c.maxBytes {
		return
	}
	c.items[key] = c.order.PushFront(entry[T]{key, value, bytes})
	for c.bytes += bytes; c.bytes > c.maxBytes; {
		last := c.order.Remove(c.order.Back()).(entry[T])
		delete(c.items, last.key)
		c.bytes -= last.bytes
	}
}
