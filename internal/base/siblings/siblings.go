// Package siblings owns the grouping of rows loaded together. With groups, the
// number of SQL statements of an operation depends on the shape of the query
// and never on the number of rows.
//
// Rows loaded together hold the same *Group. When a caller requests an edge of
// one row, Load loads the edge for the whole group at once, and stores the
// result in the group for the remaining rows. The loaded rows form a group of
// their own, across all parents, so the rule holds at every depth of a query.
// Unlike a loader with a timer, Load never waits for further requests and
// issues the same statements every time.
//
// Package siblings does not own SQL, ent or GraphQL.
package siblings

import (
	"context"
	"errors"
	"sync"
)

// errFetchPanicked is the result of an edge whose fetch panicked, for the later
// callers of Load.
var errFetchPanicked = errors.New("siblings: the edge could not be loaded")

// Group holds rows of one kind, loaded together. A Group lives as long as one
// answer, and is safe for concurrent use.
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
// only for the first request of the edge. Name identifies the edge: name must
// be comparable and hold the arguments of the edge, if the answer depends on
// arguments. With a nil group, Load fetches the edge for the row self alone.
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
