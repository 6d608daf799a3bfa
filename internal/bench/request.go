package main

import (
	"encoding/json"

	"tagma/internal/bench/dataset"
	"tagma/internal/bench/jobs"
)

// request is a body as one contestant takes it.
type request struct {
	path string
	body []byte
}

// requestsOf are a job's, as GraphQL and as the floor takes them: the
// variables alone.
func requestsOf(j jobs.Job, data dataset.Options) (graphql, floor []request, err error) {
	for variant := range j.Variants {
		variables, err := json.Marshal(j.Variables(data, variant))
		if err != nil {
			return nil, nil, err
		}
		whole, err := json.Marshal(map[string]any{"query": j.Query, "variables": json.RawMessage(variables)})
		if err != nil {
			return nil, nil, err
		}
		graphql = append(graphql, request{"/graphql", whole})
		floor = append(floor, request{"/" + j.Name, variables})
	}
	return graphql, floor, nil
}
