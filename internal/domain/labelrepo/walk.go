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

// node is a commit in a walk.
type node struct {
	hash     bare.Hash
	when     instant.Instant // committer time
	parents  []bare.Hash
	excluded bool // reachable from an excluded commit
	visited  bool // returned by next
}

// walk visits commits by committer time, the newest first. Wrong clocks do not
// hide a commit; they only make the walk longer than necessary.
type walk struct {
	repo    *Repo
	nodes   map[bare.Hash]*node
	queue   commitQueue
	pending int // number of commits in queue that are not excluded
}

func (r *Repo) newWalk() *walk { return &walk{repo: r, nodes: map[bare.Hash]*node{}} }

// add adds a commit to the queue. An excluded commit excludes all commits that it
// reaches.
func (w *walk) add(hash bare.Hash, excluded bool) error {
	if n := w.nodes[hash]; n != nil {
		if excluded {
			w.exclude(n)
		}
		return nil
	}
	commit, err := w.repo.readCommit(hash)
	if err != nil {
		return err
	}
	n := &node{hash: hash, when: commit.commitTime, parents: commit.parents, excluded: excluded}
	w.nodes[hash] = n
	heap.Push(&w.queue, n)
	if !excluded {
		w.pending++
	}
	return nil
}

// exclude marks a commit and its known ancestors as excluded.
func (w *walk) exclude(n *node) {
	for list := []*node{n}; len(list) > 0; {
		n, list = list[len(list)-1], list[:len(list)-1]
		if n.excluded {
			continue
		}
		n.excluded = true
		if !n.visited {
			w.pending--
			continue // next excludes the parents when it visits the commit
		}
		for _, p := range n.parents {
			if parent := w.nodes[p]; parent != nil {
				list = append(list, parent)
			}
		}
	}
}

// next returns the newest commit of the queue. It returns nil if all commits in
// the queue are excluded.
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

// newestFirst yields tip and all of its ancestors.
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

// commitsSince returns the commits that tip reaches and from does not reach, with
// parents before children. It returns ErrRewritten if tip does not reach from.
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

// parentsFirst returns the visited commits that are not excluded, with parents
// before children.
func (w *walk) parentsFirst(tip bare.Hash) []bare.Hash {
	var order []bare.Hash
	listed := map[bare.Hash]bool{}
	type step struct {
		*node
		parent int // index of the next parent
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

// commitQueue implements heap.Interface, the newest commit first.
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
