package graph

import (
	"context"
	"time"

	"github.com/99designs/gqlgen/graphql"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
	"tagma/internal/domain/activity"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
	"tagma/internal/domain/series"
)

// MaxNodes is the most ids of one `nodes` field.
const MaxNodes = 1000

func (q query) Node(ctx context.Context, id nodeid.ID) (node.Node, error) {
	nodes, err := q.Nodes(ctx, []*nodeid.ID{&id})
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func (q query) Nodes(ctx context.Context, ids []*nodeid.ID) ([]node.Node, error) {
	if len(ids) > MaxNodes {
		return nil, fault.New(fault.TooLarge, "ids has %d items: at most %d are taken at once", len(ids), MaxNodes)
	}
	return q.r.nodes(ctx, values(ids))
}

func (q query) Viewer(ctx context.Context) (*ent.User, error) {
	c := caller.From(ctx)
	if !c.Has(caller.Reader) {
		return nil, nil //nolint:nilnil // null: the request has no token
	}
	byID, err := q.r.People.ByIDs(ctx, []int64{c.UserID})
	return byID[c.UserID], err
}

func (q query) Server(context.Context) (*model.ServerInfo, error) {
	return &q.r.Server, nil
}

func (q query) Image(ctx context.Context, device string, takenAt instant.Instant) (*ent.Image, error) {
	rows, err := q.r.Images.ByKeys(ctx, "image", []images.Key{{Device: device, TakenAt: takenAt}})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return rows[0], nil
}

func (q query) Images(ctx context.Context, keys []*images.Key) ([]*ent.Image, error) {
	return q.r.Images.ByKeys(ctx, "keys", values(keys))
}

func (q query) ImageSeries(ctx context.Context, all []*series.Series, first *int, after *string, last *int, before *string, orderBy *series.Order) (*node.ImageConnection, error) {
	order := series.DeviceTime
	if orderBy != nil {
		order = *orderBy
	}
	request := page.Request{First: first, After: after, Last: last, Before: before}
	return q.r.Images.Series(ctx, values(all), order, request)
}

func (q query) DiffImages(ctx context.Context, prints []*images.Fingerprint) ([]*images.Difference, error) {
	answers, err := q.r.Images.Diff(ctx, rawListArgument(ctx, "images", prints), selects(ctx, "image"))
	return pointers(answers), err
}

func (q query) Devices(ctx context.Context, match string, first *int, after *string) (*node.DeviceConnection, error) {
	return q.r.Images.Devices(ctx, match, page.Request{First: first, After: after})
}

func (q query) Device(ctx context.Context, name string) (*ent.Device, error) {
	return q.r.Images.Device(ctx, name)
}

func (q query) Activity(ctx context.Context, all []*series.Series, every time.Duration, algorithm *annotations.Filter) ([]*activity.Bucket, error) {
	buckets, err := activity.Buckets(ctx, q.r.DB, activity.Request{
		Series:     values(all),
		Every:      every,
		Algorithm:  algorithm,
		Objects:    selects(ctx, "objects"),
		Luminosity: selects(ctx, "luminosity"),
	})
	return pointers(buckets), err
}

// selects reports whether the operation selects a field of the present field.
func selects(ctx context.Context, name string) bool {
	for _, field := range graphql.CollectFieldsCtx(ctx, nil) {
		if field.Name == name {
			return true
		}
	}
	return false
}

func (q query) Annotations(ctx context.Context, keys []*images.Key, algorithm *annotations.Filter) ([]*ent.Annotation, error) {
	return q.r.Annotations.ByKeys(ctx, values(keys), algorithm)
}

func (q query) AnnotationSeries(ctx context.Context, all []*series.Series, algorithm *annotations.Filter, first *int, after *string) (*node.AnnotationConnection, error) {
	return q.r.Annotations.Series(ctx, values(all), algorithm, page.Request{First: first, After: after})
}
