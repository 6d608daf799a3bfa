// Package batch makes the number of SQL statements of an operation depend on
// the shape of the query and never on the number of rows.
//
// Rows that were loaded together know of each other: each holds the same
// *Group. When an edge of one of them is asked for, it is loaded for the whole
// group in one go, and the others find it there. What was loaded that way is a
// group of its own, across all the parents, so that this holds at every depth
// of a query. Nothing waits and nothing is guessed: unlike a loader with a
// timer it issues the same statements every time.
//
// The package owns the grouping. It does not know SQL, ent or GraphQL.
package batch

import (
	"context"
	"errors"
	"sync"
)

// errFetchPanicked is what the other rows hear when loading an edge panics.
var errFetchPanicked = errors.New("batch: the edge could not be loaded")

// Group is rows of one kind that were loaded together. It lives as long as the
// answer that they are for, and is safe for concurrent use.
type Group[P any] struct {
	rows []P

	mu    sync.Mutex
	edges map[any]*edge
}

type edge struct {
	once sync.Once
	rows any // map[K]R
	err  error
}

// NewGroup is the group of rows. The caller does not change rows afterwards.
func NewGroup[P any](rows []P) *Group[P] {
	return &Group[P]{rows: rows, edges: map[any]*edge{}}
}

// Load gives what fetch gives for all rows of the group, and calls it only the
// first time that this edge is asked for. The edge's name must be comparable
// and hold the arguments that change the answer. A nil group stands for the
// one row that asks.
func Load[P any, K comparable, R any](
	ctx context.Context, g *Group[P], self P, name any,
	fetch func(context.Context, []P) (map[K]R, error),
) (map[K]R, error) {
	if g == nil {
		return fetch(ctx, []P{self})
	}
	g.mu.Lock()
	e := g.edges[name]
	if e == nil {
		e = &edge{err: errFetchPanicked}
		g.edges[name] = e
	}
	g.mu.Unlock()
	e.once.Do(func() { e.rows, e.err = fetch(ctx, g.rows) })
	rows, _ := e.rows.(map[K]R)
	return rows, e.err
}
