package bare

import (
	"container/list"
	"sync"
)

// cache keeps the objects that were used last, up to a number of bytes.
type cache struct {
	mu    sync.Mutex
	limit int
	held  int
	order *list.List // of *cached, the last used first
	at    map[place]*list.Element
}

// place is where an object lies.
type place struct {
	pack   *pack
	offset int64
}

type cached struct {
	place   place
	kind    Kind
	content []byte
}

func newCache(limit int) *cache {
	return &cache{limit: limit, order: list.New(), at: map[place]*list.Element{}}
}

func (c *cache) get(p place) (Kind, []byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.at[p]
	if !found {
		return 0, nil, false
	}
	c.order.MoveToFront(element)
	hit := element.Value.(*cached)
	return hit.kind, hit.content, true
}

func (c *cache) put(p place, kind Kind, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, found := c.at[p]; found {
		return
	}
	c.at[p] = c.order.PushFront(&cached{p, kind, content})
	c.held += len(content)
	for c.held > c.limit {
		last := c.order.Remove(c.order.Back()).(*cached)
		c.held -= len(last.content)
		delete(c.at, last.place)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order.Init()
	clear(c.at)
	c.held = 0
}
