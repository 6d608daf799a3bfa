package labelrepo

import "tagma/internal/domain/labelrepo/bare"

// treeCache keeps the trees of the tip, which the next batch builds upon, up
// to a number of bytes. A tree that is not in it is read from the disk. It is
// the writer's alone, who changes in place what it takes out.
type treeCache struct {
	limit int
	held  int
	at    map[bare.Hash][]byte
}

// take gives a tree away.
func (c *treeCache) take(hash bare.Hash) ([]byte, bool) {
	content, found := c.at[hash]
	c.drop(hash)
	return content, found
}

// put keeps a tree, which belongs to the cache from now on.
func (c *treeCache) put(hash bare.Hash, content []byte) {
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
	clear(c.at)
	c.held = 0
}
