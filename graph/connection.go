package graph

import (
	"context"

	"tagma/internal/base/page"
)

// connection resolves what gqlgen cannot find in a generic type by itself.
type connection[T any] struct{}

func (connection[T]) Edges(_ context.Context, p *page.Page[T]) ([]*page.Edge[T], error) {
	return p.Edges(), nil
}

func (connection[T]) TotalCount(ctx context.Context, p *page.Page[T]) (int, error) {
	return p.TotalCount(ctx)
}

// values is a list as the domain takes it. gqlgen makes pointers of its items,
// none of which is nil where the schema says so.
func values[T any](pointers []*T) []T {
	list := make([]T, len(pointers))
	for n, p := range pointers {
		list[n] = *p
	}
	return list
}

// pointers is a list as gqlgen takes it.
func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for n := range list {
		all[n] = &list[n]
	}
	return all
}
