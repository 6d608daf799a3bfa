package graph

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/cost"
)

// circles is an operation whose edges lead back to where they came from, so that
// its answer has many more objects than there are rows.
func circles() operation {
	return operation{
		query: `query($series: [SeriesInput!]!) { imageSeries(series: $series) { nodes { id
			annotations { image { annotations { id image { annotations { id objects { name } } } } } } } } }`,
		variables: map[string]any{"series": []any{oneSeries("%", 0, 9)}},
	}
}

// ended expects the one error of an answer that has passed a limit.
func ended(t *testing.T, h http.Handler, o operation, want string) (statements int64) {
	t.Helper()
	data, errors, statements := answer(t.Context(), h, o)
	if string(data) != "null" || len(errors) != 1 || !strings.Contains(errors[0], `"TOO_LARGE"`) || !strings.Contains(errors[0], want) {
		t.Errorf("answered %.300s with %d errors %.600s, want null and one TOO_LARGE that says %q", data, len(errors), errors, want)
	}
	return statements
}

func TestCost_AnAnswerThatPassesALimitEndsWithOneErrorInBothEngines(t *testing.T) {
	each(t, func(t *testing.T, w *ways) {
		for want, limits := range map[string]cost.Limits{
			"more than 100 objects":            {Objects: 100},
			"more than 4000 bytes":             {Bytes: 4000},
			"takes the database more than 1ns": {Database: time.Nanosecond},
		} {
			fast, ordinary := w.bounded(limits)
			ended(t, ordinary, circles(), want)
			before := w.left.Load()
			// imageSeries, annotations, images, annotations, images, annotations.
			if took := ended(t, fast, circles(), want); took > 6 {
				t.Errorf("%s: %d statements, want 6 at most", want, took)
			}
			if left := w.left.Load() - before; left != 0 {
				t.Errorf("%s: %d fields were begun again by their resolvers, want none", want, left)
			}
		}
		_, ordinary := w.bounded(cost.Limits{Resolved: 100})
		ended(t, ordinary, circles(), "more than 100 objects that are resolved one by one")
	})
}

func TestCost_AnAnswerJustWithinEachLimitIsWhole(t *testing.T) {
	each(t, func(t *testing.T, w *ways) {
		for _, o := range []operation{circles(), {
			query: `query($series: [SeriesInput!]!) { imageSeries(series: $series) { edges { cursor node { file { url } device { images(first: 2) { nodes { id } pageInfo { endCursor } } }
				annotations { algorithm { name } objects { name contour } } } } pageInfo { hasNextPage } }
				activity(series: $series, every: "PT1M") { start temperature { mean } } device(name: "1b74105a") { name } }`,
			variables: circles().variables,
		}} {
			whole, _, _ := answer(t.Context(), w.ordinary, o)
			objects := int64(strings.Count(string(whole), "{")) - 1 // that around all
			null := int64(strings.Count(string(whole), ":null"))
			fast, ordinary := w.bounded(cost.Limits{Objects: objects + null, Bytes: int64(len(whole)) + 4000})
			for name, h := range map[string]http.Handler{"fast": fast, "ordinary": ordinary} {
				if got, errors, _ := answer(t.Context(), h, o); string(got) != string(whole) {
					t.Errorf("%s, with a limit of %d objects: %.300s %s, want %.300s", name, objects, got, errors, whole)
				}
			}
			fast, ordinary = w.bounded(cost.Limits{Objects: objects - 1})
			ended(t, fast, o, "objects")
			ended(t, ordinary, o, "objects")
			fast, ordinary = w.bounded(cost.Limits{Bytes: int64(len(whole)) - 1})
			ended(t, fast, o, "bytes")
			ended(t, ordinary, o, "bytes")
		}
	})
}

func TestCost_TheWholeContractCanBeAskedForByTheResolvers(t *testing.T) {
	w := newWays(t, sqlite(t))
	// What tools send: GraphQL's own reference query, in short.
	const introspection = `query { __schema { queryType { name } types { ...T } directives { name args { ...I } } } }
		fragment T on __Type { kind name description fields(includeDeprecated: true) { name description args { ...I } type { ...R } isDeprecated }
			inputFields { ...I } interfaces { ...R } enumValues(includeDeprecated: true) { name description } possibleTypes { ...R } }
		fragment I on __InputValue { name description type { ...R } defaultValue }
		fragment R on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } } } } }`
	data, errors, _ := answer(t.Context(), w.fast, operation{query: introspection})
	if len(errors) > 0 || len(data) < 10_000 {
		t.Errorf("answered %.300s %s", data, errors)
	}
	t.Logf("%d bytes, %d objects", len(data), strings.Count(string(data), "{"))
}
