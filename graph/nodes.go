package graph

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/graph/node"
	"tagma/internal/base/nodeid"
)

// nodes gives what has these ids, in their order, nil where there is nothing:
// one statement for each type among them. A type that is not named here has no
// ids for callers.
func (r *Resolver) nodes(ctx context.Context, ids []nodeid.ID) ([]node.Node, error) {
	numbers := map[string][]int64{}
	var devices []string
	for _, id := range ids {
		if id.Type == "Device" {
			devices = append(devices, id.Key)
		} else if n, ok := id.Number(); ok {
			numbers[id.Type] = append(numbers[id.Type], n)
		}
	}
	found := map[nodeid.ID]node.Node{}
	for _, load := range []func() error{
		func() error { return gather(ctx, found, devices, r.Images.DevicesByName) },
		func() error { return gather(ctx, found, numbers["Image"], r.Images.ByIDs) },
		func() error { return gather(ctx, found, numbers["Annotation"], r.Annotations.ByIDs) },
		func() error { return gather(ctx, found, numbers["LabelSet"], r.Labels.SetsByID) },
		func() error { return gather(ctx, found, numbers["Video"], r.Labels.VideosByID) },
		func() error { return gather(ctx, found, numbers["LabelSubmission"], r.Labels.SubmissionsByID) },
		func() error { return gather(ctx, found, numbers["Bundle"], r.Bundles.ByIDs) },
		func() error { return gather(ctx, found, numbers["BundleVersion"], r.Bundles.VersionsByID) },
		func() error { return gather(ctx, found, numbers["User"], r.People.ByIDs) },
		func() error { return gather(ctx, found, numbers["AccessToken"], r.token) },
	} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	nodes := make([]node.Node, len(ids))
	for n, id := range ids {
		nodes[n] = found[id]
	}
	return nodes, nil
}

func gather[K comparable, N node.Node](ctx context.Context, into map[nodeid.ID]node.Node, keys []K, load func(context.Context, []K) (map[K]N, error)) error {
	if len(keys) == 0 {
		return nil
	}
	found, err := load(ctx, keys)
	for _, one := range found {
		into[one.NodeID()] = one
	}
	return err
}

// token gives those of the tokens that the caller may see.
func (r *Resolver) token(ctx context.Context, ids []int64) (map[int64]*ent.AccessToken, error) {
	found := map[int64]*ent.AccessToken{}
	for _, id := range ids {
		one, err := r.People.TokenByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if one != nil {
			found[id] = one
		}
	}
	return found, nil
}
