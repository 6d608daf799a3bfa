package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"slices"

	"tagma/internal/bench/jobs"
)

// measurePeers compares Tagma with the peers, and prints the ratios and the goals.
func (s *settings) measurePeers(ctx context.Context, binary string, server url.URL) error {
	if server.Host == "" {
		return errors.New("-peers: -databases must have postgres")
	}
	var all []result
	for _, measure := range []func(context.Context, string, url.URL) ([]result, error){s.lists, s.fingerprints, s.photographs, s.annotate, s.sums} {
		results, err := measure(ctx, binary, server)
		if err != nil {
			return err
		}
		all = append(all, results...)
	}
	fmt.Printf("\n### Goals\n\n%s", goals(all))
	return nil
}

// listGoal holds the goals of a list: compared with PostGraphile and with the baseline.
type listGoal struct{ peer, baseline, memory goal }

// listGoals are the goals by title of the job.
var listGoals = map[string]listGoal{
	"1,000 images of a series, 8 scalars":     {peer: goal{ratio: map[int]float64{1: 4, 8: 5}}, baseline: atLeast(0.9)},
	"100 images, nested objects and contours": {peer: goal{ratio: map[int]float64{1: 7, 8: 12}}, baseline: atLeast(1.3)},
	"1,000 images, nested objects and contours": {
		peer: goal{ratio: map[int]float64{8: 12}}, memory: goal{ratio: map[int]float64{8: 0.7}, atMost: true},
	},
	"one image by key, its annotations' metadata":               {peer: goal{ratio: map[int]float64{1: 3, 8: 4}}, baseline: atLeast(0.85)},
	"a page of 100 at nine tenths of all images, with pageInfo": {peer: goal{ratio: map[int]float64{1: 2.5, 8: 3.5}}, baseline: atLeast(0.8)},
}

// lists compares Tagma on PostgreSQL with Tagma on SQLite, PostGraphile and the baseline, in
// the same rounds.
func (s *settings) lists(ctx context.Context, binary string, server url.URL) ([]result, error) {
	var selected []jobs.Job
	for _, j := range jobs.All() {
		if _, ok := listGoals[j.Title]; ok && s.only.MatchString(j.Title) {
			selected = append(selected, j)
		}
	}
	if len(selected) == 0 {
		return nil, nil
	}
	l, urls, err := s.startTagmas(ctx, binary, server)
	defer func() { l.close() }()
	if err != nil {
		return nil, err
	}
	peers, peerErr := s.addPostGraphile(ctx, &l, urls.postgres)
	if peerErr != nil {
		progress("PostGraphile: not measured: %v", peerErr)
	}
	if err := l.add(startBaseline(s.folder, urls.postgres)); err != nil {
		return nil, err
	}
	rows, err := s.measureJobs(ctx, "lists", l, selected)
	if err != nil {
		return nil, err
	}
	fmt.Printf("\n### Lists, on PostgreSQL and SQLite\n\n%s", table(l.names(), rows))

	baseline := len(l) - 1
	var results []result
	for ofJob := range slices.Chunk(rows, len(s.clients)) {
		add := func(against string, g goal, ratio func(row) float64, failure error) {
			switch {
			case g.ratio == nil:
			case failure != nil:
				results = append(results, result{job: ofJob[0].title, against: against, goal: g, failure: failure})
			default:
				results = append(results, resultOf(ofJob, against, g, ratio))
			}
		}
		g := listGoals[ofJob[0].title]
		add("PostGraphile", g.peer, against(0, peers...), peerErr)
		add("PostGraphile's peak memory", g.memory, memoryRatio(0, peers...), peerErr)
		add("the baseline", g.baseline, against(0, baseline), nil)
		add("SQLite to PostgreSQL, both Tagma", atLeast(0.9), against(1, 0), nil)
	}
	return results, nil
}

// addPostGraphile adds PostGraphile with one process and, with two cores or more, PostGraphile
// with two processes. addPostGraphile returns the indexes of the targets.
func (s *settings) addPostGraphile(ctx context.Context, l *targetList, databaseURL string) (indexes []int, err error) {
	folder, err := installPostGraphile(ctx, s.folder)
	if err != nil {
		return nil, err
	}
	for n := range min(2, runtime.NumCPU()) {
		if err := l.add(startPostGraphile(folder, databaseURL, n+1)); err != nil {
			return nil, err
		}
		indexes = append(indexes, len(*l)-1)
	}
	return indexes, nil
}

// databaseURLs are the URLs of two databases with the same data.
type databaseURLs struct{ postgres, sqlite string }

// startTagmas starts Tagma on PostgreSQL and Tagma on SQLite, with the same data.
func (s *settings) startTagmas(ctx context.Context, binary string, server url.URL) (l targetList, urls databaseURLs, err error) {
	if urls.postgres, err = fillPostgres(ctx, server, s.data); err != nil {
		return nil, urls, err
	}
	if urls.sqlite, err = fillSQLite(ctx, s.folder, s.data); err != nil {
		return nil, urls, err
	}
	for _, one := range []struct{ name, databaseURL string }{{"Tagma", urls.postgres}, {"Tagma on SQLite", urls.sqlite}} {
		token, err := createTokenAt(ctx, one.databaseURL)
		if err != nil {
			return l, urls, err
		}
		if err := l.add(startTagma(one.name, binary, s.folder, one.databaseURL, token, nil)); err != nil {
			return l, urls, err
		}
	}
	return l, urls, nil
}
