package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/caller"
	"tagma/internal/base/cost"
	"tagma/internal/base/fault"
	"tagma/internal/gql/selection"
)

// engineCounts returns the counters of an engineMeter: "devices compiled" for a
// field and a result.
func engineCounts(t *testing.T, metrics *prometheus.Registry) map[string]int {
	t.Helper()
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, family := range families {
		if family.GetName() != "tagma_selection_total" && family.GetName() != "tagma_input_lists_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			counts[labels["field"]+labels["type"]+" "+labels["result"]] = int(metric.GetCounter().GetValue())
		}
	}
	return counts
}

// observed returns a fast handler with its metrics and its log.
func (w *ways) observed() (h http.Handler, metrics *prometheus.Registry, log *bytes.Buffer) {
	metrics, log = prometheus.NewRegistry(), &bytes.Buffer{}
	return w.handler(cost.Limits{}, false, metrics, slog.New(slog.NewTextHandler(log, nil))), metrics, log
}

func TestEngineMeter_CountsEachResultOfASelection(t *testing.T) {
	each(t, func(t *testing.T, w *ways) {
		h, metrics, log := w.observed()
		for _, query := range []string{
			`{ devices { nodes { name } } viewer { id } }`,
			`{ a: devices { nodes { name } } b: device(name: "0a5bb6f4") { imageCount } }`,
			`{ devices(after: "x") { nodes { name } } }`,
		} {
			answer(t.Context(), h, operation{query: query})
		}
		answer(t.Context(), h, operation{
			query:     `query($prints: [ImageFingerprint!]!) { diffImages(images: $prints) { verdict image { id } } }`,
			variables: map[string]any{"prints": []any{print(0, 1, hashed)}},
		})
		want := map[string]int{"Query.devices compiled": 2, "Query.devices failed": 1, "Query.device compiled": 1, "Query.diffImages left": 1}
		if got := engineCounts(t, metrics); !maps.Equal(got, want) {
			t.Errorf("counted %v, want %v", got, want)
		}
		if log.Len() > 0 {
			t.Errorf("logged %s, want nothing: the cursor is the caller's mistake", log)
		}
		if _, err := w.db.SQL.ExecContext(t.Context(), "ALTER TABLE devices RENAME TO gone_devices"); err != nil {
			t.Fatal(err)
		}
		answer(t.Context(), h, operation{query: `{ devices { nodes { name } } }`})
		if got := engineCounts(t, metrics)["Query.devices failed"]; got != 2 {
			t.Errorf("without the table of devices: counted %d failures, want 2", got)
		}
		if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "field=Query.devices") {
			t.Errorf("without the table of devices: logged %s, want a warning of Query.devices", got)
		}
	})
}

func TestEngineMeter_WarnsOfDefectsOnly(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		warn bool
	}{
		"no error":                        {t.Context(), nil, false},
		"a defect":                        {t.Context(), errors.New("an unexpected type"), true},
		"the caller's mistake":            {t.Context(), fmt.Errorf("wrapped: %w", fault.New(fault.BadInput, "not a cursor")), false},
		"a deadline":                      {t.Context(), context.DeadlineExceeded, false},
		"a request that has ended":        {ended, errors.New("interrupted"), false},
		"a database that restarts":        {t.Context(), &pq.Error{Code: "57P01"}, false},
		"a statement with a syntax error": {t.Context(), &pq.Error{Code: "42601"}, true},
	} {
		log := &bytes.Buffer{}
		newEngineMeter(prometheus.NewRegistry(), slog.New(slog.NewTextHandler(log, nil))).selection(c.ctx, "Query.devices", selection.Failed, c.err)
		if got := log.Len() > 0; got != c.warn {
			t.Errorf("%s: warned: %t, want %t; logged %s", name, got, c.warn, log)
		}
	}
}

func TestEngineMeter_CountsRawListsByTypeAndResult(t *testing.T) {
	w := newWays(t, sqlite(t))
	w.fill(t)
	h, metrics, _ := w.observed()
	for _, o := range []operation{
		{query: `query($list: [ImageFingerprint!]!) { diffImages(images: $list) { verdict } }`, variables: map[string]any{"list": []any{print(0, 1, hashed)}}},
		{query: `query($list: [ImageFingerprint!]!) { diffImages(images: $list) { verdict } }`, variables: map[string]any{"list": []any{map[string]any{"device": 1}}}},
		{query: `query($list: [ImageKey!]!) { images(keys: $list) { id } }`, variables: map[string]any{"list": []any{imageKey(0, 1)}}},
		{query: `{ devices { nodes { id } } }`, variables: map[string]any{"list": []any{1}}},
	} {
		o.wide, o.role = true, caller.Reader
		answer(t.Context(), h, o)
	}
	got := engineCounts(t, metrics)
	want := map[string]int{"ImageFingerprint decoded": 1, "ImageFingerprint left": 1, "other left": 2}
	for label, n := range want {
		if got[label] != n {
			t.Errorf("counted %d times %q, want %d; all: %v", got[label], label, n, got)
		}
	}
}
