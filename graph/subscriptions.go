package graph

import (
	"context"

	ent "tagma/ent/generated"
	"tagma/internal/base/fault"
	"tagma/internal/base/like"
	"tagma/internal/base/nodeid"
	"tagma/internal/gql/transport"
	"tagma/internal/storage/events"
)

// Events holds the topics of subscriptions. Annotations carry their images, and
// submissions carry their videos.
type Events struct {
	Images      *events.Topic[*ent.Image]
	Annotations *events.Topic[*ent.Annotation]
	Labels      *events.Topic[*ent.LabelSubmission]
}

func (s subscription) ImageAdded(ctx context.Context, device string) (<-chan *ent.Image, error) {
	pattern, err := parseDevicePattern(device)
	if err != nil {
		return nil, err
	}
	return follow(ctx, s.r.Events.Images,
		func(i *ent.Image) bool { return pattern.Matches(i.DeviceID) },
		func(i ent.Image) *ent.Image { return ent.Images{&i}.Siblings()[0] })
}

func (s subscription) AnnotationAdded(ctx context.Context, device string) (<-chan *ent.Annotation, error) {
	pattern, err := parseDevicePattern(device)
	if err != nil {
		return nil, err
	}
	return follow(ctx, s.r.Events.Annotations,
		func(a *ent.Annotation) bool { return pattern.Matches(a.Edges.Image.DeviceID) },
		func(a ent.Annotation) *ent.Annotation {
			image := *a.Edges.Image
			a.Group, a.Edges.Image = nil, ent.Images{&image}.Siblings()[0]
			return &a
		})
}

func (s subscription) LabelSubmissionUpdated(ctx context.Context, video *string, submission *nodeid.ID) (<-chan *ent.LabelSubmission, error) {
	filter := func(one *ent.LabelSubmission) bool {
		return (video == nil || one.Edges.Video.URL == *video) && (submission == nil || one.NodeID() == *submission)
	}
	return follow(ctx, s.r.Events.Labels, filter, func(one ent.LabelSubmission) *ent.LabelSubmission { return &one })
}

// parseDevicePattern returns the pattern of the argument device. The error is a
// *fault.Error.
func parseDevicePattern(device string) (like.Pattern, error) {
	pattern, err := like.Parse(device)
	if err != nil {
		var problems fault.Problems
		problems.Add(fault.BadInput, []any{"device"}, "%s", err)
		return pattern, problems.Err()
	}
	return pattern, nil
}

// follow returns a channel of the rows of a topic that pass the filter. The channel
// closes when ctx ends. Each subscriber gets a copy of a row, because subscribers
// load edges into the row.
func follow[T any](ctx context.Context, topic *events.Topic[*T], filter func(*T) bool, clone func(T) *T) (<-chan *T, error) {
	listener, err := topic.Subscribe(ctx, filter)
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
				case rows <- clone(*row):
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return rows, nil
}
