package labels

import (
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"entgo.io/ent/dialect"
	entsql "entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/labelsubmission"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/storage/database"
)

// library is 3 films, 30 submissions of each: ten frames, three times each; one
// in two by Ben, and one in five against another set.
func (w *world) library() []*ent.LabelSubmission {
	w.t.Helper()
	_, err := w.CreateSet(w.t.Context(), "teeth", paws)
	must(w.t, err)
	for film := range 3 {
		for n := range 30 {
			s := rat(n%10, float64(n))
			s.VideoURL = fmt.Sprint("https://example.org/", film)
			if n%5 == 0 {
				s.LabelSet = ptr("teeth")
			}
			who := w.ana
			if n%2 == 1 {
				who = w.ben
			}
			receipt, err := w.Submit(who, s, 0)
			must(w.t, err)
			if n < 20 {
				w.settle(receipt.Submission, labelsubmission.StatusPUSHED)
			}
		}
	}
	return w.all()
}

func idsOf(rows []*ent.LabelSubmission) []int64 {
	ids := make([]int64, len(rows))
	for n, row := range rows {
		ids[n] = row.ID
	}
	return ids
}

func TestSubmissions_EachFilterSelectsJustWhatMatches(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rows := w.library()
		ana := *rows[0].SubmittedByID
		teeth := rows[0].LabelSetID
		film := rows[30].VideoID
		middle := rows[45].CreatedAt
		for name, c := range map[string]struct {
			filter  *Filter
			matches func(*ent.LabelSubmission) bool
		}{
			"none":           {nil, func(*ent.LabelSubmission) bool { return true }},
			"empty":          {&Filter{}, func(*ent.LabelSubmission) bool { return true }},
			"film":           {&Filter{Video: ptr("https://example.org/1")}, func(s *ent.LabelSubmission) bool { return s.VideoID == film }},
			"unknown film":   {&Filter{Video: ptr("https://example.org/%")}, func(*ent.LabelSubmission) bool { return false }},
			"frame":          {&Filter{FrameIndex: ptr(7)}, func(s *ent.LabelSubmission) bool { return s.FrameIndex == 7 }},
			"person":         {&Filter{SubmittedBy: ptr("ANA")}, func(s *ent.LabelSubmission) bool { return *s.SubmittedByID == ana }},
			"unknown person": {&Filter{SubmittedBy: ptr("eva")}, func(*ent.LabelSubmission) bool { return false }},
			"label set":      {&Filter{LabelSet: ptr("teeth")}, func(s *ent.LabelSubmission) bool { return s.LabelSetID == teeth }},
			"status":         {&Filter{Status: ptr(labelsubmission.StatusPUSHED)}, func(s *ent.LabelSubmission) bool { return s.Status == labelsubmission.StatusPUSHED }},
			"since":          {&Filter{Since: &middle}, func(s *ent.LabelSubmission) bool { return s.CreatedAt >= middle }},
			"until":          {&Filter{Until: &middle}, func(s *ent.LabelSubmission) bool { return s.CreatedAt < middle }},
			"since and until": {&Filter{Since: &middle, Until: ptr(middle + 5000)}, func(s *ent.LabelSubmission) bool {
				return s.CreatedAt >= middle && s.CreatedAt < middle+5000
			}},
			"everything": {
				&Filter{Video: ptr("https://example.org/1"), FrameIndex: ptr(0), SubmittedBy: ptr("ana"), LabelSet: ptr("teeth"), Status: ptr(labelsubmission.StatusQUEUED), Since: ptr(instant.Instant(0)), Until: ptr(latest)},
				func(s *ent.LabelSubmission) bool {
					return s.VideoID == film && s.FrameIndex == 0 && *s.SubmittedByID == ana && s.LabelSetID == teeth && s.Status == labelsubmission.StatusQUEUED
				},
			},
		} {
			t.Run(name, func(t *testing.T) {
				var want []int64
				for _, row := range rows {
					if c.matches(row) {
						want = append(want, row.ID)
					}
				}
				if strings.Contains(name, "unknown") != (len(want) == 0) {
					t.Fatalf("%d match: the test is about nothing", len(want))
				}
				// In pages of seven, from either end.
				for _, backwards := range []bool{false, true} {
					var got []int64
					request := page.Request{First: ptr(7)}
					if backwards {
						request = page.Request{Last: ptr(7)}
					}
					for more := true; more; {
						p, err := w.Submissions(t.Context(), c.filter, request)
						must(t, err)
						total, err := p.TotalCount(t.Context())
						must(t, err)
						same(t, "total", total, len(want))
						if backwards {
							got = append(idsOf(p.Nodes), got...)
							request.Before, more = p.PageInfo.StartCursor, p.PageInfo.HasPreviousPage
						} else {
							got = append(got, idsOf(p.Nodes)...)
							request.After, more = p.PageInfo.EndCursor, p.PageInfo.HasNextPage
						}
					}
					same(t, "ids", got, want)
				}
			})
		}
	})
}

