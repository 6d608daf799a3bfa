package bare

import (
	"container/list"
	"sync"
)

// objectCache is an LRU cache of unpacked objects with a limit in bytes. It is
// safe for concurrent use.
type objectCache struct {
	mu       sync.Mutex
	limit    int
	size     int
	order    *list.List // of *cacheEntry, the most recently used first
	elements map[objectKey]*list.Element
}

// objectKey identifies an entry of a pack.
type objectKey struct {
	pack   *pack
	offset int64
}

type cacheEntry struct {
	key     objectKey
	kind    Kind
	content []byte
}

func newObjectCache(limit int) *objectCache {
	return &objectCache{limit: limit, order: list.New(), elements: map[objectKey]*list.Element{}}
}

func (c *objectCache) get(key objectKey) (Kind, []byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.elements[key]
	if !found {
		return 0, nil, false
	}
	c.order.MoveToFront(element)
	hit := element.Value.(*cacheEntry)
	return hit.kind, hit.content, true
}

func (c *objectCache) put(key objectKey, kind Kind, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.elements[key]; found {
		return
	}
	c.elements[key] = c.order.PushFront(&cacheEntry{key, kind, content})
	c.size += len(content)
	for c.size > c.limit {
		oldest := c.order.Remove(c.order.Back()).(*cacheEntry)
		c.size -= len(oldest.content)
		delete(c.elements, oldest.key)
	}
}

func (c *objectCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order.Init()
	clear(c.elements)
	c.size = 0
}
