package labelrepo

import "tagma/internal/domain/labelrepo/bare"

// treeCache keeps the trees of the tip, which the next batch builds upon, up
// to a number of bytes. A tree that is not in it is read from the disk. It is
// the writer's alone, who changes in place what it takes out.
type treeCache struct {
	limit int
	size  int
	trees map[bare.Hash][]byte
}

// pop gives a tree away.
func (c *treeCache) pop(hash bare.Hash) ([]byte, bool) {
	content, found := c.trees[hash]
	c.remove(hash)
	return content, found
}

// put keeps a tree, which belongs to the cache from now on.
func (c *treeCache) put(hash bare.Hash, content []byte) {
	c.remove(hash)
	if len(content) > c.limit {
		return
	}
	for h := range c.trees { // any will do: folders are written at random
		if c.size+len(content) <= c.limit {
			break
		}
		c.remove(h)
	}
	if c.trees == nil {
		c.trees = map[bare.Hash][]byte{}
	}
	c.trees[hash] = content
	c.size += len(content)
}

func (c *treeCache) remove(hash bare.Hash) {
	if content, found := c.trees[hash]; found {
		c.size -= len(content)
		delete(c.trees, hash)
	}
}

func (c *treeCache) clear() {
	clear(c.trees)
	c.size = 0
}
