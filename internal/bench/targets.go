package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"tagma/internal/bench/jobs"
	"tagma/internal/storage/database"
)

// targetList is a list of servers measured at the same jobs. The first server is Tagma.
type targetList []*target

// add appends a target that has just been started, unless err is set.
func (l *targetList) add(c *target, err error) error {
	if err == nil {
		*l = append(*l, c)
	}
	return err
}

// close ends all targets.
func (l targetList) close() {
	for _, c := range l {
		_ = c.close()
	}
}

func (l targetList) names() []string {
	names := make([]string, len(l))
	for n, c := range l {
		names[n] = c.name
	}
	return names
}

// createTokenAt returns the secret of a new token in the database at a URL.
func createTokenAt(ctx context.Context, databaseURL string) (string, error) {
	db, err := database.Open(ctx, databaseURL, database.Options{Connections: 1})
	if err != nil {
		return "", err
	}
	token, err := createToken(ctx, db)
	return token, errors.Join(err, db.Close())
}

// reads measures the jobs that only read.
func (s *settings) reads(ctx context.Context, name, binary, databaseURL string) error {
	token, err := createTokenAt(ctx, databaseURL)
	if err != nil {
		return err
	}
	var l targetList
	defer func() { l.close() }()
	if err := l.add(startTagma("Tagma", binary, s.folder, databaseURL, token, nil)); err != nil {
		return err
	}
	if s.candidate != "" {
		words := strings.Fields(s.candidate)
		candidate := words[len(words)-1]
		if err := l.add(startTagma("candidate", candidate, s.folder, databaseURL, token, words[:len(words)-1])); err != nil {
			return err
		}
	}
	if err := l.add(startBaseline(s.folder, databaseURL)); err != nil {
		return err
	}
	rows, err := s.measureJobs(ctx, name, l, jobs.All())
	if err == nil && len(rows) > 0 {
		fmt.Printf("\n### Queries on %s\n\n%s", name, table(l.names(), rows))
	}
	return err
}

// measureJobs measures the selected jobs on all targets, after a check that their answers are
// the same.
func (s *settings) measureJobs(ctx context.Context, on string, l targetList, all []jobs.Job) ([]row, error) {
	var rows []row
	for _, j := range all {
		if !s.only.MatchString(j.Title) {
			continue
		}
		requests := make([][]request, len(l))
		runners := make([]runner, len(l))
		for n, c := range l {
			var err error
			if requests[n], err = c.requests(ctx, j, s.data); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", j.Title, c.name, err)
			}
			runners[n] = c.load(requests[n])
		}
		if err := compare(ctx, l, requests); err != nil {
			return nil, fmt.Errorf("%s: %w", j.Title, err)
		}
		sample, err := s.rounds(ctx, on, j.Title, runners)
		if err != nil {
			return nil, err
		}
		rows = append(rows, sample...)
	}
	return rows, nil
}

// rounds measures the runners in turn, for each number of clients. A first run is not counted,
// because databases prepare statements and JavaScript is compiled. A failed request ends
// its row but not the run, because a failure is a result too; only a cancelled context ends
// the run.
func (s *settings) rounds(ctx context.Context, on, title string, runners []runner) ([]row, error) {
	for _, run := range runners {
		_, _ = run(ctx, 1, s.cell) // an error occurs again below
	}
	var rows []row
	for _, clients := range s.clients {
		r := row{title: title, clients: clients, cells: make([][]sample, len(runners))}
		for round := 0; round < s.repeat && r.failure == nil; round++ {
			for n, run := range runners {
				m, err := run(ctx, clients, s.cell)
				if err != nil {
					r.failure = err
					break
				}
				r.cells[n] = append(r.cells[n], m)
			}
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		progress("%s, %s, %d clients: %s", on, title, clients, r.summary())
		rows = append(rows, r)
	}
	return rows, nil
}
