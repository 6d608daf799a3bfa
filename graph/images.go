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

func (i image) Device(ctx context.Context, parent *ent.Image) (*ent.Device, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "device", i.r.Images.DevicesOf)
	return byKey[parent.DeviceID], err
}

func (i image) Metadata(ctx context.Context, parent *ent.Image) (rawjson.Value, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "metadata", i.r.Images.Metadata)
	return byKey[parent.ID], err
}

func (i image) UploadedBy(ctx context.Context, parent *ent.Image) (*ent.User, error) {
	if parent.UploadedByID == nil {
		return nil, nil //nolint:nilnil // the uploader is not known
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "uploadedBy", func(ctx context.Context, all []*ent.Image) (map[int64]*ent.User, error) {
		return i.r.People.ByIDs(ctx, uniqueIDs(all, func(one *ent.Image) *int64 { return one.UploadedByID }))
	})
	return byKey[*parent.UploadedByID], err
}

// uniqueIDs returns the ids of the rows without nils and repetitions.
func uniqueIDs[T any](rows []T, id func(T) *int64) []int64 {
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

func (i image) File(ctx context.Context, parent *ent.Image, variant images.Variant) (*model.FileLink, error) {
	link, expiresAt, err := i.r.Links.Get(ctx, images.FileKey(parent, variant), "")
	if err != nil {
		return nil, err
	}
	return &model.FileLink{URL: link, ExpiresAt: expiresAt}, nil
}

func (i image) Annotations(ctx context.Context, parent *ent.Image, algorithm *annotations.Filter) ([]*ent.Annotation, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, edgeName("annotations", algorithm), func(ctx context.Context, all []*ent.Image) (map[int64][]*ent.Annotation, error) {
		return i.r.Annotations.OfImages(ctx, all, algorithm)
	})
	return byKey[parent.ID], err
}

// edgeName returns the key of an edge with a filter, for package siblings.
func edgeName(edge string, filter *annotations.Filter) any {
	type name struct{ edge, name, version string }
	if filter == nil {
		return name{edge: edge}
	}
	return name{edge, patternName(filter.Name), patternName(filter.Version)}
}

// patternName returns the pattern, or a NUL if there is no pattern. No pattern has
// a NUL.
func patternName(p *string) string {
	if p == nil {
		return "\x00"
	}
	return *p
}

func (i image) Previous(ctx context.Context, parent *ent.Image) (*ent.Image, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "previous", i.r.Images.Previous)
	return byKey[parent.ID], err
}

func (i image) Next(ctx context.Context, parent *ent.Image) (*ent.Image, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "next", i.r.Images.Next)
	return byKey[parent.ID], err
}

func (d device) statistics(ctx context.Context, parent *ent.Device) (images.Statistics, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "statistics", d.r.Images.Statistics)
	return byKey[parent.ID], err
}

func (d device) ImageCount(ctx context.Context, parent *ent.Device) (int, error) {
	s, err := d.statistics(ctx, parent)
	return s.Images, err
}

func (d device) FirstTakenAt(ctx context.Context, parent *ent.Device) (*instant.Instant, error) {
	s, err := d.statistics(ctx, parent)
	return s.First, err
}

func (d device) LastTakenAt(ctx context.Context, parent *ent.Device) (*instant.Instant, error) {
	s, err := d.statistics(ctx, parent)
	return s.Last, err
}

func (d device) Images(ctx context.Context, parent *ent.Device, start, end *instant.Instant, first *int, after *string) (*node.ImageConnection, error) {
	// Each field of the query has arguments of its own, and so its own batch.
	name := graphql.GetFieldContext(ctx).Field.Field
	byKey, err := siblings.Load(ctx, parent.Group, parent, name, func(ctx context.Context, all []*ent.Device) (map[string]*node.ImageConnection, error) {
		return d.r.Images.OfDevices(ctx, all, images.Range{Start: start, End: end}, page.Request{First: first, After: after})
	})
	return byKey[parent.ID], err
}

func (m mutation) UploadImages(ctx context.Context, files []*graphql.Upload, onConflict images.Policy) (*model.UploadImagesPayload, error) {
	if c := caller.From(ctx); onConflict == images.Replace && !c.Has(caller.Writer) {
		return nil, fault.New(fault.Forbidden, "a trap's token adds images: to replace one, sign in as a WRITER")
	}
	all := make([]images.File, len(files))
	for n, file := range files {
		all[n] = images.File{Name: file.Filename, Size: file.Size, Content: file.File}
	}
	results, err := m.r.Images.Upload(ctx, all, onConflict)
	return &model.UploadImagesPayload{Results: pointers(results)}, err
}

func (m mutation) DeleteImages(ctx context.Context, keys []*images.Key, dryRun bool) (*images.Deleted, error) {
	deleted, err := m.r.Images.Delete(ctx, values(keys), dryRun)
	return &deleted, err
}
