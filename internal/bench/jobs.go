package main

import (
	"encoding/json"
	"fmt"

	ent "tagma/ent/generated"
	"tagma/internal/bench/dataset"
	"tagma/internal/instant"
	"tagma/internal/page"
	order "tagma/internal/series"
)

// job is one kind of request, in as many variants as devices are asked about
// in turn, so that no one row is always at hand.
type job struct {
	name      string // of the floor's path too
	title     string
	query     string
	variables func(data dataset.Options, variant int) map[string]any
	variants  int
}

// atMost bounds the variants of a job: there is one request body for each.
const atMost = 50

// scalars are eight fields of an image. Objects are all that is kept of each,
// in its order, so that the floor may copy them: the hardest for the server.
const (
	scalars = `id takenAt md5 size temperature humidity latitude longitude`
	objects = `name contour fillColour strokeColour value boundingBox area`
	nested  = `query($series: [SeriesInput!]!, $first: Int!) { imageSeries(series: $series, first: $first) {
		nodes { id takenAt annotations { id objectCount algorithm { name version } objects { ` + objects + ` } } } } }`
)

func jobs() []job {
	return []job{
		{
			name: "series", title: "1,000 images of a series, 8 scalars", variants: atMost,
			query:     `query($series: [SeriesInput!]!, $first: Int!) { imageSeries(series: $series, first: $first) { nodes { ` + scalars + ` } } }`,
			variables: ofDevice(1000),
		},
		{name: "nested", title: "100 images, nested objects and contours", variants: atMost, query: nested, variables: ofDevice(100)},
		{name: "nested", title: "1,000 images, nested objects and contours", variants: atMost, query: nested, variables: ofDevice(1000)},
		{
			name: "image", title: "one image by key, its annotations' metadata", variants: atMost,
			query: `query($device: String!, $takenAt: DateTime!) { image(device: $device, takenAt: $takenAt) {
				` + scalars + ` annotations { id objectCount createdAt algorithm { name version } } } }`,
			variables: func(data dataset.Options, variant int) map[string]any {
				device, number := variant%data.Devices, variant*7919%data.Images
				return map[string]any{"device": data.Device(device), "takenAt": data.TakenAt(device, number)}
			},
		},
		{
			name: "page", title: "a page of 100 at nine tenths of all images, with pageInfo", variants: atMost,
			query: `query($series: [SeriesInput!]!, $first: Int!, $after: String!) {
				imageSeries(series: $series, first: $first, after: $after) {
					nodes { ` + scalars + ` } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }`,
			variables: func(data dataset.Options, variant int) map[string]any {
				place := data.Total()*9/10 + variant
				device, number := place/data.Images, place%data.Images
				return map[string]any{
					"series": series(data, "%"), "first": 100, "after": cursor(data.Device(device), data.TakenAt(device, number)),
				}
			},
		},
		{
			name: "diff", title: "diffImages of 10,000 fingerprints", variants: 2,
			query:     `query($images: [ImageFingerprint!]!) { diffImages(images: $images) { device takenAt verdict } }`,
			variables: fingerprints,
		},
		{
			name: "activity", title: "activity by hour of all images", variants: 1,
			query: `query($series: [SeriesInput!]!, $every: Duration!) { activity(series: $series, every: $every) {
				device start images objects temperature { min mean max } humidity { min mean max } } }`,
			variables: func(data dataset.Options, _ int) map[string]any {
				return map[string]any{"series": series(data, "%"), "every": "PT1H"}
			},
		},
	}
}

// series is the argument for the images of the devices that match, whenever
// they were taken.
func series(data dataset.Options, device string) []any {
	return []any{map[string]any{"device": device, "start": data.TakenAt(0, 0), "end": data.End()}}
}

// cursor is the place of an image in a list by device and time.
func cursor(device string, taken instant.Instant) string {
	at := []*ent.Image{{DeviceID: device, TakenAt: taken}}
	return *order.DeviceTime.Places().Page(page.Plan{Length: 1}, at, nil).PageInfo.StartCursor
}

func ofDevice(first int) func(dataset.Options, int) map[string]any {
	return func(data dataset.Options, variant int) map[string]any {
		return map[string]any{"series": series(data, data.Device(variant%data.Devices)), "first": first}
	}
}

// fingerprints are of images of which a third is there, a third is there with
// another content, and a third is not.
func fingerprints(data dataset.Options, variant int) map[string]any {
	prints := make([]any, min(10_000, data.Total()))
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

// request is a body as one contestant takes it.
type request struct {
	path string
	body []byte
}

// requests are the job's as GraphQL and as the floor takes them: its variables
// alone.
func (j job) requests(data dataset.Options) (graphql, floor []request, err error) {
	for variant := range j.variants {
		variables, err := json.Marshal(j.variables(data, variant))
		if err != nil {
			return nil, nil, err
		}
		whole, err := json.Marshal(map[string]any{"query": j.query, "variables": json.RawMessage(variables)})
		if err != nil {
			return nil, nil, err
		}
		graphql = append(graphql, request{"/graphql", whole})
		floor = append(floor, request{"/" + j.name, variables})
	}
	if len(graphql) == 0 {
		return nil, nil, fmt.Errorf("%s has no variants", j.title)
	}
	return graphql, floor, nil
}