func TestLabelledFrames_CountsAFrameOnceHoweverOftenItWasSubmitted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.library()
		films, err := w.Videos(t.Context(), page.Request{})
		must(t, err)
		n, err := films.TotalCount(t.Context())
		must(t, err)
		same(t, "films", n, 3)
		bare := w.db.Video.Create().SetURL("https://example.org/bare").SetHash("").SetTotalFrames(0).SetFps(1).SetFrameWidth(1).SetFrameHeight(1).SetCreatedAt(noon).SaveX(t.Context())
		frames, err := w.LabelledFrames(t.Context(), append(films.Nodes, bare))
		must(t, err)
		for _, film := range films.Nodes {
			same(t, film.URL, frames[film.ID], 10)
			same(t, "coverage", Coverage(film, frames[film.ID]), 0.01)
		}
		same(t, "of a film without labels", Coverage(bare, frames[bare.ID]), 0.0)
		same(t, "of a film that became shorter", Coverage(&ent.Video{TotalFrames: 5}, 10), 1.0)
	})
}

func TestOfVideos_GivesEachFilmItsOwnPage(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rows := w.library()
		films, err := w.Videos(t.Context(), page.Request{})
		must(t, err)
		for _, frame := range []*int{nil, ptr(3), ptr(99)} {
			got := map[int64][]int64{}
			want := map[int64][]int64{}
			for _, row := range rows {
				if frame == nil || row.FrameIndex == *frame {
					want[row.VideoID] = append(want[row.VideoID], row.ID)
				}
			}
			for _, film := range films.Nodes {
				request := page.Request{First: ptr(2)}
				for more := true; more; {
					// The cursor is one film's; the others' pages begin there too.
					pages, err := w.OfVideos(t.Context(), films.Nodes, frame, request)
					must(t, err)
					same(t, "pages", len(pages), 3)
					p := pages[film.ID]
					got[film.ID] = append(got[film.ID], idsOf(p.Nodes)...)
					total, err := p.TotalCount(t.Context())
					must(t, err)
					same(t, "total", total, len(want[film.ID]))
					request.After, more = p.PageInfo.EndCursor, p.PageInfo.HasNextPage
				}
			}
			for _, film := range films.Nodes {
				same(t, film.URL, got[film.ID], want[film.ID])
			}
		}
		if _, err := w.OfVideos(t.Context(), films.Nodes, nil, page.Request{After: ptr("x")}); err == nil {
			t.Error("a cursor of nothing is taken")
		}
		// A client may invent a cursor: behind the largest number there is nothing.
		pages, err := w.OfVideos(t.Context(), films.Nodes, nil, page.Request{After: ptr(page.Key{int64(math.MaxInt64)}.Cursor())})
		must(t, err)
		for _, film := range films.Nodes {
			same(t, "submissions behind the largest number", len(pages[film.ID].Nodes), 0)
		}
		found, err := w.VideosByID(t.Context(), []int64{films.Nodes[1].ID, -1})
		must(t, err)
		same(t, "by id", slices.Collect(maps.Keys(found)), []int64{films.Nodes[1].ID})
	})
}

func TestQueries_TakeAsManyStatementsForOneRowAsForAHundred(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		rows := w.library()
		films, err := w.Videos(t.Context(), page.Request{})
		must(t, err)
		for name, c := range map[string]struct {
			want int
			ask  func(n int) error
		}{
			"Submissions": {1, func(n int) error { _, err := w.Submissions(t.Context(), nil, page.Request{First: &n}); return err }},
			"SubmissionsByID": {1, func(n int) error {
				_, err := w.SubmissionsByID(t.Context(), idsOf(rows)[:min(n, len(rows))])
				return err
			}},
			"LabelledFrames": {1, func(n int) error { _, err := w.LabelledFrames(t.Context(), films.Nodes[:min(n, 3)]); return err }},
			"Sets":           {1, func(int) error { _, err := w.Sets(t.Context()); return err }},
			"OfVideos": {2, func(n int) error {
				pages, err := w.OfVideos(t.Context(), films.Nodes[:min(n, 3)], ptr(1), page.Request{First: &n})
				for _, p := range pages {
					if _, err := p.TotalCount(t.Context()); err != nil {
						return err
					}
				}
				return err
			}},
		} {
			for _, n := range []int{1, 100} {
				got := w.statements.of(func() { must(t, c.ask(n)) })
				same(t, fmt.Sprint(name, " of ", n), got, c.want)
			}
		}
		// A submission, too, whatever its number of labels.
		w.submit(rat(997, 1)) // which makes the video
		s := rat(999, 1)
		const one = 2 // one looks, the other writes
		same(t, "statements of a submission", w.statements.of(func() { w.submit(s) }), one)
		var many []Definition
		for n := range 500 {
			many = append(many, Definition{fmt.Sprint(n), "x"})
		}
		_, err = w.CreateSet(t.Context(), "many", many)
		must(t, err)
		s = rat(998, 1)
		s.LabelSet, s.Labels = ptr("many"), nil
		for _, d := range many {
			s.Labels = append(s.Labels, Label{ID: d.ID, Name: d.Name})
		}
		same(t, "statements for 500 labels", w.statements.of(func() { w.submit(s) }), one)
	})
}

