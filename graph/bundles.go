package graph

import (
	"context"
	"path"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/batch"
	"tagma/internal/base/fault"
	"tagma/internal/base/nodeid"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
	"tagma/internal/storage/filelink"
)

func (q query) Bundles(ctx context.Context, match string, first *int, after *string) (*node.BundleConnection, error) {
	return q.Resolver.Bundles.List(ctx, match, page.Request{First: first, After: after})
}

func (q query) Bundle(ctx context.Context, name string) (*ent.Bundle, error) {
	return q.Resolver.Bundles.ByName(ctx, name)
}

func (m mutation) RequestBundleUpload(ctx context.Context, name string, files []*bundles.NewFile) (*bundles.Upload, error) {
	return m.Bundles.Request(ctx, name, values(files))
}

func (m mutation) PublishBundle(ctx context.Context, upload nodeid.ID) (*bundles.PublishResult, error) {
	key, ok := upload.Number()
	if !ok || upload.Type != "BundleUpload" {
		return nil, fault.New(fault.NotFound, "%s is no upload's id: ask for one with requestBundleUpload", upload)
	}
	return m.Bundles.Publish(ctx, key)
}

func (b bundleUpload) Wanted(ctx context.Context, of *bundles.Upload) ([]*model.BundleUploadTarget, error) {
	targets := make([]*model.BundleUploadTarget, len(of.Requested))
	for n, file := range of.Requested {
		to, err := b.Targets.Target(ctx, filelink.File{Key: file.StoredAs, Incoming: file.Incoming, Size: file.Size, MD5: file.MD5})
		if err != nil {
			return nil, err
		}
		targets[n] = &model.BundleUploadTarget{
			Key: file.Key, Method: to.Method, URL: to.URL, Headers: pointers(to.Headers), ExpiresAt: to.ExpiresAt,
		}
	}
	return targets, nil
}

func (b bundle) Latest(ctx context.Context, of *ent.Bundle) (*ent.BundleVersion, error) {
	found, err := batch.Load(ctx, of.Group, of, "latest", b.Bundles.Latest)
	return found[of.ID], err
}

func (b bundle) Versions(ctx context.Context, of *ent.Bundle, first *int, after *string) (*node.BundleVersionConnection, error) {
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
	found, err := batch.Load(ctx, of.Group, of, name, func(ctx context.Context, all []*ent.Bundle) (map[int64]*node.BundleVersionConnection, error) {
		return b.Bundles.Versions(ctx, all, page.Request{First: first, After: after})
	})
	return found[of.ID], err
}

func (b bundle) Version(ctx context.Context, of *ent.Bundle, number int) (*ent.BundleVersion, error) {
	type edge struct{ number int }
	found, err := batch.Load(ctx, of.Group, of, edge{number}, func(ctx context.Context, all []*ent.Bundle) (map[int64]*ent.BundleVersion, error) {
		return b.Bundles.ByNumber(ctx, all, number)
	})
	return found[of.ID], err
}

func (v bundleVersion) Bundle(ctx context.Context, of *ent.BundleVersion) (*ent.Bundle, error) {
	found, err := batch.Load(ctx, of.Group, of, "bundle", func(ctx context.Context, all []*ent.BundleVersion) (map[int64]*ent.Bundle, error) {
		return v.Bundles.ByIDs(ctx, distinct(all, func(one *ent.BundleVersion) *int64 { return &one.BundleID }))
	})
	return found[of.BundleID], err
}

func (v bundleVersion) Name(ctx context.Context, of *ent.BundleVersion) (string, error) {
	bundle, err := v.Bundle(ctx, of)
	if err != nil {
		return "", err
	}
	return bundles.VersionName(bundle, of), nil
}

func (v bundleVersion) CreatedBy(ctx context.Context, of *ent.BundleVersion) (*ent.User, error) {
	if of.CreatedByID == nil {
		return nil, nil //nolint:nilnil // nobody is known
	}
	found, err := batch.Load(ctx, of.Group, of, "createdBy", func(ctx context.Context, all []*ent.BundleVersion) (map[int64]*ent.User, error) {
		return v.People.ByIDs(ctx, distinct(all, func(one *ent.BundleVersion) *int64 { return one.CreatedByID }))
	})
	return found[*of.CreatedByID], err
}

func (v bundleVersion) Files(ctx context.Context, of *ent.BundleVersion, part bundles.Part) ([]*bundles.File, error) {
	found, err := batch.Load(ctx, of.Group, of, part, func(ctx context.Context, all []*ent.BundleVersion) (map[int64][]bundles.File, error) {
		return v.Bundles.Files(ctx, all, part)
	})
	return pointers(found[of.ID]), err
}

func (f bundleFile) Link(ctx context.Context, of *bundles.File) (*model.FileLink, error) {
	link, expiresAt, err := f.Links.Get(ctx, of.StoredAs, path.Base(of.Key))
	if err != nil {
		return nil, err
	}
	return &model.FileLink{URL: link, ExpiresAt: expiresAt}, nil
}

func (a algorithm) BundleVersion(ctx context.Context, of *ent.Annotation) (*ent.BundleVersion, error) {
	found, err := batch.Load(ctx, of.Group, of, "bundleVersion", func(ctx context.Context, all []*ent.Annotation) (map[bundles.Algorithm]*ent.BundleVersion, error) {
		algorithms := make([]bundles.Algorithm, len(all))
		for n, one := range all {
			algorithms[n] = algorithmOf(one)
		}
		return a.Bundles.VersionsOfAlgorithms(ctx, algorithms)
	})
	return found[algorithmOf(of)], err
}

func algorithmOf(of *ent.Annotation) bundles.Algorithm {
	return bundles.Algorithm{Name: of.AlgorithmName, Version: of.AlgorithmVersion}
}
