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
	return q.Labels.Sets(ctx)
}

func (q query) LabelSet(ctx context.Context, name string) (*ent.LabelSet, error) {
	return q.Labels.Set(ctx, name)
}

func (q query) Video(ctx context.Context, url string) (*ent.Video, error) {
	return q.Labels.Video(ctx, url)
}

func (q query) Videos(ctx context.Context, first *int, after *string) (*node.VideoConnection, error) {
	return q.Labels.Videos(ctx, page.Request{First: first, After: after})
}

func (q query) LabelSubmissions(ctx context.Context, filter *labels.Filter, first *int, after *string, last *int, before *string) (*node.LabelSubmissionConnection, error) {
	return q.Labels.Submissions(ctx, filter, page.Request{First: first, After: after, Last: last, Before: before})
}

func (m mutation) SubmitLabels(ctx context.Context, input labels.Submission, wait time.Duration) (*labels.Receipt, error) {
	if wait < 0 || wait > LongestLabelWait {
		var problems fault.Problems
		problems.Add(fault.BadInput, []any{"wait"}, "%g seconds are not from PT0S to PT25S", wait.Seconds())
		return nil, problems.Err()
	}
	return m.Labels.Submit(ctx, &input, wait)
}

func (m mutation) CreateLabelSet(ctx context.Context, input model.LabelSetInput) (*ent.LabelSet, error) {
	return m.Labels.CreateSet(ctx, input.Name, values(input.Labels))
}

func (s labelSet) Labels(_ context.Context, of *ent.LabelSet) ([]*labels.Definition, error) {
	all, err := labels.Definitions(of)
	return pointers(all), err
}

func (v video) LabelledFrames(ctx context.Context, of *ent.Video) (int, error) {
	frames, err := siblings.Load(ctx, of.Group, of, "labelledFrames", v.Labels.LabelledFrames)
	return frames[of.ID], err
}

func (v video) Coverage(ctx context.Context, of *ent.Video) (float64, error) {
	frames, err := v.LabelledFrames(ctx, of)
	return labels.Coverage(of, frames), err
}

func (v video) Submissions(ctx context.Context, of *ent.Video, frameIndex, first *int, after *string) (*node.LabelSubmissionConnection, error) {
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
	found, err := siblings.Load(ctx, of.Group, of, name, func(ctx context.Context, all []*ent.Video) (map[int64]*node.LabelSubmissionConnection, error) {
		return v.Labels.OfVideos(ctx, all, frameIndex, page.Request{First: first, After: after})
	})
	return found[of.ID], err
}

func (s labelSubmission) Video(ctx context.Context, of *ent.LabelSubmission) (*ent.Video, error) {
	found, err := siblings.Load(ctx, of.Group, of, "video", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.Video, error) {
		return s.Resolver.Labels.VideosByID(ctx, distinct(all, func(one *ent.LabelSubmission) *int64 { return &one.VideoID }))
	})
	return found[of.VideoID], err
}

func (s labelSubmission) LabelSet(ctx context.Context, of *ent.LabelSubmission) (*ent.LabelSet, error) {
	found, err := siblings.Load(ctx, of.Group, of, "labelSet", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.LabelSet, error) {
		return s.Resolver.Labels.SetsByID(ctx, distinct(all, func(one *ent.LabelSubmission) *int64 { return &one.LabelSetID }))
	})
	return found[of.LabelSetID], err
}

func (s labelSubmission) Labels(_ context.Context, of *ent.LabelSubmission) ([]*labels.Label, error) {
	all, err := labels.OfSubmission(of)
	return pointers(all), err
}

func (labelSubmission) Author(_ context.Context, of *ent.LabelSubmission) (string, error) {
	name, _ := labels.AuthorOf(of)
	return name, nil
}

// AuthorEmail is for whom User.email is for: an admin, and the person itself.
// Nobody is known to be the author of what was read from the repository.
func (labelSubmission) AuthorEmail(ctx context.Context, of *ent.LabelSubmission) (*string, error) {
	c := caller.From(ctx)
	if !c.Has(caller.Admin) && (of.SubmittedByID == nil || !c.Is(*of.SubmittedByID)) {
		return nil, fault.New(fault.Forbidden, "the address is for the author and for admins")
	}
	_, email := labels.AuthorOf(of)
	return email, nil
}

func (s labelSubmission) SubmittedBy(ctx context.Context, of *ent.LabelSubmission) (*ent.User, error) {
	if of.SubmittedByID == nil {
		return nil, nil //nolint:nilnil // it was read from the repository
	}
	found, err := siblings.Load(ctx, of.Group, of, "submittedBy", func(ctx context.Context, all []*ent.LabelSubmission) (map[int64]*ent.User, error) {
		return s.People.ByIDs(ctx, distinct(all, func(one *ent.LabelSubmission) *int64 { return one.SubmittedByID }))
	})
	return found[*of.SubmittedByID], err
}
