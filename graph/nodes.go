package graph

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/graph/node"
	"tagma/internal/base/nodeid"
)

// nodes returns the nodes with the ids, in the order of the ids, and nil for an id
// without a node. nodes sends a statement per type. Types without a line here have no
// nodes.
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
	byID := map[nodeid.ID]node.Node{}
	for _, load := range []func() error{
		func() error { return addNodes(ctx, byID, devices, r.Images.DevicesByName) },
		func() error { return addNodes(ctx, byID, numbers["Image"], r.Images.ByIDs) },
		func() error { return addNodes(ctx, byID, numbers["Annotation"], r.Annotations.ByIDs) },
		func() error { return addNodes(ctx, byID, numbers["LabelSet"], r.Labels.SetsByID) },
		func() error { return addNodes(ctx, byID, numbers["Video"], r.Labels.VideosByID) },
		func() error { return addNodes(ctx, byID, numbers["LabelSubmission"], r.Labels.SubmissionsByID) },
		func() error { return addNodes(ctx, byID, numbers["Bundle"], r.Bundles.ByIDs) },
		func() error { return addNodes(ctx, byID, numbers["BundleVersion"], r.Bundles.VersionsByID) },
		func() error { return addNodes(ctx, byID, numbers["User"], r.People.ByIDs) },
		func() error { return addNodes(ctx, byID, numbers["AccessToken"], r.tokensByID) },
	} {
		if err := load(); err != nil {
			return nil, err
		}
	}
	nodes := make([]node.Node, len(ids))
	for n, id := range ids {
		nodes[n] = byID[id]
	}
	return nodes, nil
}

// addNodes loads the rows with the keys, and adds the rows to a map.
func addNodes[K comparable, N node.Node](ctx context.Context, byID map[nodeid.ID]node.Node, keys []K, load func(context.Context, []K) (map[K]N, error)) error {
	if len(keys) == 0 {
		return nil
	}
	rows, err := load(ctx, keys)
	for _, row := range rows {
		byID[row.NodeID()] = row
	}
	return err
}

// tokensByID returns the tokens with the ids, if the caller may see them.
func (r *Resolver) tokensByID(ctx context.Context, ids []int64) (map[int64]*ent.AccessToken, error) {
	byID := map[int64]*ent.AccessToken{}
	for _, id := range ids {
		token, err := r.People.TokenByID(ctx, id)
		if err != nil {
			return nil, err
		}
		if token != nil {
			byID[id] = token
		}
	}
	return byID, nil
}
