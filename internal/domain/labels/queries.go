package labels

import (
	"context"
	"math"
	"strings"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelset"
	"tagma/ent/generated/labelsubmission"
	"tagma/ent/generated/predicate"
	"tagma/ent/generated/user"
	"tagma/ent/generated/video"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/storage/database"
)

// Filter selects submissions by all of its conditions. A nil field is no condition.
type Filter struct {
	Video       *string // the URL
	FrameIndex  *int
	SubmittedBy *string // a user name
	LabelSet    *string // a name, of any version
	Status      *labelsubmission.Status
	Since       *instant.Instant // the earliest time of submission, inclusive
	Until       *instant.Instant // the latest time of submission, exclusive
}

// conditions returns the conditions of the filter as predicates.
func (f *Filter) conditions() []predicate.LabelSubmission {
	if f == nil {
		return nil
	}
	var all []predicate.LabelSubmission
	if f.Video != nil {
		all = append(all, refersTo(labelsubmission.FieldVideoID, "=", video.Table, video.FieldURL, *f.Video))
	}
	if f.FrameIndex != nil {
		all = append(all, labelsubmission.FrameIndex(*f.FrameIndex))
	}
	if f.SubmittedBy != nil {
		all = append(all, refersTo(labelsubmission.FieldSubmittedByID, "=", user.Table, user.FieldUsername, strings.ToLower(*f.SubmittedBy)))
	}
	if f.LabelSet != nil {
		all = append(all, refersTo(labelsubmission.FieldLabelSetID, "IN", labelset.Table, labelset.FieldName, *f.LabelSet))
	}
	if f.Status != nil {
		all = append(all, labelsubmission.StatusEQ(*f.Status))
	}
	if f.Since != nil {
		all = append(all, labelsubmission.CreatedAtGTE(*f.Since))
	}
	if f.Until != nil {
		all = append(all, labelsubmission.CreatedAtLT(*f.Until))
	}
	return all
}

// refersTo returns the condition that column refers to a row of table with value in
// field. operator is "=" if one row has the value, and "IN" if several rows may have
// the value. The subquery returns ids, so the database uses the index over column.
// For the EXISTS of ent's predicates, SQLite reads every submission.
func refersTo(column, operator, table, field, value string) predicate.LabelSubmission {
	return func(s *sql.Selector) {
		row := sql.Table(table)
		ids := sql.Select(row.C("id")).From(row).Where(sql.EQ(row.C(field), value))
		s.Where(sql.P(func(b *sql.Builder) {
			b.Ident(s.C(column)).WriteString(" " + operator + " ").Wrap(func(b *sql.Builder) { b.Join(ids) })
		}))
	}
}

// byArrival is the order of submissions.
var byArrival = page.Order[*ent.LabelSubmission]{ //nolint:gochecknoglobals // a table
	Columns: []page.Column{{Name: labelsubmission.FieldID}},
	Key:     func(s *ent.LabelSubmission) page.Key { return page.Key{s.ID} },
}

// Submissions returns a page of submissions, in the order of their arrival.
func (l *Service) Submissions(ctx context.Context, filter *Filter, request page.Request) (*page.Page[*ent.LabelSubmission], error) {
	matching := func() *ent.LabelSubmissionQuery { return l.db.LabelSubmission.Query().Where(filter.conditions()...) }
	return page.Fetch(ctx, l.limits, request, byArrival,
		func(ctx context.Context, add func(*sql.Selector)) ([]*ent.LabelSubmission, error) {
			rows, err := matching().Where(add).All(ctx)
			return ent.LabelSubmissions(rows).Siblings(), err
		},
		func(ctx context.Context) (int, error) { return matching().Count(ctx) })
}

// SubmissionsByID returns submissions by id. An id without a row is left out.
func (l *Service) SubmissionsByID(ctx context.Context, ids []int64) (map[int64]*ent.LabelSubmission, error) {
	all, err := l.db.LabelSubmission.Query().Where(database.AmongNumbers(labelsubmission.FieldID, ids)).All(ctx)
	return ent.LabelSubmissions(all).Siblings().ByID(), err
}

// SubmissionsWithVideos returns submissions as SubmissionsByID does, with the video
// of each submission.
func (l *Service) SubmissionsWithVideos(ctx context.Context, ids []int64) (map[int64]*ent.LabelSubmission, error) {
	all, err := l.db.LabelSubmission.Query().Where(database.AmongNumbers(labelsubmission.FieldID, ids)).All(ctx)
	if err == nil {
		err = l.addVideos(ctx, all)
	}
	return ent.LabelSubmissions(all).ByID(), err
}

// addVideos loads the videos of submissions. ent's eager loading is a different
// statement for each number of videos, and each connection stores every prepared
// statement.
func (l *Service) addVideos(ctx context.Context, rows []*ent.LabelSubmission) error {
	videos, err := l.VideosByID(ctx, collectIDs(rows, func(row *ent.LabelSubmission) int64 { return row.VideoID }))
	for _, row := range rows {
		row.Edges.Video = videos[row.VideoID]
	}
	return err
}

// addSets loads the label sets of submissions, as addVideos loads the videos.
func (l *Service) addSets(ctx context.Context, rows []*ent.LabelSubmission) error {
	sets, err := l.SetsByID(ctx, collectIDs(rows, func(row *ent.LabelSubmission) int64 { return row.LabelSetID }))
	for _, row := range rows {
		row.Edges.LabelSet = sets[row.LabelSetID]
	}
	return err
}

// collectIDs returns one id for each row.
func collectIDs[T any](rows []T, id func(T) int64) []int64 {
	ids := make([]int64, len(rows))
	for n, row := range rows {
		ids[n] = id(row)
	}
	return ids
}

