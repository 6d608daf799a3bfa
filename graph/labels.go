package graph

import (
	"context"
	"time"

	ent "tagma/ent/generated"
	"tagma/graph/model"
	"tagma/graph/node"
	"tagma/internal/base/caller"
	"tagma/internal/base/fault"
	"tagma/internal/base/page"
	"tagma/internal/base/siblings"
	"tagma/internal/domain/labels"
)

// LongestLabelWait bounds `wait` of submitLabels, below the time of a request.
const LongestLabelWait = 25 * time.Second

func (q query) LabelSets(ctx context.Context) ([]*ent.LabelSet, error) {
	return q.r.Labels.Sets(ctx)
}

func (q query) LabelSet(ctx context.Context, name string) (*ent.LabelSet, error) {
	return q.r.Labels.Set(ctx, name)
}

func (q query) Video(ctx context.Context, url string) (*ent.Video, error) {
	return q.r.Labels.Video(ctx, url)
}

func (q query) Videos(ctx context.Context, first *int, after *string) (*node.VideoConnection, error) {
	return q.r.Labels.Videos(ctx, page.Request{First: first, After: after})
}

func (q query) LabelSubmissions(ctx context.Context, filter *labels.Filter, first *int, after *string, last *int, before *string) (*node.LabelSubmissionConnection, error) {
	return q.r.Labels.Submissions(ctx, filter, page.Request{First: first, After: after, Last: last, Before: before})
}

func (m mutation) SubmitLabels(ctx context.Context, input model.LabelSubmissionInput, wait time.Duration) (*labels.Receipt, error) {
	if wait < 0 || wait > LongestLabelWait {
		var problems fault.Problems
		problems.Add(fault.BadInput, []any{"wait"}, "%g seconds are not from PT0S to PT25S", wait.Seconds())
		return nil, problems.Err()
	}
	return m.r.Labels.Submit(ctx, &labels.Submission{
		VideoURL: input.VideoURL, FrameIndex: input.FrameIndex, TotalFrames: input.TotalFrames, FPS: input.Fps,
		FrameWidth: input.FrameWidth, FrameHeight: input.FrameHeight, LabelSet: input.LabelSet, Labels: values(input.Labels),
		Timestamp: input.Timestamp.Instant, TimestampText: input.Timestamp.Text,
	}, wait)
}

func (m mutation) CreateLabelSet(ctx context.Context, input model.LabelSetInput) (*model.CreateLabelSetPayload, error) {
	set, err := m.r.Labels.CreateSet(ctx, input.Name, values(input.Labels))
	if err != nil {
		return nil, err
	}
	return &model.CreateLabelSetPayload{LabelSet: set}, nil
}

func (s labelSet) Labels(_ context.Context, parent *ent.LabelSet) ([]*labels.Definition, error) {
	all, err := labels.Definitions(parent)
	return pointers(all), err
}

func (v video) LabelledFrames(ctx context.Context, parent *ent.Video) (int, error) {
	frames, err := siblings.Load(ctx, parent.Group, parent, "labelledFrames", v.r.Labels.LabelledFrames)
	return frames[parent.ID], err
}

func (v video) Coverage(ctx context.Context, parent *ent.Video) (float64, error) {
	frames, err := v.LabelledFrames(ctx, parent)
	return labels.Coverage(parent, frames), err
}

func (v video) Submissions(ctx context.Context, parent *ent.Video, frameIndex, first *int, after *string) (*node.LabelSubmissionConnection, error) {
	type edge struct {
		frame, first int
		after        string
	}
	name := edge{frame: -1, first: -1}
	if frameIndex != nil {
		name.frame = *frameIndex
	}
	if first != nil {
		name.first = *first
	}
	if after != nil {
		name.after = *after
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, name, func(ctx context.Context, all []*ent.Video) (map[int64]*node.LabelSubmissionConnection, error) {
		return v.r.Labels.OfVideos(ctx, all, frameIndex, page.Request{First: first, After: after})
	})
	return byKey[parent.ID], err
}

func (s labelSubmission) Video(ctx context.Context, parent *ent.LabelSubmission) (*ent.Video, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "video", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.Video, error) {
		return s.r.Labels.VideosByID(ctx, uniqueIDs(all, func(one *ent.LabelSubmission) *int64 { return &one.VideoID }))
	})
	return byKey[parent.VideoID], err
}

func (s labelSubmission) LabelSet(ctx context.Context, parent *ent.LabelSubmission) (*ent.LabelSet, error) {
	byKey, err := siblings.Load(ctx, parent.Group, parent, "labelSet", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.LabelSet, error) {
		return s.r.Labels.SetsByID(ctx, uniqueIDs(all, func(one *ent.LabelSubmission) *int64 { return &one.LabelSetID }))
	})
	return byKey[parent.LabelSetID], err
}

func (s labelSubmission) TimestampText(_ context.Context, parent *ent.LabelSubmission) (string, error) {
	return labels.TimestampText(parent)
}

func (s labelSubmission) Labels(_ context.Context, parent *ent.LabelSubmission) ([]*labels.Label, error) {
	all, err := labels.Decode(parent)
	return pointers(all), err
}

func (labelSubmission) Author(_ context.Context, parent *ent.LabelSubmission) (string, error) {
	name, _ := labels.AuthorOf(parent)
	return name, nil
}

// AuthorEmail is for whom User.email is for: an admin, and the person itself.
// Nobody is known to be the author of what was read from the repository.
func (labelSubmission) AuthorEmail(ctx context.Context, parent *ent.LabelSubmission) (*string, error) {
	c := caller.From(ctx)
	if !c.Has(caller.Admin) && (parent.SubmittedByID == nil || !c.Is(*parent.SubmittedByID)) {
		return nil, fault.New(fault.Forbidden, "the address is for the author and for admins")
	}
	_, email := labels.AuthorOf(parent)
	return email, nil
}

func (s labelSubmission) SubmittedBy(ctx context.Context, parent *ent.LabelSubmission) (*ent.User, error) {
	if parent.SubmittedByID == nil {
		return nil, nil //nolint:nilnil // it was read from the repository
	}
	byKey, err := siblings.Load(ctx, parent.Group, parent, "submittedBy", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.User, error) {
		return s.r.People.ByIDs(ctx, uniqueIDs(all, func(one *ent.LabelSubmission) *int64 { return one.SubmittedByID }))
	})
	return byKey[*parent.SubmittedByID], err
}
