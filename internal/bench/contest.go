package main

import (
	"context"
	"fmt"
)

// peer is a program that Tagma is compared with at one job.
type peer struct {
	name string
	goal goal
	run  runner
	err  error // the reason why the peer cannot be measured here
}

// compareWith measures Tagma and the peers, and returns a result for each peer.
func (s *settings) compareWith(ctx context.Context, on, title string, tagma runner, peers ...peer) ([]result, error) {
	names, runners := []string{"Tagma"}, []runner{tagma}
	for _, p := range peers {
		if p.err != nil {
			progress("%s: not measured: %v", p.name, p.err)
			continue
		}
		names, runners = append(names, p.name), append(runners, p.run)
	}
	rows, err := s.rounds(ctx, on, title, runners)
	if err != nil {
		return nil, err
	}
	fmt.Printf("\n### %s, on %s\n\n%s", title, on, table(names, rows))
	var results []result
	n := 0
	for _, p := range peers {
		c := result{failure: p.err, against: p.name, goal: p.goal}
		if p.err == nil {
			n++
			c = resultOf(rows, p.name, p.goal, against(0, n))
		}
		c.job = title + ", on " + on
		results = append(results, c)
	}
	return results, nil
}
