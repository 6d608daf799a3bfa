package labelrepo

import "tagma/internal/domain/labelrepo/bare"

// treeCache stores the trees of the tip for the next batch, up to a limit in
// bytes. Trees that are not in the cache are read from the disk. The cache is
// guarded by Repo.buildMu, and owns the contents, because a batch changes them in
// place.
type treeCache struct {
	limit int
	size  int
	trees map[bare.Hash][]byte
}

// pop removes a tree and returns its content, which belongs to the caller.
func (c *treeCache) pop(hash bare.Hash) ([]byte, bool) {
	content, found := c.trees[hash]
	c.remove(hash)
	return content, found
}

// put stores a tree. The content belongs to the cache afterwards.
func (c *treeCache) put(hash bare.Hash, content []byte) {
	c.remove(hash)
	if len(content) > c.limit {
		return
	}
	for h := range c.trees { // in any order: folders are written at random
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
