package graph

import (
	"context"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
)

// keptNames bounds the operation names that are told apart: names are the
// callers' to choose.
const keptNames = 200

// meter measures operations by name.
type meter struct {
	seconds *prometheus.HistogramVec

	mu    sync.Mutex
	names map[string]bool
}

func newMeter(metrics prometheus.Registerer) *meter {
	m := &meter{names: map[string]bool{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tagma_graphql_operation_seconds",
		Help:    "How long GraphQL operations took, by name, kind and outcome. Beyond 200 names they are one, \"other\".",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 60},
	}, []string{"operation", "kind", "outcome"})}
	metrics.MustRegister(m.seconds)
	return m
}

func (m *meter) measure(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	began := time.Now()
	operation := graphql.GetOperationContext(ctx)
	respond := next(ctx)
	return func(ctx context.Context) *graphql.Response {
		response := respond(ctx)
		outcome := "ok"
		if response != nil && len(response.Errors) > 0 {
			outcome = "error"
		}
		m.seconds.WithLabelValues(m.name(operation.Operation.Name), string(operation.Operation.Operation), outcome).
			Observe(time.Since(began).Seconds())
		return response
	}
}

func (m *meter) name(name string) string {
	if name == "" {
		return "unnamed"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.names[name] {
		if len(m.names) >= keptNames {
			return "other"
		}
		m.names[name] = true
	}
	return name
}
