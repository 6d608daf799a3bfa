package graph

import (
	"context"
	"path"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/fault"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/filelink"
)

func (q query) Bundles(ctx context.Context, match string, first *int, after *string) (*node.BundleConnection, error) {
	return q.r.Bundles.List(ctx, match, page.Request{First: first, After: after})
}

func (q query) Bundle(ctx context.Context, name string) (*ent.Bundle, error) {
	return q.r.Bundles.ByName(ctx, name)
}

func (m mutation) RequestBundleUpload(ctx context.Context, name string, files []*bundles.NewFile) (*bundles.Upload, error) {
	return m.r.Bundles.Request(ctx, name, values(files))
}

func (m mutation) PublishBundle(ctx context.Context, upload nodeid.ID) (*bundles.PublishResult, error) {
	key, ok := upload.Number()
	if !ok || upload.Type != "BundleUpload" {
		return nil, fault.New(fault.NotFound, "%s is no upload's id: ask for one with requestBundleUpload", upload)
	}
	return m.r.Bundles.Publish(ctx, key)
}

func (b requestBundleUploadPayload) Wanted(ctx context.Context, parent *bundles.Upload) ([]*model.BundleUploadTarget, error) {
	targets := make([]*model.BundleUploadTarget, len(parent.Requested))
	for n, file := range parent.Requested {
		to, err := b.r.Targets.Target(ctx, filelink.File{Key: file.StoredAs, Incoming: file.Incoming, Size: file.Size, MD5: file.MD5})
		if err != nil {
			return nil, err
		}
		targets[n] = &model.BundleUploadTarget{
			Key: file.Key, Method: to.Method, URL: to.URL, Headers: pointers(to.Headers), ExpiresAt: to.ExpiresAt,
		}
	}
	return targets, nil
}

func (b bundle) Latest(ctx context.Context, parent *ent.Bundle) (*ent.BundleVersion, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "latest", b.r.Bundles.Latest)
	return byKey[parent.ID], err
}

func (b bundle) Versions(ctx context.Context, parent *ent.Bundle, first *int, after *string) (*node.BundleVersionConnection, error) {
	type edge struct {
		first int
		after string
	}
	name := edge{first: -1}
	if first != nil {
		name.first = *first
	}
	if after != nil {
		name.after = *after
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, name, func(ctx context.Context, all []*ent.Bundle) (map[int64]*node.BundleVersionConnection, error) {
		return b.r.Bundles.Versions(ctx, all, page.Request{First: first, After: after})
	})
	return byKey[parent.ID], err
}

func (b bundle) Version(ctx context.Context, parent *ent.Bundle, number int) (*ent.BundleVersion, error) {
	type edge struct{ number int }
	byKey, err := siblings.Load(ctx, parent.Group, parent, edge{number}, func(ctx context.Context, all []*ent.Bundle) (map[int64]*ent.BundleVersion, error) {
		return b.r.Bundles.ByNumber(ctx, all, number)
	})
	return byKey[parent.ID], err
}

func (v bundleVersion) Bundle(ctx context.Context, parent *ent.BundleVersion) (*ent.Bundle, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "bundle", func(ctx context.Context, all []*ent.BundleVersion) (map[int64]*ent.Bundle, error) {
		return v.r.Bundles.ByIDs(ctx, uniqueIDs(all, func(one *ent.BundleVersion) *int64 { return &one.BundleID }))
	})
	return byKey[parent.BundleID], err
}

func (v bundleVersion) Name(ctx context.Context, parent *ent.BundleVersion) (string, error) {
	bundle, err := v.Bundle(ctx, parent)
	if err != nil {
		return "", err
	}
	return bundles.VersionName(bundle, parent), nil
}

func (v bundleVersion) CreatedBy(ctx context.Context, parent *ent.BundleVersion) (*ent.User, error) {
	if parent.CreatedByID == nil {
		return nil, nil //nolint:nilnil // nobody is known
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "createdBy", func(ctx context.Context, all []*ent.BundleVersion) (map[int64]*ent.User, error) {
		return v.r.People.ByIDs(ctx, uniqueIDs(all, func(one *ent.BundleVersion) *int64 { return one.CreatedByID }))
	})
	return byKey[*parent.CreatedByID], err
}

func (v bundleVersion) Files(ctx context.Context, parent *ent.BundleVersion, part bundles.Part) ([]*bundles.File, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, part, func(ctx context.Context, all []*ent.BundleVersion) (map[int64][]bundles.File, error) {
		return v.r.Bundles.Files(ctx, all, part)
	})
	return pointers(byKey[parent.ID]), err
}

func (f bundleFile) Link(ctx context.Context, parent *bundles.File) (*model.FileLink, error) {
	link, expiresAt, err := f.r.Links.Get(ctx, parent.StoredAs, path.Base(parent.Key))
	if err != nil {
		return nil, err
	}
	return &model.FileLink{URL: link, ExpiresAt: expiresAt}, nil
}

func (a algorithm) BundleVersion(ctx context.Context, parent *ent.Annotation) (*ent.BundleVersion, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "bundleVersion", func(ctx context.Context, all []*ent.Annotation) (map[bundles.Algorithm]*ent.BundleVersion, error) {
		algorithms := make([]bundles.Algorithm, len(all))
		for n, one := range all {
			algorithms[n] = algorithmOf(one)
		}
		return a.r.Bundles.VersionsOfAlgorithms(ctx, algorithms)
	})
	return byKey[algorithmOf(parent)], err
}

func algorithmOf(a *ent.Annotation) bundles.Algorithm {
	return bundles.Algorithm{Name: a.AlgorithmName, Version: a.AlgorithmVersion}
}
