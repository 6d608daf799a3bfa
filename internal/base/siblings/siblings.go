// Package siblings owns the grouping of rows that were loaded together, so that
// the number of SQL statements of an operation depends on the shape of the
// query and never on the number of rows.
//
// Rows that were loaded together hold the same *Group. When a caller requests
// an edge of one row, Load loads the edge for the whole group at once, and the
// other rows find the result in the group. The loaded rows form a group of
// their own, across all parents, so that the rule holds at every depth of a
// query. Nothing waits and nothing is guessed: unlike a loader with a timer,
// Load issues the same statements every time.
//
// Package siblings does not own SQL, ent or GraphQL.
package siblings

import (
	"context"
	"errors"
	"sync"
)

// errFetchPanicked is the error for the other rows when loading an edge panics.
var errFetchPanicked = errors.New("siblings: the edge could not be loaded")

// Group holds rows of one kind that were loaded together. A Group lives as long
// as one answer, and is safe for concurrent use.
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

// NewGroup returns the group of rows. The caller must not change rows
// afterwards.
func NewGroup[P any](rows []P) *Group[P] {
	return &Group[P]{rows: rows, edges: map[any]*edge{}}
}

// Load returns the result of fetch for all rows of the group. Load calls fetch
// only for the first request of the edge. Name identifies the edge: it must be
// comparable and hold the arguments that change the answer. With a nil group,
// Load fetches the row self alone.
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
