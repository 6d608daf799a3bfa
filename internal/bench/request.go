package main

import (
	"context"
	"encoding/json"

	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
)

// request is the path and the body of a POST to one target.
type request struct {
	path string
	body []byte
}

// requests returns the requests of a job for this target, one of each variant.
func (c *target) requests(ctx context.Context, j jobs.Job, data dataset.Options) ([]request, error) {
	if c.makeRequests != nil {
		return c.makeRequests(ctx, c, j, data)
	}
	return requestsOf(j, data, func(variables json.RawMessage) (request, error) {
		return graphQLRequest(j.Query, variables)
	})
}

func requestsOf(j jobs.Job, data dataset.Options, write func(variables json.RawMessage) (request, error)) ([]request, error) {
	all := make([]request, j.Variants)
	for variant := range all {
		variables, err := json.Marshal(j.Variables(data, variant))
		if err != nil {
			return nil, err
		}
		if all[variant], err = write(variables); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func graphQLRequest(query string, variables any) (request, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	return request{"/graphql", body}, err
}

// baselineRequests returns the requests of a job for the baseline.
func baselineRequests(_ context.Context, _ *target, j jobs.Job, data dataset.Options) ([]request, error) {
	return requestsOf(j, data, func(variables json.RawMessage) (request, error) {
		return request{"/" + j.Name, variables}, nil
	})
}
