package graph

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/caller"
	"tagma/internal/base/request"
)

// The bounds of the operation names that are told apart, which are the callers'
// to choose. Of the 200, those who are not signed in choose 20.
const (
	keptNames     = 200
	keptAnonymous = 20
)

// meter measures operations by name.
type meter struct {
	seconds    *prometheus.HistogramVec
	statements *prometheus.HistogramVec

	mu        sync.Mutex
	names     map[string]bool
	anonymous int // of those names
}

func newMeter(metrics prometheus.Registerer) *meter {
	m := &meter{names: map[string]bool{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tagma_graphql_operation_seconds",
		Help:    "How long GraphQL operations took, by name, kind and outcome. Beyond 200 names they are one, \"other\".",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"operation", "kind", "outcome"}), statements: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tagma_graphql_operation_statements",
		Help:    "How many SQL statements GraphQL operations took, by name.",
		Buckets: []float64{0, 1, 2, 4, 8, 16, 64, 256},
	}, []string{"operation"})}
	metrics.MustRegister(m.seconds, m.statements)
	return m
}

func (m *meter) measure(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	began := time.Now()
	operation := graphql.GetOperationContext(ctx)
	name := m.name(operation.Operation.Name, caller.From(ctx) == nil)
	before := statements(ctx)
	respond := next(ctx)
	return func(ctx context.Context) *graphql.Response {
		response := respond(ctx)
		outcome := "ok"
		if response != nil && len(response.Errors) > 0 {
			outcome = "error"
		}
		m.statements.WithLabelValues(name).Observe(float64(statements(ctx) - before))
		m.seconds.WithLabelValues(name, string(operation.Operation.Operation), outcome).
			Observe(time.Since(began).Seconds())
		return response
	}
}

// name is the label of a name. One that has been met keeps it, whoever asks.
func (m *meter) name(name string, anonymous bool) string {
	if name == "" {
		return "unnamed"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.names[name]:
		return name
	case len(m.names) >= keptNames, anonymous && m.anonymous >= keptAnonymous:
		return "other"
	case anonymous:
		m.anonymous++
	}
	m.names[name] = true
	return name
}

// statements is how many SQL statements were sent for the request until now.
func statements(ctx context.Context) int64 {
	if sent := request.From(ctx).Statements; sent != nil {
		return sent.Load()
	}
	return 0
}
