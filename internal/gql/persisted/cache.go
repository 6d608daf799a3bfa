package persisted

import (
	"container/list"
	"context"
	"sync"
)

// Cache keeps values by a string, as many as fit: the least recently used goes
// first. It is safe for concurrent use, and gqlgen's graphql.Cache.
type Cache[T any] struct {
	maxBytes int // bytes
	weight   func(key string, value T) int

	mu    sync.Mutex
	bytes int
	items map[string]*list.Element // holding an entry
	order list.List                // the last used in front
}

type entry[T any] struct {
	key   string
	value T
	bytes int
}

// NewCache keeps so many bytes at maxBytes, by what weight says of each value.
func NewCache[T any](maxBytes int, weight func(key string, value T) int) *Cache[T] {
	return &Cache[T]{maxBytes: maxBytes, weight: weight, items: map[string]*list.Element{}}
}

// Get is the value of a key, if it is still there.
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

// Add keeps a value, unless it is too large by itself. One that is there stays.
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
