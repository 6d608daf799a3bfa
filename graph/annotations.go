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

func (a annotation) Image(ctx context.Context, of *ent.Annotation) (*ent.Image, error) {
	if of.Edges.Image != nil {
		return of.Edges.Image, nil
	}
	found, err := siblings.Load(ctx, of.Group, of, "image", func(ctx context.Context, all []*ent.Annotation) (map[int64]*ent.Image, error) {
		return a.Images.ByIDs(ctx, distinct(all, func(one *ent.Annotation) *int64 { return &one.ImageID }))
	})
	if err == nil && found[of.ImageID] == nil {
		return nil, fault.New(fault.NotFound, "the image was deleted meanwhile")
	}
	return found[of.ImageID], err
}

func (a annotation) Algorithm(_ context.Context, of *ent.Annotation) (*ent.Annotation, error) {
	return of, nil
}

func (a annotation) kept(ctx context.Context, of *ent.Annotation) (rawjson.Value, error) {
	found, err := siblings.Load(ctx, of.Group, of, "objects", a.Annotations.Objects)
	if err == nil && found[of.ID] == nil {
		return nil, fault.New(fault.NotFound, "the annotation was deleted meanwhile")
	}
	return found[of.ID], err
}

func (a annotation) Objects(ctx context.Context, of *ent.Annotation, name *string) ([]*annotations.Object, error) {
	kept, err := a.kept(ctx, of)
	if err != nil {
		return nil, err
	}
	objects, err := annotations.Decode(kept, name)
	return pointers(objects), err
}

func (a annotation) Document(ctx context.Context, of *ent.Annotation) (rawjson.Value, error) {
	on, err := a.Image(ctx, of)
	if err != nil {
		return nil, err
	}
	kept, err := a.kept(ctx, of)
	if err != nil {
		return nil, err
	}
	return annotations.Document(of, on, kept)
}

func (a annotation) CreatedBy(ctx context.Context, of *ent.Annotation) (*ent.User, error) {
	if of.CreatedByID == nil {
		return nil, nil //nolint:nilnil // nobody is known
	}
	found, err := siblings.Load(ctx, of.Group, of, "createdBy", func(ctx context.Context, all []*ent.Annotation) (map[int64]*ent.User, error) {
		return a.People.ByIDs(ctx, distinct(all, func(one *ent.Annotation) *int64 { return one.CreatedByID }))
	})
	return found[*of.CreatedByID], err
}

func (m mutation) PutAnnotations(ctx context.Context, input []*annotations.Addition, atomic bool) (*model.PutAnnotationsPayload, error) {
	results, err := m.Annotations.Put(ctx, given(ctx, "input", input), atomic)
	return &model.PutAnnotationsPayload{Results: pointers(results)}, err
}
