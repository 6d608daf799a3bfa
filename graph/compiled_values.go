package graph

import (
	"fmt"

	"tagma/internal/base/rawjson"
	"tagma/internal/domain/activity"
	"tagma/internal/gql/selection"
)

// This file registers the types whose rows are not rows of a table.

func bucketType() selection.Type {
	column := selection.Column
	return selection.Type{Name: "ActivityBucket", Table: activity.Table, Fields: map[string]selection.Field{
		"device":      column(activity.Device),
		"start":       column(activity.Start),
		"images":      column(activity.Images),
		"objects":     column(activity.Objects),
		"temperature": {Columns: activity.Temperature[:], Fields: summaryFields, Bind: bindSummary},
		"humidity":    {Columns: activity.Humidity[:], Fields: summaryFields, Bind: bindSummary},
		"luminosity":  {Columns: activity.Luminosity[:], Fields: summaryFields, Bind: bindSummary},
	}}
}

// summaryFields are in the order of the columns of activity.Temperature,
// activity.Humidity and activity.Luminosity.
var summaryFields = []string{"min", "mean", "max"}

func bindSummary(request selection.BindRequest) (selection.FieldEncoder, error) {
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
					return b, fmt.Errorf("a summary is a %T, want a float64", row.Value(n))
				}
				return rawjson.AppendFloat(b, value), nil
			}
			return b, fmt.Errorf("a summary has no %s", name)
		})
	}, nil
}

func (r *Resolver) activityQuery(rootArgs selection.RootArgs, args activityArguments) (selection.RootQuery, error) {
	narrow, err := activity.SelectBuckets(activity.Request{
		Series: args.series, Every: args.every, Algorithm: args.algorithm, Objects: rootArgs.Needs(activity.Objects),
		Luminosity: rootArgs.Needs(activity.Luminosity[0]),
	})
	return selection.RootQuery{Narrow: narrow, MaxRows: activity.MaxBuckets}, err
}

// differenceType has no table: package images compares the fingerprints.
func differenceType() selection.Type {
	return selection.Type{Name: "ImageDiff", Fields: map[string]selection.Field{
		"device":  selection.Column("device"),
		"takenAt": selection.Column("takenAt"),
		"verdict": selection.Column("verdict"),
	}}
}

func (r *Resolver) diffImagesQuery(rootArgs selection.RootArgs, args diffImagesArguments) (selection.RootQuery, error) {
	all, err := r.Images.Diff(rootArgs.Context, rawListArgument(rootArgs.Context, "images", args.images), false)
	return selection.RootQuery{Static: &selection.StaticRows{Count: len(all), Value: func(row int, column string) any {
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
