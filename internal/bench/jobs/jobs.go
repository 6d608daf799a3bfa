// Package jobs owns the measured requests: queries as in real use, on the data of package dataset.
package jobs

import (
	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/bench/dataset"
	order "tagma/internal/domain/series"
)

// Job is one kind of request. The variants of a job request different rows. The variants are sent
// in turn, so no single row stays in a cache.
type Job struct {
	Name     string // the name of the baseline's statement; jobs with the same query share a name
	Title    string
	Query    string
	Variants int
	// Variables returns the variables of a variant, from 0 to Variants-1.
	Variables func(data dataset.Options, variant int) map[string]any
}

// variants is the number of variants of most jobs.
const variants = 50

// scalars are eight fields of an image. Objects are all stored fields of an object in stored order:
// the baseline can copy the stored bytes, so the comparison is the hardest for the server. The
// server also turns stored bounding boxes from lists into objects: see nameBoxes in package bench.
const (
	scalars  = `id takenAt md5 size temperature humidity latitude longitude`
	objects  = `name contour fillColour strokeColour value boundingBox { x y width height } area`
	ofSeries = `query($series: [SeriesInput!]!, $first: Int!) { imageSeries(series: $series, first: $first) { nodes { ` + scalars + ` } } }`
	nested   = `query($series: [SeriesInput!]!, $first: Int!) { imageSeries(series: $series, first: $first) {
		nodes { id takenAt annotations { id objectCount algorithm { name version } objects { ` + objects + ` } } } } }`
	byKey = `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) {
		` + scalars + ` annotations { id objectCount createdAt algorithm { name version } } } }`
	deepPage = `query($series: [SeriesInput!]!, $first: Int!, $after: String!) {
		imageSeries(series: $series, first: $first, after: $after) {
			nodes { ` + scalars + ` } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`
	diff = `query($images: [ImageFingerprint!]!) { diffImages(images: $images) { device takenAt verdict } }`
	sums = `query($series: [SeriesInput!]!, $every: Duration!) { activity(series: $series, every: $every) {
		device start images objects temperature { min mean max } humidity { min mean max } } }`
)

// All returns all jobs.
func All() []Job {
	return []Job{
		{
			Name: "series", Title: "1,000 images of a series, 8 scalars", Variants: variants,
			Query:     ofSeries,
			Variables: ofDevice(1000),
		},
		{Name: "nested", Title: "100 images, nested objects and contours", Variants: variants, Query: nested, Variables: ofDevice(100)},
		{Name: "nested", Title: "1,000 images, nested objects and contours", Variants: variants, Query: nested, Variables: ofDevice(1000)},
		{
			Name: "image", Title: "one image by key, its annotations' metadata", Variants: variants,
			Query: byKey, Variables: key,
		},
		{
			Name: "page", Title: "a page of 100 at nine tenths of all images, with pageInfo", Variants: variants,
			Query: deepPage, Variables: deep,
		},
		{
			Name: "diff", Title: "diffImages of 10,000 fingerprints", Variants: 2,
			Query: diff, Variables: fingerprints(10_000),
		},
		{
			Name: "activity", Title: "activity by hour of all images", Variants: 1,
			Query: sums,
			Variables: func(data dataset.Options, _ int) map[string]any {
				return map[string]any{"series": series(data, "%"), "every": "PT1H"}
			},
		},
	}
}

// series returns the argument for all images of the devices with names matching a pattern.
func series(data dataset.Options, device string) []any {
	return []any{map[string]any{"device": device, "start": data.TakenAt(0, 0), "end": data.End()}}
}

// Cursor returns the cursor of an image in a list by device and time.
func Cursor(device string, taken instant.Instant) string {
	at := []*ent.Image{{DeviceID: device, TakenAt: taken}}
	return *order.DeviceTime.PageOrder().Page(page.Plan{Length: 1}, at, nil).PageInfo.StartCursor
}

func ofDevice(first int) func(dataset.Options, int) map[string]any {
	return func(data dataset.Options, variant int) map[string]any {
		return map[string]any{"series": series(data, data.Device(variant%data.Devices)), "first": first}
	}
}

func key(data dataset.Options, variant int) map[string]any {
	device, number := variant%data.Devices, variant*7919%data.Images
	return map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number)}
}

func deep(data dataset.Options, variant int) map[string]any {
	place := data.Total()*9/10 + variant
	device, number := place/data.Images, place%data.Images
	return map[string]any{
		"series": series(data, "%"), "first": 100, "after": Cursor(data.Device(device), data.TakenAt(device, number)),
	}
}

// fingerprints returns the variables with a number of fingerprints: a third exist, a third exist
// with other content, and a third do not exist.
func fingerprints(most int) func(dataset.Options, int) map[string]any {
	return func(data dataset.Options, variant int) map[string]any {
		prints := make([]any, min(most, data.Total()))
		for n := range prints {
			place := (n*7 + variant) % data.Total()
			device, number := place/data.Images, place%data.Images
			taken, md5 := data.TakenAt(device, number), data.MD5(device, number)
			switch n % 3 {
			case 1:
				md5 = data.MD5(device, number+1)
			case 2:
				taken = data.End().Add(dataset.Every)
			}
			prints[n] = map[string]any{"device": data.Device(device), "takenAt": taken, "md5": md5}
		}
		return map[string]any{"images": prints}
	}
}
