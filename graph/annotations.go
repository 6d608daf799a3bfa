package graph

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/internal/base/fault"
	"tagma/internal/base/rawjson"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/annotations"
)

func (a annotation) Image(ctx context.Context, parent *ent.Annotation) (*ent.Image, error) {
	if parent.Edges.Image != nil {
		return parent.Edges.Image, nil
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "image", func(ctx context.Context, all []*ent.Annotation) (map[int64]*ent.Image, error) {
		return a.r.Images.ByIDs(ctx, uniqueIDs(all, func(one *ent.Annotation) *int64 { return &one.ImageID }))
	})
	if err == nil && byKey[parent.ImageID] == nil {
		return nil, fault.New(fault.NotFound, "the image was deleted meanwhile")
	}
	return byKey[parent.ImageID], err
}

func (a annotation) Algorithm(_ context.Context, parent *ent.Annotation) (*ent.Annotation, error) {
	return parent, nil
}

// storedObjects returns the objects as the database holds the objects.
func (a annotation) storedObjects(ctx context.Context, parent *ent.Annotation) (rawjson.Value, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "objects", a.r.Annotations.Objects)
	if err == nil && byKey[parent.ID] == nil {
		return nil, fault.New(fault.NotFound, "the annotation was deleted meanwhile")
	}
	return byKey[parent.ID], err
}

func (a annotation) Objects(ctx context.Context, parent *ent.Annotation, name *string) ([]*annotations.Object, error) {
	stored, err := a.storedObjects(ctx, parent)
	if err != nil {
		return nil, err
	}
	objects, err := annotations.Decode(stored, name)
	return pointers(objects), err
}

func (a annotation) Document(ctx context.Context, parent *ent.Annotation) (rawjson.Value, error) {
	image, err := a.Image(ctx, parent)
	if err != nil {
		return nil, err
	}
	stored, err := a.storedObjects(ctx, parent)
	if err != nil {
		return nil, err
	}
	return annotations.Document(parent, image, stored)
}

func (a annotation) CreatedBy(ctx context.Context, parent *ent.Annotation) (*ent.User, error) {
	if parent.CreatedByID == nil {
		return nil, nil //nolint:nilnil // the author is not known
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "createdBy", func(ctx context.Context, all []*ent.Annotation) (map[int64]*ent.User, error) {
		return a.r.People.ByIDs(ctx, uniqueIDs(all, func(one *ent.Annotation) *int64 { return one.CreatedByID }))
	})
	return byKey[*parent.CreatedByID], err
}

func (m mutation) PutAnnotations(ctx context.Context, input []*annotations.Addition, atomic bool) (*model.PutAnnotationsPayload, error) {
	results, err := m.r.Annotations.Put(ctx, rawListArgument(ctx, "input", input), atomic)
	return &model.PutAnnotationsPayload{Results: pointers(results)}, err
}
