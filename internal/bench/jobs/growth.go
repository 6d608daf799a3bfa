package jobs

import (
	"fmt"

	"tagma/internal/bench/dataset"
)

// Sized is the data of a size: devices with 10,000 images each, ten weeks of
// one every ten minutes, which come day by day as from traps that are emptied
// once a day. One image of ten has an annotation, as an algorithm would leave it
// that looks at the nights only. So a larger lab has more traps, and what is
// asked for below is as much in each.
func Sized(images, objects, points int, seed uint64) dataset.Options {
	const ofDevice = 10_000
	devices := max(1, images/ofDevice)
	return dataset.Options{
		Devices: devices, Images: images / devices, Objects: objects, Points: points, Seed: seed,
		OneOf: 10, Batch: 144,
	}
}

// Growth is the jobs that should cost the same however much there is. What is
// written is new in each run, and so each has another name.
func Growth(run string) []Job {
	const many = 1000 // so that they come from everywhere in the tables
	between := func(data dataset.Options, variant, from, to int) map[string]any {
		device := variant % data.Devices
		return map[string]any{"device": data.Device(device), "start": data.TakenAt(device, from), "end": data.TakenAt(device, to)}
	}
	return []Job{
		{Title: "one image by key, its annotations' metadata", Variants: many, Query: byKey, Variables: key},
		{
			Title: "a page of 100 at nine tenths of all images, with pageInfo", Variants: many, Query: deepPage,
			Variables: func(data dataset.Options, variant int) map[string]any {
				return deep(data, variant*data.Total()/20/many)
			},
		},
		{
			Title: "1,000 images of one device", Variants: many, Query: ofSeries,
			Variables: func(data dataset.Options, variant int) map[string]any {
				from := variant * 7919 % (data.Images - 1000)
				return map[string]any{"series": []any{between(data, variant, from, data.Images)}, "first": 1000}
			},
		},
		{
			Title: "100 annotations of one device, with their images' times", Variants: many,
			Query: `query($series: [SeriesInput!]!, $first: Int!) { annotationSeries(series: $series, first: $first) {
				nodes { id objectCount algorithm { name version } image { id takenAt } } } }`,
			Variables: func(data dataset.Options, variant int) map[string]any {
				from := variant * 7919 % (data.Images - 100*data.OneOf)
				return map[string]any{"series": []any{between(data, variant, from, data.Images)}, "first": 100}
			},
		},
		{
			Title: "diffImages of 1,000 fingerprints of all devices", Variants: many / 10, Query: diff,
			Variables: func(data dataset.Options, variant int) map[string]any {
				prints := make([]any, 1000)
				for n := range prints {
					place := (n*data.Total()/len(prints) + variant*7) % data.Total()
					device, number := place/data.Images, place%data.Images
					prints[n] = map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number), "md5": data.MD5(device, number)}
				}
				return map[string]any{"images": prints}
			},
		},
		{
			Title: "activity by hour of one device in a week", Variants: many, Query: sums,
			Variables: func(data dataset.Options, variant int) map[string]any {
				from := variant * 7919 % (data.Images - 1008)
				return map[string]any{"series": []any{between(data, variant, from, from+1008)}, "every": "PT1H"}
			},
		},
		{
			Title: "one annotation added", Variants: 10 * many,
			Query: `mutation($input: [AnnotationInput!]!) { putAnnotations(input: $input) { results { annotation { id } } } }`,
			Variables: func(data dataset.Options, variant int) map[string]any {
				device, number := variant%data.Devices, variant*7919%data.Images
				return map[string]any{"input": []any{map[string]any{
					"image":     map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number)},
					"md5":       data.MD5(device, number),
					"algorithm": map[string]any{"name": "growth", "version": fmt.Sprintf("%s.%d", run, variant)},
					"objects":   []any{},
				}}}
			},
		},
	}
}
