package siblings_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"tagma/internal/base/siblings"
)

func TestLoad_AsksOnceForTheWholeGroupHoweverManyRowsAsk(t *testing.T) {
	rows := make([]int, 100)
	for i := range rows {
		rows[i] = i
	}
	group := siblings.NewGroup(rows)
	var calls atomic.Int32
	double := func(_ context.Context, rows []int) (map[int]int, error) {
		calls.Add(1)
		doubles := map[int]int{}
		for _, row := range rows {
			doubles[row] = 2 * row
		}
		return doubles, nil
	}
	var wg sync.WaitGroup
	for _, row := range rows {
		wg.Go(func() {
			got, err := siblings.Load(t.Context(), group, row, "double", double)
			if err != nil || got[row] != 2*row {
				t.Errorf("row %d: got %d, %v", row, got[row], err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 1 {
		t.Errorf("got %d calls, want 1", calls.Load())
	}
}

func TestLoad_KeepsEdgesWithOtherArgumentsApart(t *testing.T) {
	type name struct{ edge, argument string }
	group := siblings.NewGroup([]int{1})
	for _, argument := range []string{"a", "b"} {
		got, err := siblings.Load(t.Context(), group, 1, name{"edge", argument},
			func(context.Context, []int) (map[int]string, error) { return map[int]string{1: argument}, nil })
		if err != nil || got[1] != argument {
			t.Errorf("%s: got %q, error %v, want the argument", argument, got[1], err)
		}
	}
}

func TestLoad_TellsEveryRowOfAFailure(t *testing.T) {
	group := siblings.NewGroup([]int{1, 2})
	broken := errors.New("broken")
	for row := range 2 {
		_, err := siblings.Load(t.Context(), group, row, "edge",
			func(context.Context, []int) (map[int]int, error) { return nil, broken })
		if !errors.Is(err, broken) {
			t.Errorf("row %d: %v", row, err)
		}
	}
}

func TestLoad_ARowLoadedAloneAsksForItself(t *testing.T) {
	got, err := siblings.Load(t.Context(), nil, 7, "edge",
		func(_ context.Context, rows []int) (map[int]int, error) { return map[int]int{7: len(rows)}, nil })
	if err != nil || got[7] != 1 {
		t.Errorf("got %v, %v", got, err)
	}
}
