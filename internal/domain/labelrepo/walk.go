package labelrepo

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"slices"

	"tagma/internal/base/instant"
	"tagma/internal/domain/labelrepo/bare"
)

// node is a commit that a walk through history has met.
type node struct {
	hash     bare.Hash
	when     instant.Instant // by the committer's clock
	parents  []bare.Hash
	excluded bool // reached from where the walk is not to go
	visited  bool // already visited
}

// walk goes through commits from the youngest to the oldest. Clocks that were
// wrong do not make it miss one; at worst it goes further back than it needs.
type walk struct {
	repo    *Repo
	nodes   map[bare.Hash]*node
	queue   commitQueue
	pending int // how many of those that wait are not old
}

func (r *Repo) newWalk() *walk { return &walk{repo: r, nodes: map[bare.Hash]*node{}} }

// add adds a commit to begin from.
func (w *walk) add(hash bare.Hash, excluded bool) error {
	if known := w.nodes[hash]; known != nil {
		if excluded {
			w.exclude(known)
		}
		return nil
	}
	commit, err := w.repo.readCommit(hash)
	if err != nil {
		return err
	}
	n := &node{hash: hash, when: commit.committed, parents: commit.parents, excluded: excluded}
	w.nodes[hash] = n
	heap.Push(&w.queue, n)
	if !excluded {
		w.pending++
	}
	return nil
}

// exclude marks a commit as old, and those before it as far as they are known.
func (w *walk) exclude(n *node) {
	for list := []*node{n}; len(list) > 0; {
		n, list = list[len(list)-1], list[:len(list)-1]
		if n.excluded {
			continue
		}
		n.excluded = true
		if !n.visited {
			w.pending--
			continue // its parents hear of it when it is visited
		}
		for _, p := range n.parents {
			if known := w.nodes[p]; known != nil {
				list = append(list, known)
			}
		}
	}
}

// next is the youngest commit that waits, and nil when only old ones do.
func (w *walk) next(ctx context.Context) (*node, error) {
	if w.pending == 0 {
		return nil, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := heap.Pop(&w.queue).(*node)
	n.visited = true
	if !n.excluded {
		w.pending--
	}
	for _, p := range n.parents {
		if err := w.add(p, n.excluded); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// newestFirst is tip and all commits before it.
func (r *Repo) newestFirst(ctx context.Context, tip bare.Hash) iter.Seq2[bare.Hash, error] {
	return func(yield func(bare.Hash, error) bool) {
		w := r.newWalk()
		err := w.add(tip, false)
		for err == nil {
			var n *node
			if n, err = w.next(ctx); n == nil {
				break
			}
			if !yield(n.hash, nil) {
				return
			}
		}
		if err != nil {
			yield(bare.Hash{}, err)
		}
	}
}

// commitsSince is the commits that tip reaches and from does not, parents
// before children. ErrRewritten if tip does not reach from.
func (r *Repo) commitsSince(ctx context.Context, tip, from bare.Hash) ([]bare.Hash, error) {
	if tip == from {
		return nil, nil
	}
	if tip.IsZero() {
		return nil, ErrRewritten
	}
	w := r.newWalk()
	reached := from.IsZero()
	if !reached {
		if err := w.add(from, true); errors.Is(err, bare.ErrMissing) {
			return nil, ErrRewritten
		} else if err != nil {
			return nil, err
		}
	}
	if err := w.add(tip, false); err != nil {
		return nil, err
	}
	for {
		n, err := w.next(ctx)
		if err != nil {
			return nil, err
		}
		if n == nil {
			break
		}
		reached = reached || !n.excluded && slices.Contains(n.parents, from)
	}
	if !reached {
		return nil, ErrRewritten
	}
	return w.parentsFirst(tip), nil
}

// parentsFirst is the visited commits that are not old, in an order in which
// every commit comes after its parents.
func (w *walk) parentsFirst(tip bare.Hash) []bare.Hash {
	var order []bare.Hash
	listed := map[bare.Hash]bool{}
	type step struct {
		*node
		parent int // which one comes next
	}
	for path := []step{{node: w.nodes[tip]}}; len(path) > 0; {
		top := &path[len(path)-1]
		if top.parent < len(top.parents) {
			next := w.nodes[top.parents[top.parent]]
			top.parent++
			if next != nil && !next.excluded && !listed[next.hash] {
				listed[next.hash] = true
				path = append(path, step{node: next})
			}
			continue
		}
		order = append(order, top.hash)
		path = path[:len(path)-1]
	}
	return order
}

// commitQueue implements heap.Interface, the youngest first.
type commitQueue []*node

func (q commitQueue) Len() int           { return len(q) }
func (q commitQueue) Less(i, j int) bool { return q[i].when > q[j].when }
func (q commitQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *commitQueue) Push(n any)        { *q = append(*q, n.(*node)) }
func (q *commitQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
