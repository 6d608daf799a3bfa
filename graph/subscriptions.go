package graph

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/like"
	"tagma/internal/base/nodeid"
	"tagma/internal/domain/images"
	"tagma/internal/gql/transport"
	"tagma/internal/storage/events"
)

// Events is what can be subscribed to. Annotations come with their images, and
// submissions with their videos.
type Events struct {
	Images      *events.Topic[*ent.Image]
	Annotations *events.Topic[*ent.Annotation]
	Labels      *events.Topic[*ent.LabelSubmission]
}

func (s subscription) ImageAdded(ctx context.Context, device string) (<-chan *ent.Image, error) {
	pattern, err := devices(device)
	if err != nil {
		return nil, err
	}
	return follow(ctx, s.Events.Images,
		func(i *ent.Image) bool { return pattern.Matches(i.DeviceID) },
		func(i ent.Image) *ent.Image { return images.Together([]*ent.Image{&i})[0] })
}

func (s subscription) AnnotationAdded(ctx context.Context, device string) (<-chan *ent.Annotation, error) {
	pattern, err := devices(device)
	if err != nil {
		return nil, err
	}
	return follow(ctx, s.Events.Annotations,
		func(a *ent.Annotation) bool { return pattern.Matches(a.Edges.Image.DeviceID) },
		func(a ent.Annotation) *ent.Annotation {
			on := *a.Edges.Image
			a.Group, a.Edges.Image = nil, images.Together([]*ent.Image{&on})[0]
			return &a
		})
}

func (s subscription) LabelSubmissionUpdated(ctx context.Context, video *string, submission *nodeid.ID) (<-chan *ent.LabelSubmission, error) {
	wants := func(one *ent.LabelSubmission) bool {
		return (video == nil || one.Edges.Video.URL == *video) && (submission == nil || one.NodeID() == *submission)
	}
	return follow(ctx, s.Events.Labels, wants, func(one ent.LabelSubmission) *ent.LabelSubmission { return &one })
}

func devices(device string) (like.Pattern, error) {
	pattern, err := like.Parse(device)
	if err != nil {
		var problems fault.Problems
		problems.Add(fault.BadInput, []any{"device"}, "%s", err)
		return pattern, problems.Err()
	}
	return pattern, nil
}

// follow hands on the rows of a topic until ctx ends. Each subscriber gets a
// copy of their own, whose edges are not shared with others.
func follow[T any](ctx context.Context, topic *events.Topic[*T], wants func(*T) bool, own func(T) *T) (<-chan *T, error) {
	listener, err := topic.Subscribe(ctx, wants)
	if err != nil {
		return nil, err
	}
	rows := make(chan *T)
	go func() {
		defer close(rows)
		defer listener.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case row, more := <-listener.C:
				if !more {
					if listener.Slow() {
						transport.EndStream(ctx, fault.New(fault.Unavailable, "this client does not keep up with what happens: connect again"))
					}
					return
				}
				select {
				case rows <- own(*row):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return rows, nil
}
