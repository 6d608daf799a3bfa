package jobs

import (
	"fmt"

	"tagma/internal/bench/dataset"
)

// Sized returns the options for a number of images. Each device has 10,000 images: ten weeks,
// an image every ten minutes. Images are inserted day by day, as a lab uploads the images of
// all traps once a day. Every tenth image has an annotation, as if an algorithm processed the
// nights only. A larger number of images means more devices, so each request of Growth concerns
// the same number of rows.
func Sized(images, objects, points int, seed uint64) dataset.Options {
	const ofDevice = 10_000
	devices := max(1, images/ofDevice)
	return dataset.Options{
		Devices: devices, Images: images / devices, Objects: objects, Points: points, Seed: seed,
		OneOf: 10, Batch: 144,
	}
}

// Growth returns jobs whose cost should not depend on the number of images, followed by two
// jobs whose cost must grow: reading rows outside all caches, and counting all rows. Run is
// part of the written rows, and must be different in each run: a repeated annotation would
// change nothing.
func Growth(run string) []Job {
	// There are few requests, for rows from all parts of the tables, so the rows are in a cache
	// at all sizes.
	device := func(data dataset.Options, variant int) int { return variant * 7919 % data.Devices }
	weeks := func(data dataset.Options, variant, length int) []any {
		device, from := device(data, variant), variant*104_729%(data.Images-length)
		return []any{map[string]any{"device": data.Device(device), "start": data.TakenAt(device, from), "end": data.TakenAt(device, from+length)}}
	}
	thousand := func(data dataset.Options, variant int) map[string]any {
		return map[string]any{"series": weeks(data, variant, 1000), "first": 1000}
	}
	return []Job{
		{
			Title: "one image by key, its annotations' metadata", Variants: variants, Query: byKey,
			Variables: func(data dataset.Options, variant int) map[string]any {
				device, number := device(data, variant), variant*104_729%data.Images
				return map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number)}
			},
		},
		{
			Title: "a page of 100 at nine tenths of all images, with pageInfo", Variants: variants, Query: deepPage,
			Variables: func(data dataset.Options, variant int) map[string]any {
				return deep(data, variant*data.Total()/20/variants)
			},
		},
		{Title: "1,000 images of one device", Variants: variants, Query: ofSeries, Variables: thousand},
		{Title: "the same with what was seen in them, its objects and contours", Variants: variants, Query: nested, Variables: thousand},
		{
			Title: "100 annotations of one device, with their images' times", Variants: variants,
			Query: `query($series: [SeriesInput!]!, $first: Int!) { annotationSeries(series: $series, first: $first) {
				nodes { id objectCount algorithm { name version } image { id takenAt } } } }`,
			Variables: func(data dataset.Options, variant int) map[string]any {
				return map[string]any{"series": weeks(data, variant, 100*data.OneOf), "first": 100}
			},
		},
		{
			Title: "diffImages of 1,000 that came last, of all devices", Variants: 10, Query: diff,
			Variables: func(data dataset.Options, variant int) map[string]any {
				prints := make([]any, 1000)
				for n := range prints {
					device, number := n%data.Devices, data.Images-1-n/data.Devices-variant
					prints[n] = map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number), "md5": data.MD5(device, number)}
				}
				return map[string]any{"images": prints}
			},
		},
		{
			Title: "activity by hour of one device in a week", Variants: variants, Query: sums,
			Variables: func(data dataset.Options, variant int) map[string]any {
				return map[string]any{"series": weeks(data, variant, 7*data.Batch), "every": "PT1H"}
			},
		},
		{
			Title: "one annotation added, to an image that came last", Variants: 10_000,
			Query: `mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } } } }`,
			Variables: func(data dataset.Options, variant int) map[string]any {
				device, number := device(data, variant), data.Images-1-variant%data.Batch
				return map[string]any{"input": []any{map[string]any{
					"image":     map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number)},
					"md5":       data.MD5(device, number),
					"algorithm": map[string]any{"name": "growth", "version": fmt.Sprintf("%s.%d", run, variant)},
					"objects":   []any{},
				}}}
			},
		},
		{Title: "1,000 images of one device, other ones each time", Variants: 5000, Query: ofSeries, Variables: thousand},
		{
			Title: "totalCount of all images", Variants: 1,
			Query: `query($series: [SeriesInput!]!) { imageSeries(series: $series, first: 1) { totalCount } }`,
			Variables: func(data dataset.Options, _ int) map[string]any {
				return map[string]any{"series": series(data, "%")}
			},
		},
	}
}
