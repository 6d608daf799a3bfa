package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/rawjson"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/annotations"
	"tagma/internal/domain/images"
)

func (i image) Device(ctx context.Context, of *ent.Image) (*ent.Device, error) {
	found, err := siblings.Load(ctx, of.Group, of, "device", i.Images.DevicesOf)
	return found[of.DeviceID], err
}

func (i image) Metadata(ctx context.Context, of *ent.Image) (rawjson.Value, error) {
	found, err := siblings.Load(ctx, of.Group, of, "metadata", i.Images.Metadata)
	return found[of.ID], err
}

func (i image) UploadedBy(ctx context.Context, of *ent.Image) (*ent.User, error) {
	if of.UploadedByID == nil {
		return nil, nil //nolint:nilnil // nobody is known
	}
	found, err := siblings.Load(ctx, of.Group, of, "uploadedBy", func(ctx context.Context, all []*ent.Image) (map[int64]*ent.User, error) {
		return i.People.ByIDs(ctx, distinct(all, func(one *ent.Image) *int64 { return one.UploadedByID }))
	})
	return found[*of.UploadedByID], err
}

// distinct is the ids that rows speak of, each once.
func distinct[T any](rows []T, id func(T) *int64) []int64 {
	var ids []int64
	seen := map[int64]bool{}
	for _, row := range rows {
		if id := id(row); id != nil && !seen[*id] {
			seen[*id] = true
			ids = append(ids, *id)
		}
	}
	return ids
}

func (i image) File(ctx context.Context, of *ent.Image, variant images.Variant) (*model.FileLink, error) {
	link, expiresAt, err := i.Links.Get(ctx, images.FileKey(of, variant), "")
	if err != nil {
		return nil, err
	}
	return &model.FileLink{URL: link, ExpiresAt: expiresAt}, nil
}

func (i image) Annotations(ctx context.Context, of *ent.Image, algorithm *annotations.Filter) ([]*ent.Annotation, error) {
	found, err := siblings.Load(ctx, of.Group, of, edgeName("annotations", algorithm), func(ctx context.Context, all []*ent.Image) (map[int64][]*ent.Annotation, error) {
		return i.Resolver.Annotations.OfImages(ctx, all, algorithm)
	})
	return found[of.ID], err
}

// edgeName names an edge with a filter, for package batch.
func edgeName(edge string, filter *annotations.Filter) any {
	type name struct{ edge, name, version string }
	if filter == nil {
		return name{edge: edge}
	}
	return name{edge, pattern(filter.Name), pattern(filter.Version)}
}

// pattern tells patterns apart, a missing one too: no pattern has a NUL.
func pattern(p *string) string {
	if p == nil {
		return "\x00"
	}
	return *p
}

func (i image) Previous(ctx context.Context, of *ent.Image) (*ent.Image, error) {
	found, err := siblings.Load(ctx, of.Group, of, "previous", i.Images.Previous)
	return found[of.ID], err
}

func (i image) Next(ctx context.Context, of *ent.Image) (*ent.Image, error) {
	found, err := siblings.Load(ctx, of.Group, of, "next", i.Images.Next)
	return found[of.ID], err
}

func (d device) statistics(ctx context.Context, of *ent.Device) (images.Statistics, error) {
	found, err := siblings.Load(ctx, of.Group, of, "statistics", d.Resolver.Images.Statistics)
	return found[of.ID], err
}

func (d device) ImageCount(ctx context.Context, of *ent.Device) (int, error) {
	s, err := d.statistics(ctx, of)
	return s.Images, err
}

func (d device) FirstTakenAt(ctx context.Context, of *ent.Device) (*instant.Instant, error) {
	s, err := d.statistics(ctx, of)
	return s.First, err
}

func (d device) LastTakenAt(ctx context.Context, of *ent.Device) (*instant.Instant, error) {
	s, err := d.statistics(ctx, of)
	return s.Last, err
}

func (d device) Images(ctx context.Context, of *ent.Device, start, end *instant.Instant, first *int, after *string) (*node.ImageConnection, error) {
	// Each field of the query has arguments of its own, and so its own batch.
	name := graphql.GetFieldContext(ctx).Field.Field
	found, err := siblings.Load(ctx, of.Group, of, name, func(ctx context.Context, all []*ent.Device) (map[string]*node.ImageConnection, error) {
		return d.Resolver.Images.OfDevices(ctx, all, images.Range{Start: start, End: end}, page.Request{First: first, After: after})
	})
	return found[of.ID], err
}

func (m mutation) UploadImages(ctx context.Context, files []*graphql.Upload, onConflict images.Policy) (*model.UploadImagesPayload, error) {
	if c := caller.From(ctx); onConflict == images.Replace && !c.Has(caller.Writer) {
		return nil, fault.New(fault.Forbidden, "a trap's token adds images: to replace one, sign in as a WRITER")
	}
	all := make([]images.File, len(files))
	for n, file := range files {
		all[n] = images.File{Name: file.Filename, Size: file.Size, Content: file.File}
	}
	results, err := m.Images.Upload(ctx, all, onConflict)
	return &model.UploadImagesPayload{Results: pointers(results)}, err
}

func (m mutation) DeleteImages(ctx context.Context, keys []*images.Key, dryRun bool) (*images.Deleted, error) {
	deleted, err := m.Images.Delete(ctx, values(keys), dryRun)
	return &deleted, err
}
