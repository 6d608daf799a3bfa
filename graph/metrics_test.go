package graph

import (
	"context"
	"fmt"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"tagma/internal/base/caller"
	"tagma/internal/base/request"
)

// run measures an operation that sends some statements and answers so.
func run(ctx context.Context, m *operationMeter, name string, statements int, answer *graphql.Response) {
	ctx = request.With(ctx, request.New("192.0.2.1"))
	ctx = graphql.WithOperationContext(ctx, &graphql.OperationContext{
		Operation: &ast.OperationDefinition{Name: name, Operation: ast.Query},
	})
	request.CountStatement(ctx, "before it began")
	respond := m.measure(ctx, func(context.Context) graphql.ResponseHandler {
		return func(ctx context.Context) *graphql.Response {
			for range statements {
				request.CountStatement(ctx, "SELECT")
			}
			return answer
		}
	})
	respond(ctx)
}

// measured is how often each operation was, by name and outcome, and how many
// statements each name took.
func measured(t *testing.T, metrics *prometheus.Registry) (times map[string]uint64, statements map[string]float64) {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	times, statements = map[string]uint64{}, map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			if family.GetName() == "tagma_graphql_operation_statements" {
				statements[labels["operation"]] = metric.GetHistogram().GetSampleSum()
			} else {
				times[labels["operation"]+" "+labels["kind"]+" "+labels["outcome"]] = metric.GetHistogram().GetSampleCount()
			}
		}
	}
	return times, statements
}

func TestMeter_CountsOperationsByNameAndOutcome(t *testing.T) {
	metrics := prometheus.NewRegistry()
	m := newOperationMeter(metrics)
	run(t.Context(), m, "Night", 3, &graphql.Response{})
	run(t.Context(), m, "Night", 4, &graphql.Response{Errors: gqlerror.List{gqlerror.Errorf("no")}})
	run(t.Context(), m, "", 1, nil)
	times, statements := measured(t, metrics)
	if len(times) != 3 || times["Night query ok"] != 1 || times["Night query error"] != 1 || times["unnamed query ok"] != 1 {
		t.Errorf("operations: got %v, want one each of Night ok, Night error and unnamed ok", times)
	}
	if statements["Night"] != 7 || statements["unnamed"] != 1 {
		t.Errorf("statements: got %v, want 7 for Night and 1 for unnamed", statements)
	}
}

func TestMeter_NamesThatCallersMakeUpAreOneAfterABound(t *testing.T) {
	metrics := prometheus.NewRegistry()
	m := newOperationMeter(metrics)
	somebody := caller.With(t.Context(), &caller.Caller{Role: caller.Reader})
	for n := range maxNames { // by nobody, who gets no further than a part
		run(t.Context(), m, fmt.Sprint("Made up ", n), 0, nil)
	}
	for n := range maxNames {
		run(somebody, m, fmt.Sprint("N", n), 0, nil)
	}
	run(t.Context(), m, "N0", 0, nil) // which is known
	times, _ := measured(t, metrics)
	if len(times) != maxNames+1 || times["N0 query ok"] != 2 || times["Made up 19 query ok"] != 1 ||
		times["other query ok"] != maxNames {
		t.Errorf("%d names, %d others", len(times), times["other query ok"])
	}
}
