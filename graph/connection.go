package graph

import (
	"context"

	"tagma/internal/base/page"
)

// connection resolves the fields of a generic type, where gqlgen finds no methods.
type connection[T any] struct{}

func (connection[T]) Edges(_ context.Context, p *page.Page[T]) ([]*page.Edge[T], error) {
	return p.Edges(), nil
}

func (connection[T]) TotalCount(ctx context.Context, p *page.Page[T]) (int, error) {
	return p.TotalCount(ctx)
}

// values returns the list in the form of the domain. gqlgen passes pointers, and
// checks that no item of a non-null type is nil.
func values[T any](pointers []*T) []T {
	list := make([]T, len(pointers))
	for n, p := range pointers {
		list[n] = *p
	}
	return list
}

// pointers returns the list in the form of gqlgen.
func pointers[T any](list []T) []*T {
	all := make([]*T, len(list))
	for n := range list {
		all[n] = &list[n]
	}
	return all
}
