package graph

import (
	"fmt"
	"time"

	"tagma/internal/base/rawjson"
	"tagma/internal/domain/activity"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
	"tagma/internal/gql/selection"
)

// What package selection answers that is no row of a table.

func bucketRows() selection.Type {
	column := selection.Column
	return selection.Type{Name: "ActivityBucket", Table: activity.Table, Fields: map[string]selection.Field{
		"device":      column(activity.Device),
		"start":       column(activity.Start),
		"images":      column(activity.Images),
		"objects":     column(activity.Objects),
		"temperature": {Columns: activity.Temperature[:], Fields: summaryFields, Bind: writeSummary},
		"humidity":    {Columns: activity.Humidity[:], Fields: summaryFields, Bind: writeSummary},
	}}
}

// summaryFields are in the order of the columns.
var summaryFields = []string{"min", "mean", "max"}

func writeSummary(request selection.Request) (selection.Writer, error) {
	return func(b []byte, row selection.Row) ([]byte, error) {
		if row.Value(0) == nil {
			return append(b, "null"...), nil
		}
		return selection.AppendObject(b, request.Fields, func(b []byte, name string) ([]byte, error) {
			for n, field := range summaryFields {
				if field != name {
					continue
				}
				value, ok := row.Value(n).(float64)
				if !ok {
					return b, fmt.Errorf("a summary of a %T", row.Value(n))
				}
				return rawjson.AppendFloat(b, value), nil
			}
			return b, fmt.Errorf("a summary has no %s", name)
		})
	}, nil
}

func (r *Resolver) activity(asked selection.Asked) (selection.Query, error) {
	narrow, err := activity.SelectBuckets(activity.Request{
		Series:    values(asked.Arguments["series"].([]*series.Series)),
		Every:     asked.Arguments["every"].(time.Duration),
		Algorithm: asked.Arguments["algorithm"].(*annotations.Filter),
		Objects:   asked.For(activity.Objects),
	})
	return selection.Query{Select: narrow, Most: activity.MaxBuckets}, err
}

// differenceRows are made by the domain: they have no table.
func differenceRows() selection.Type {
	return selection.Type{Name: "ImageDiff", Fields: map[string]selection.Field{
		"device":  selection.Column("device"),
		"takenAt": selection.Column("takenAt"),
		"verdict": selection.Column("verdict"),
	}}
}

func (r *Resolver) diffImages(asked selection.Asked) (selection.Query, error) {
	all, err := r.Images.Verdicts(asked.Context, given(asked.Context, "images", asked.Arguments["images"].([]*images.Fingerprint)))
	return selection.Query{Made: &selection.Made{Count: len(all), Value: func(row int, column string) any {
		switch column {
		case "device":
			return all[row].Device
		case "takenAt":
			return int64(all[row].TakenAt)
		default:
			return string(all[row].Verdict)
		}
	}}}, err
}
