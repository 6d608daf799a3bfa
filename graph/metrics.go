package graph

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/request"
	"tagma/internal/gql/selection"
	"tagma/internal/storage/database"
)

// engineMeter counts which engine answers a field (package selection or the
// resolvers), and which decoder decodes a long list. Both engines give the same
// answer, so a defect of the fast engine shows only in these counters.
type engineMeter struct {
	log        *slog.Logger
	selections *prometheus.CounterVec
	lists      *prometheus.CounterVec
}

func newEngineMeter(metrics prometheus.Registerer, log *slog.Logger) engineMeter {
	m := engineMeter{log: log, selections: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tagma_selection_total",
		Help: "Root fields with a compiled selection, by field and result: compiled, left (to the resolvers) or failed.",
	}, []string{"field", "result"}), lists: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tagma_input_lists_total",
		Help: "Long lists among the variables of operations, by the type of an item and result: decoded (at once) or left (to gqlgen).",
	}, []string{"type", "result"})}
	metrics.MustRegister(m.selections, m.lists)
	return m
}

// selection is the selection.Report of a server. It logs a failure, but
// not the caller's fault, the end of the request or an unavailable database.
func (m engineMeter) selection(ctx context.Context, field string, result selection.Result, err error) {
	m.selections.WithLabelValues(field, string(result)).Inc()
	if _, callers := errors.AsType[*fault.Error](err); err == nil || callers || ctx.Err() != nil ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || database.IsUnavailable(err) {
		return
	}
	m.log.WarnContext(ctx, "a compiled selection failed: the resolvers answer the field", "field", field, "error", err)
}

// list counts a raw list among the variables of an operation. Typ is the type of
// an item.
func (m engineMeter) list(typ string, decoded bool) {
	if listDecoders[typ] == nil {
		typ = "other"
	}
	result := "left"
	if decoded {
		result = "decoded"
	}
	m.lists.WithLabelValues(typ, result).Inc()
}

// The callers choose the names of operations, so the number of names in the metrics
// is bounded. Callers without a token get a small part of the names.
const (
	maxNames          = 200
	maxAnonymousNames = 20
)

// operationMeter measures operations by name.
type operationMeter struct {
	seconds    *prometheus.HistogramVec
	statements *prometheus.HistogramVec

	mu        sync.Mutex
	names     map[string]bool
	anonymous int // names that callers without a token chose
}

func newOperationMeter(metrics prometheus.Registerer) *operationMeter {
	m := &operationMeter{names: map[string]bool{}, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
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

func (m *operationMeter) measure(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
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

// name returns the label of an operation's name. A name with a label keeps the label
// for all callers.
func (m *operationMeter) name(name string, anonymous bool) string {
	if name == "" {
		return "unnamed"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.names[name]:
		return name
	case len(m.names) >= maxNames, anonymous && m.anonymous >= maxAnonymousNames:
		return "other"
	case anonymous:
		m.anonymous++
	}
	m.names[name] = true
	return name
}

// statements returns the number of SQL statements of the request so far.
func statements(ctx context.Context) int64 {
	if sent := request.From(ctx).Statements; sent != nil {
		return sent.Load()
	}
	return 0
}
