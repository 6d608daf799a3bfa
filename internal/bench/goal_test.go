package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tagma/internal/bench/jobs"
)

// rates is a cell for each contestant, of so many requests in a second.
func rates(of ...int) [][]sample {
	cells := make([][]sample, len(of))
	for n, requests := range of {
		cells[n] = []sample{{requests: requests, took: time.Second, peak: int64(requests)}}
	}
	return cells
}

func TestGoals_ATableSaysWhichAreReachedWithHowManyClients(t *testing.T) {
	rows := []row{
		{title: "a list", clients: 1, cells: rates(100, 20, 25)},
		{title: "a list", clients: 8, cells: rates(100, 20, 50)},
	}
	got := goals([]result{
		resultOf(rows, "the better of two", goal{ratio: map[int]float64{1: 4, 8: 3}}, against(0, 1, 2)),
		resultOf(rows, "eight only", goal{ratio: map[int]float64{8: 5}}, against(0, 1)),
		resultOf(rows, "neither", atLeast(6), against(0, 1)),
		resultOf(rows, "memory of the lesser", goal{ratio: map[int]float64{8: 4.5}, atMost: true}, memoryRatio(0, 1, 2)),
		{job: "a list", against: "nobody", goal: atLeast(2), failure: errors.New("install | it\nand more")},
	})
	want := `| job | against | × with 1 client | with 8 | goal | reached |
|---|---|--:|--:|---|---|
| a list | the better of two | 4.00 | 2.00 | ≥ 4, ≥ 3 | **not with 8** |
| a list | eight only | 5.00 | 5.00 | ≥ 5 with 8 | yes |
| a list | neither | 5.00 | 5.00 | ≥ 6 | **no** |
| a list | memory of the lesser | 5.00 | 5.00 | ≤ 4.5 with 8 | **no** |
| a list | nobody |  |  | ≥ 2 | **not measured**: install \| it |
`
	if got != want {
		t.Errorf("the table is\n%s\nand not\n%s", got, want)
	}
}

func TestGoals_ARowThatFailedIsNotMeasured(t *testing.T) {
	rows := []row{
		{title: "a list", clients: 1, cells: rates(10, 1)},
		{title: "a list", clients: 8, cells: rates(10, 1), failure: errors.New("too slow")},
	}
	c := resultOf(rows, "a peer", atLeast(2), against(0, 1))
	if got := c.reached(); got != "**not measured**: too slow" || c.ratio[1] != 10 || c.ratio[8] != 0 {
		t.Errorf("it is %q with %v", got, c.ratio)
	}
}

func TestListGoals_AreOfJobsThatPostGraphileCanDo(t *testing.T) {
	queries := postGraphileQueries()
	found := 0
	for _, j := range jobs.All() {
		if _, ok := listGoals[j.Title]; ok {
			found++
			if queries[j.Name] == "" {
				t.Errorf("%s: PostGraphile has no operation", j.Title)
			}
		}
	}
	if found != len(listGoals) {
		var titles []string
		for title := range listGoals {
			titles = append(titles, title)
		}
		t.Errorf("%d of these are jobs: %s", found, strings.Join(titles, "; "))
	}
}