// grow puts 40,000 submissions of 400 films by 20 people into the database.
func (w *world) grow() {
	w.t.Helper()
	ctx := w.t.Context()
	numbers := `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
	for _, statement := range []string{
		`INSERT INTO users (username, role, password_hash, disabled, created_at) ` + fmt.Sprintf(numbers, 20) + `SELECT 'p' || i, 'WRITER', '', false, 0 FROM n`,
		`INSERT INTO label_sets (name, version, labels, created_at) ` + fmt.Sprintf(numbers, 40) + `SELECT 's' || i, 1, '[]', 0 FROM n`,
		`INSERT INTO videos (url, hash, total_frames, fps, frame_width, frame_height, created_at) ` + fmt.Sprintf(numbers, 400) + `SELECT 'https://v/' || i, '', 1000, 1, 1, 1, 0 FROM n`,
		`INSERT INTO label_submissions (video_id, frame_index, timestamp, label_set_id, filename, revision, content, status, created_at, submitted_by, author) ` +
			fmt.Sprintf(numbers, 40000) + `SELECT (SELECT min(id) FROM videos) + i % 400, i / 400, i, (SELECT min(id) FROM label_sets) + i % 40, 'f' || i, 1, '{}',
			CASE WHEN i % 1000 = 0 THEN 'FAILED' ELSE 'PUSHED' END, i, (SELECT min(id) FROM users) + i % 20, '' FROM n`,
		`ANALYZE`,
	} {
		if w.db.Dialect == dialect.SQLite {
			statement = strings.ReplaceAll(statement, "INSERT INTO", "INSERT OR IGNORE INTO")
		}
		_, err := w.db.SQL.ExecContext(ctx, statement)
		must(w.t, err)
	}
}

// spying is ent's way to a database, and notes what it asks.
type spying struct {
	dialect.Driver
	seen []statement
}

type statement struct {
	query string
	args  []any
}

func (s *spying) Query(ctx context.Context, query string, args, v any) error {
	s.seen = append(s.seen, statement{query, args.([]any)})
	return s.Driver.Query(ctx, query, args, v)
}

// plan is how the database answers a statement.
func (w *world) plan(s statement) string {
	w.t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if w.db.Dialect == dialect.Postgres {
		explain = "EXPLAIN "
	}
	rows, err := w.db.SQL.QueryContext(w.t.Context(), explain+s.query, s.args...)
	must(w.t, err)
	defer rows.Close()
	var plan strings.Builder
	for rows.Next() {
		var line string
		into := []any{&line}
		if w.db.Dialect == dialect.SQLite {
			into = []any{new(any), new(any), new(any), &line}
		}
		must(w.t, rows.Scan(into...))
		fmt.Fprintln(&plan, line)
	}
	must(w.t, rows.Err())
	return plan.String()
}

// heavy is a step of a plan that reads all submissions.
var heavy = regexp.MustCompile(`(SCAN|Seq Scan on) label_submissions`)

func TestSubmissions_AreFoundThroughAnIndexByWhateverTheyAreSelected(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.grow()
		spy := &spying{Driver: entsql.OpenDB(w.db.Dialect, w.db.SQL)}
		spied := New(&database.DB{Client: ent.NewClient(ent.Driver(spy)), SQL: w.db.SQL, Dialect: w.db.Dialect}, w.clock, w.limits)
		for name, filter := range map[string]*Filter{
			"film":          {Video: ptr("https://v/7")},
			"film's frame":  {Video: ptr("https://v/7"), FrameIndex: ptr(9)},
			"status":        {Status: ptr(labelsubmission.StatusFAILED)},
			"time":          {Since: ptr(instant.Instant(39990))},
			"person":        {SubmittedBy: ptr("p5")},
			"label set":     {LabelSet: ptr("s7")},
			"film's person": {Video: ptr("https://v/7"), SubmittedBy: ptr("p5")},
		} {
			spy.seen = nil
			p, err := spied.Submissions(t.Context(), filter, page.Request{Last: ptr(5)})
			must(t, err)
			if len(p.Nodes) == 0 {
				t.Errorf("by %s: nothing is found", name)
			}
			_, err = p.TotalCount(t.Context())
			must(t, err)
			for _, s := range spy.seen {
				if name == "label set" && strings.Contains(s.query, "LIMIT") {
					continue // a good part of all is of one set: to read them from the end is right
				}
				if plan := w.plan(s); heavy.MatchString(plan) {
					t.Errorf("by %s:\n%s\n%s", name, s.query, plan)
				}
			}
		}
	})
}