// State returns a text for the state of a submission, and whether the state is final.
// Two different states have different texts.
func State(s *ent.LabelSubmission) (state string, final bool) {
	state = string(s.Status)
	if s.Failure != nil {
		state += " " + *s.Failure
	}
	return state, isSettled(s)
}

// Decode returns the labels of a submission.
func Decode(s *ent.LabelSubmission) ([]Label, error) {
	var f struct {
		Labels []Label `json:"labels"`
	}
	err := unmarshal([]byte(s.Content), &f)
	return f.Labels, err
}

// Coverage returns the fraction of a video's frames with labels, from 0 to 1.
func Coverage(v *ent.Video, labelled int) float64 {
	if v.TotalFrames == 0 {
		return 0
	}
	return min(1, float64(labelled)/float64(v.TotalFrames)) // a later submission may give the video fewer frames
}

// Video returns the video with a URL, or nil if nobody has labelled the video.
func (l *Service) Video(ctx context.Context, videoURL string) (*ent.Video, error) {
	row, err := l.db.Video.Query().Where(video.URL(videoURL)).Only(ctx)
	if ent.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the schema's null
	}
	return row, err
}

// Videos returns a page of labelled videos, in the order of their first submissions.
func (l *Service) Videos(ctx context.Context, request page.Request) (*page.Page[*ent.Video], error) {
	order := page.Order[*ent.Video]{
		Columns: []page.Column{{Name: video.FieldID}},
		Key:     func(v *ent.Video) page.Key { return page.Key{v.ID} },
	}
	return page.Fetch(ctx, l.limits, request, order,
		func(ctx context.Context, add func(*sql.Selector)) ([]*ent.Video, error) {
			rows, err := l.db.Video.Query().Where(add).All(ctx)
			return ent.Videos(rows).Siblings(), err
		},
		func(ctx context.Context) (int, error) { return l.db.Video.Query().Count(ctx) })
}

// VideosByID returns videos by id. An id without a row is left out.
func (l *Service) VideosByID(ctx context.Context, ids []int64) (map[int64]*ent.Video, error) {
	all, err := l.db.Video.Query().Where(database.AmongNumbers(video.FieldID, ids)).All(ctx)
	return ent.Videos(all).Siblings().ByID(), err
}

// LabelledFrames returns the number of frames with labels for each video, by the
// video's id.
func (l *Service) LabelledFrames(ctx context.Context, videos []*ent.Video) (map[int64]int, error) {
	var rows []struct {
		VideoID int64 `sql:"video_id"`
		Frames  int   `sql:"frames"`
	}
	err := l.db.LabelSubmission.Query().Where(database.AmongNumbers(labelsubmission.FieldVideoID, ent.Videos(videos).IDs())).
		GroupBy(labelsubmission.FieldVideoID).
		Aggregate(func(s *sql.Selector) string {
			return sql.As(sql.Count(sql.Distinct(s.C(labelsubmission.FieldFrameIndex))), "frames")
		}).Scan(ctx, &rows)
	frames := make(map[int64]int, len(rows))
	for _, row := range rows {
		frames[row.VideoID] = row.Frames
	}
	return frames, err
}

// OfVideos returns the first page of the submissions of each video, by the video's
// id. If frame is not nil, OfVideos returns only submissions of this frame. OfVideos
// runs one statement for any number of videos, and one more when a caller requests a
// total.
func (l *Service) OfVideos(ctx context.Context, videos []*ent.Video, frame *int, request page.Request) (map[int64]*page.Page[*ent.LabelSubmission], error) {
	plan, err := byArrival.Plan(l.limits, request)
	if err != nil {
		return nil, err
	}
	submissions := database.First{
		Table: labelsubmission.Table, Parent: labelsubmission.FieldVideoID,
		Column: labelsubmission.FieldID, Before: math.MaxInt64, Most: plan.Length + 1,
	}
	if plan.After != nil {
		submissions.StartAfter(plan.After[0].(int64))
	}
	if frame != nil {
		submissions.Filter, submissions.Value = labelsubmission.FieldFrameIndex, *frame
	}
	videoIDs := ent.Videos(videos).IDs()
	rows, err := l.db.LabelSubmission.Query().Where(func(s *sql.Selector) {
		database.SelectFirst(s, submissions, videoIDs)
		s.OrderBy(sql.Table(labelsubmission.Table).C(labelsubmission.FieldID))
	}).All(ctx)
	if err != nil {
		return nil, err
	}
	return page.OfParents(byArrival, plan, videoIDs, ent.LabelSubmissions(rows).Siblings(),
		func(s *ent.LabelSubmission) int64 { return s.VideoID },
		func() (map[int64]int, error) { return l.count(ctx, videos, frame) }), nil
}

// count returns the number of submissions of each video, by the video's id. If frame
// is not nil, count counts only submissions of this frame.
func (l *Service) count(ctx context.Context, videos []*ent.Video, frame *int) (map[int64]int, error) {
	query := l.db.LabelSubmission.Query().Where(database.AmongNumbers(labelsubmission.FieldVideoID, ent.Videos(videos).IDs()))
	if frame != nil {
		query.Where(labelsubmission.FrameIndex(*frame))
	}
	var rows []struct {
		VideoID int64 `sql:"video_id"`
		Count   int
	}
	err := query.GroupBy(labelsubmission.FieldVideoID).Aggregate(ent.As(ent.Count(), "count")).Scan(ctx, &rows)
	counts := make(map[int64]int, len(rows))
	for _, row := range rows {
		counts[row.VideoID] = row.Count
	}
	return counts, err
}
