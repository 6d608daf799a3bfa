package page

import (
	"context"
	"testing"
)

func TestOfParents_EachParentHasItsPageAndAllAreCountedOnce(t *testing.T) {
	type child struct{ parent, number int }
	order := Order[child]{
		Columns: []Column{{Name: "number"}},
		Key:     func(c child) Key { return Key{int64(c.number)} },
	}
	counted := 0
	rows := []child{{1, 10}, {2, 20}, {1, 11}, {1, 12}}
	pages := OfParents(order, Plan{Length: 2}, []int{1, 2, 3}, rows, func(c child) int { return c.parent },
		func() (map[int]int, error) {
			counted++
			return map[int]int{1: 7, 2: 1}, nil
		})
	if counted != 0 {
		t.Errorf("before a total is requested: got %d counts, want 0", counted)
	}
	for parent, want := range map[int]struct {
		rows, total int
		hasNext     bool
	}{1: {2, 7, true}, 2: {1, 1, false}, 3: {0, 0, false}} {
		p := pages[parent]
		total, err := p.TotalCount(context.Background())
		if len(p.Nodes) != want.rows || p.PageInfo.HasNextPage != want.hasNext || total != want.total || err != nil {
			t.Errorf("parent %d: got %d rows, next page %t, total %d, %v, want %+v", parent, len(p.Nodes), p.PageInfo.HasNextPage, total, err, want)
		}
	}
	if counted != 1 {
		t.Errorf("after three totals: got %d counts, want 1", counted)
	}
}
