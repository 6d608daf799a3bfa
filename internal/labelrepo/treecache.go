package labelrepo

import (
	"sync"

	"tagma/internal/labelrepo/bare"
)

// treeCache keeps the trees of the tip, which the next batch builds upon, up
// to a number of bytes. A tree that is not in it is read from the disk.
type treeCache struct {
	limit int

	mu   sync.Mutex
	held int
	at   map[bare.Hash][]byte
}

func (c *treeCache) get(hash bare.Hash) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	content, found := c.at[hash]
	return content, found
}

// replace puts the new tree of a folder in the place of its last one.
func (c *treeCache) replace(old, hash bare.Hash, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(old)
	c.drop(hash)
	if len(content) > c.limit {
		return
	}
	for h := range c.at { // any will do: folders are written at random
		if c.held+len(content) <= c.limit {
			break
		}
		c.drop(h)
	}
	if c.at == nil {
		c.at = map[bare.Hash][]byte{}
	}
	c.at[hash] = content
	c.held += len(content)
}

func (c *treeCache) drop(hash bare.Hash) {
	if content, found := c.at[hash]; found {
		c.held -= len(content)
		delete(c.at, hash)
	}
}

func (c *treeCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.at)
	c.held = 0
}
