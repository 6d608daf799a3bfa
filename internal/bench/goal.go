package main

import (
	"fmt"
	"slices"
	"strings"
)

// result is a line of the table of goals: Tagma compared with a peer at a job.
type result struct {
	job, against string
	goal         goal
	ratio        map[int]float64 // by number of clients
	failure      error           // the reason why there are no ratios
}

// goal is the required ratio by number of clients. Without a ratio for a number of clients,
// there is no goal for this number.
type goal struct {
	ratio  map[int]float64
	atMost bool // the ratio must be at most the goal, as for memory
}

// atLeast returns the same goal for 1 and for 8 clients.
func atLeast(ratio float64) goal { return goal{ratio: map[int]float64{1: ratio, 8: ratio}} }

func (g goal) String() string {
	sign := "≥"
	if g.atMost {
		sign = "≤"
	}
	one, eight := g.ratio[1], g.ratio[8]
	switch {
	case one == eight:
		return fmt.Sprintf("%s %g", sign, one)
	case one == 0:
		return fmt.Sprintf("%s %g with 8", sign, eight)
	}
	return fmt.Sprintf("%s %g, %s %g", sign, one, sign, eight)
}

// reached returns a text: whether the goal is reached, and if not, with which number of
// clients.
func (c result) reached() string {
	if c.failure != nil {
		reason, _, _ := strings.Cut(c.failure.Error(), "\n")
		return fmt.Sprintf("**not measured**: %.120s", strings.ReplaceAll(reason, "|", "\\|"))
	}
	var failing []string
	count := 0
	for _, clients := range []int{1, 8} {
		want, ratio := c.goal.ratio[clients], c.ratio[clients]
		if want == 0 || ratio == 0 {
			continue
		}
		count++
		if c.goal.atMost && ratio > want || !c.goal.atMost && ratio < want {
			failing = append(failing, fmt.Sprint(clients))
		}
	}
	switch {
	case count == 0:
		return "not measured"
	case len(failing) == 0:
		return "yes"
	case len(failing) == count:
		return "**no**"
	}
	return "**not with " + failing[0] + "**"
}

// resultOf returns the result of the rows of one job.
func resultOf(rows []row, against string, g goal, ratio func(row) float64) result {
	c := result{against: against, goal: g, ratio: map[int]float64{}}
	for _, r := range rows {
		c.job = r.title
		if r.failure != nil {
			c.failure = r.failure
			continue
		}
		c.ratio[r.clients] = ratio(r)
	}
	return c
}

// against returns a function that computes the ratio of a target's rate to the best rate of
// other targets.
func against(target int, others ...int) func(row) float64 {
	return func(r row) float64 {
		ratios := make([]float64, len(others))
		for n, other := range others {
			ratios[n] = r.ratio(target, other)
		}
		return slices.Min(ratios)
	}
}

// memoryRatio returns a function that computes the ratio of a target's peak memory to the
// lowest peak of other targets.
func memoryRatio(target int, others ...int) func(row) float64 {
	peak := func(r row, n int) float64 {
		return float64(slices.Max(each(r.cells[n], func(m sample) int64 { return m.peak })))
	}
	return func(r row) float64 {
		ratios := make([]float64, len(others))
		for n, other := range others {
			ratios[n] = peak(r, target) / peak(r, other)
		}
		return slices.Max(ratios)
	}
}

// goals returns the results as a table in Markdown.
func goals(results []result) string {
	var b strings.Builder
	b.WriteString("| job | against | × with 1 client | with 8 | goal | reached |\n|---|---|--:|--:|---|---|\n")
	cell := func(c result, clients int) string {
		if c.ratio[clients] == 0 {
			return ""
		}
		return short(c.ratio[clients])
	}
	for _, c := range results {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", c.job, c.against, cell(c, 1), cell(c, 8), c.goal, c.reached())
	}
	return b.String()
}
