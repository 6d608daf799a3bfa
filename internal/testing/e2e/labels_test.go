package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/gittest"
	"tagma/internal/testing/testenv"
)

const ratVideo = "https://example.com/rats/2024-01-15-cage3.mp4"

// submission is an input of submitLabels: the paws of a frame of ratVideo, the
// nose at x.
func submission(frame int, x float64) vars {
	placed := func(key, name string, x, y float64) vars {
		return vars{"key": key, "name": name, "placed": true, "pixelX": x, "pixelY": y}
	}
	return vars{
		"videoUrl": ratVideo, "frameIndex": frame, "totalFrames": 100_000, "fps": 30.0,
		"frameWidth": 1920, "frameHeight": 1080, "timestamp": "2024-01-15T12:34:56Z",
		"labels": []vars{
			placed("left_front_paw", "Left front paw", 612, 701.5),
			placed("right_front_paw", "Right front paw", 655.25, 704),
			placed("left_hind_paw", "Left hind paw", 801, 715),
			{"key": "right_hind_paw", "name": "Right hind paw", "placed": false},
			placed("nose", "Nose", x, 320),
			placed("tail_base", "Tail base", 930, 640),
		},
	}
}

// submitted is a submission as the server gives it.
type submitted struct {
	ID, Status, Filename, Author, CreatedAt string
	Revision                                int
	CommitSha, PushedAt, Failure            *string
	SubmittedBy                             *struct{ Username string }
}

const submittedFields = `id status filename revision commitSha pushedAt failure author createdAt submittedBy { username }`

// receipt is the answer to a submission.
type receipt struct {
	Outcome    string
	Submission submitted
}

const submitMutation = `mutation Submit($input: LabelSubmissionInput!, $wait: Duration! = "PT0S") {
  submitLabels(input: $input, wait: $wait) { outcome submission { ` + submittedFields + ` } } }`

// trySubmit submits labels to a server that may be dying, and waits so many
// seconds for the repository.
func (c *client) trySubmit(input vars, wait int) (receipt, error) {
	var got struct{ SubmitLabels receipt }
	err := c.tryDo(&got, submitMutation, vars{"input": input, "wait": fmt.Sprintf("PT%dS", wait)})
	return got.SubmitLabels, err
}

// submit submits labels, and waits so many seconds for the repository.
func (c *client) submit(input vars, wait int) receipt {
	c.t.Helper()
	got, err := c.trySubmit(input, wait)
	if err != nil {
		c.t.Fatal(err)
	}
	return got
}

// submissions is all of a status, or all, as they came.
func (c *client) submissions(status string) []submitted {
	c.t.Helper()
	filter := vars{}
	if status != "" {
		filter["status"] = status
	}
	var all []submitted
	variables := vars{"filter": filter}
	for {
		var got struct{ LabelSubmissions connectionOf[submitted] }
		c.must(&got, `query Submissions($filter: LabelSubmissionFilter, $after: String) {
		  labelSubmissions(filter: $filter, first: 500, after: $after) { nodes { `+submittedFields+` } pageInfo { hasNextPage endCursor } } }`, variables)
		all = append(all, got.LabelSubmissions.Nodes...)
		if !got.LabelSubmissions.PageInfo.HasNextPage {
			return all
		}
		variables["after"] = got.LabelSubmissions.PageInfo.EndCursor
	}
}

// count is how many submissions there are of a status.
func (c *client) count(status string) int {
	c.t.Helper()
	var got struct{ LabelSubmissions struct{ TotalCount int } }
	c.must(&got, `query Count($status: SubmissionStatus) { labelSubmissions(filter: { status: $status }, first: 1) { totalCount } }`, vars{"status": status})
	return got.LabelSubmissions.TotalCount
}

// until waits for something to come true.
func until(t testing.TB, what string, within time.Duration, true_ func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !true_(); {
		if time.Now().After(end) {
			t.Fatalf("after %s it is not so that %s", within, what)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// settle waits until nothing is on its way to the repository.
func (c *client) settle(within time.Duration) {
	c.t.Helper()
	until(c.t, "all submissions have arrived or failed", within, func() bool {
		return c.count("QUEUED")+c.count("COMMITTED") == 0
	})
}

// labels runs a `tagma labels` command with the settings of a server.
func (s *server) labels(t *testing.T, name string) (out string, ok bool) {
	t.Helper()
	args := []string{"labels", name, "--data", s.Data}
	if s.Database != "" {
		args = append(args, "--database", s.Database)
	}
	out, said, ok := tagma(t, s.env, append(args, s.args...)...)
	return out + said, ok
}

// verify demands that the database and the repository have the same.
func (s *server) verify(t *testing.T) string {
	t.Helper()
	out, ok := s.labels(t, "verify")
	if !ok {
		t.Errorf("the database and the repository differ: %s", out)
	}
	return out
}

// pushedOnce compares a history with submissions: each is there once, in their
// order, with its file. Commits of others are passed over.
func pushedOnce(t testing.TB, dir string, all []submitted) {
	t.Helper()
	var ours []commit
	for _, one := range history(t, dir) {
		if one.ID != "" {
			ours = append(ours, one)
		}
	}
	if len(ours) != len(all) {
		t.Errorf("%d commits of %d submissions", len(ours), len(all))
	}
	for n := range min(len(ours), len(all)) {
		one, commit := all[n], ours[n]
		if one.Status != "PUSHED" || one.CommitSha == nil || *one.CommitSha != commit.SHA || one.Failure != nil {
			t.Fatalf("commit %d is %+v, and the submission there %+v", n, commit, one)
		}
		name, _, _ := strings.Cut(commit.Author, " <")
		if filepath.Base(commit.Path) != one.Filename || name != one.Author {
			t.Fatalf("commit %d: got file %q by %q, want file %q by %q", n, commit.Path, name, one.Filename, one.Author)
		}
	}
}

func TestLabels_TheSampleIsFoundByGitLogInACloneOfTheRemote(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]struct {
		database func(testing.TB) string
		remote   func(testing.TB) *remote
	}{
		"HTTP, SQLite":     {func(testing.TB) string { return "" }, newRemote},
		"path, PostgreSQL": {testenv.Postgres, newFolder},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := kind.remote(t)
			s := start(t, kind.database(t), append([]string{"--labels-committer", "Camera lab <lab@example.org>"}, r.args...)...)
			ben := s.person(s.admin(), "ben", "WRITER")

			got := ben.submit(submission(42, 540.5), 20)
			if got.Outcome != "ACCEPTED" || got.Submission.Status != "PUSHED" || got.Submission.CommitSha == nil || got.Submission.PushedAt == nil {
				t.Fatalf("the submission is answered %+v", got)
			}
			again := ben.submit(submission(42, 540.5), 20)
			if again.Outcome != "NO_CHANGE" || again.Submission.ID != got.Submission.ID || again.Submission.Status != "PUSHED" {
				t.Errorf("the same again is answered %+v", again)
			}
			other := ben.submit(submission(42, 541), 20)
			if other.Outcome != "ACCEPTED" || other.Submission.Revision != 2 || other.Submission.Filename != got.Submission.Filename {
				t.Errorf("another nose of the same frame is answered %+v", other)
			}

			work := gittest.Clone(t, r.Dir)
			commits := history(t, work)
			if len(commits) != 2 {
				t.Fatalf("the clone has the commits %+v", commits)
			}
			const file = "c1a1c8b4ad2b_frame42_1705322096000.json"
			first := commits[0]
			if first.SHA != *got.Submission.CommitSha || first.Author != "ben <ben@tagma.invalid>" || first.Committer != "Camera lab <lab@example.org>" ||
				first.Subject != "annotation: "+got.Submission.Filename || first.Path != "annotations/"+got.Submission.Filename[:2]+"/"+got.Submission.Filename {
				t.Errorf("the commit is %+v", first)
			}
			if !strings.HasSuffix(got.Submission.Filename, "_frame42_1705322096000.json") || len(got.Submission.Filename) != len(file) {
				t.Errorf("the file is %s", got.Submission.Filename)
			}
			if seconds, err := strconv.ParseInt(first.Date, 10, 64); err != nil || !strings.HasPrefix(got.Submission.CreatedAt, time.Unix(seconds, 0).UTC().Format("2006-01-02T15:04:05")) {
				t.Errorf("written at %s, submitted at %s", first.Date, got.Submission.CreatedAt)
			}
			message := gittest.Git(t, work, "log", "-1", "--format=%B", first.SHA)
			for _, line := range []string{"video_url: " + ratVideo, "frame_index: 42", "submitted_at: " + got.Submission.CreatedAt, "Submission-Id: " + first.ID, "Label-Set: paws@1"} {
				if !strings.Contains("\n"+message, "\n"+line+"\n") {
					t.Errorf("the message lacks %q: %s", line, message)
				}
			}
			if !strings.HasSuffix(got.Submission.ID, first.ID) {
				t.Errorf("%s has the trailer %s", got.Submission.ID, first.ID)
			}
			checkSample(t, filepath.Join(work, first.Path), 541)
			fsck(t, r.Dir)
		})
	}
}

// checkSample compares a file with the submission of frame 42.
func checkSample(t *testing.T, path string, nose float64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"video_url": %q, "frame_index": 42, "total_frames": 100000, "fps": 30, "frame_width": 1920, "frame_height": 1080,
	  "timestamp": "2024-01-15T12:34:56Z", "labels": [
	  {"id": "left_front_paw",  "name": "Left front paw",  "placed": true,  "pixel_x": 612,    "pixel_y": 701.5},
	  {"id": "right_front_paw", "name": "Right front paw", "placed": true,  "pixel_x": 655.25, "pixel_y": 704},
	  {"id": "left_hind_paw",   "name": "Left hind paw",   "placed": true,  "pixel_x": 801,    "pixel_y": 715},
	  {"id": "right_hind_paw",  "name": "Right hind paw",  "placed": false, "pixel_x": null,   "pixel_y": null},
	  {"id": "nose",            "name": "Nose",            "placed": true,  "pixel_x": %g,     "pixel_y": 320},
	  {"id": "tail_base",       "name": "Tail base",       "placed": true,  "pixel_x": 930,    "pixel_y": 640}]}`, ratVideo, nose)
	if got := canonical(t, content); got != canonical(t, []byte(want)) {
		t.Errorf("the file is %s", content)
	}
	if !strings.HasPrefix(string(content), "{\n  \"video_url\": ") || !strings.HasSuffix(string(content), "\n}\n") {
		t.Errorf("the file is not written for people: %s", content)
	}
}

// canonical is a JSON text without what does not matter.
func canonical(t testing.TB, text []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%s: got %v, want JSON", text, err)
	}
	out, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestLabels_ALocalRepositoryNeedsNoGitProgram(t *testing.T) {
	t.Parallel()
	s := startAs(t, &server{env: []string{"PATH="}})
	admin := s.admin()
	for n := range 3 {
		if got := admin.submit(submission(n, 1), 20); got.Submission.Status != "PUSHED" {
			t.Fatalf("the submission is answered %+v", got)
		}
	}
	pushedOnce(t, filepath.Join(s.Data, "labels.git"), admin.submissions(""))
	fsck(t, filepath.Join(s.Data, "labels.git"))
	s.stop()
	s.boot()
	if got := s.admin().submit(submission(3, 1), 20); got.Submission.Status != "PUSHED" {
		t.Errorf("after a start anew the submission is answered %+v", got)
	}
	s.stop()
	if out := s.verify(t); !strings.Contains(out, "4 files are the same in both") {
		t.Errorf("verify says %s", out)
	}
}

func TestLabels_WhoMayNotSubmitIsRefusedAndWhoMayNotReadSeesNothing(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		reader := s.person(admin, "reader", "READER")
		admin.submit(submission(1, 1), 0)
		trapped := (&lab{server: s, clients: map[string]*client{"WRITER": admin}}).trapToken("WRITER", trap)
		input := vars{"input": submission(2, 1)}
		for _, c := range []struct {
			who       *client
			name      string
			query     string
			variables vars
			want      string
		}{
			{reader, "reader", submitMutation, input, "FORBIDDEN"},
			{s.anonymous(), "anonymous", submitMutation, input, "UNAUTHENTICATED"},
			{trapped, "trap", submitMutation, input, "FORBIDDEN"},
			{reader, "reader", `{ labelSubmissions { nodes { authorEmail } } }`, nil, "FORBIDDEN"},
			{reader, "reader", `mutation { createLabelSet(input: { name: "x", labels: [{ key: "x", name: "x" }] }) { labelSet { id } } }`, nil, "FORBIDDEN"},
		} {
			if got := c.who.do(c.query, c.variables); got.code() != c.want || strings.Contains(string(got.Body), ratVideo) {
				t.Errorf("%s: %.60s is answered %s", c.name, c.query, got.Body)
			}
		}
		for _, query := range []string{
			`{ labelSubmissions { nodes { id } totalCount } }`, `{ videos { nodes { url } } }`, `{ labelSets { name } }`,
			`{ labelSet(name: "paws") { name } }`, `{ video(url: "` + ratVideo + `") { url } }`, `{ node(id: "LabelSubmission:1") { id } }`,
		} {
			if got := reader.do(query, nil); got.code() != "" {
				t.Errorf("reader: %s is answered %s", query, got.Body)
			}
			if got := s.anonymous().do(query, nil); got.code() != "UNAUTHENTICATED" || strings.Contains(string(got.Body), "paws\"") {
				t.Errorf("anonymous: %s is answered %s", query, got.Body)
			}
			if got := trapped.do(query, nil); got.code() != "FORBIDDEN" {
				t.Errorf("trap: %s is answered %s", query, got.Body)
			}
		}
		if n := admin.count("QUEUED") + admin.count("COMMITTED") + admin.count("PUSHED"); n != 1 {
			t.Errorf("there are %d submissions", n)
		}
	})
}

func TestLabels_StatementsAreAsManyForOneRowAsForAHundred(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		spent := func(operation string, do func()) int {
			before := s.statements(operation)
			do()
			return s.statements(operation) - before
		}
		admin.submit(submission(0, 1), 0) // which makes the video
		firstSubmit := spent("Submit", func() { admin.submit(submission(0, 2), 0) })
		for n := range 99 {
			input := submission(n, 2)
			input["videoUrl"] = fmt.Sprintf("https://example.com/%d.mp4", n)
			admin.submit(input, 0)
		}
		if last := spent("Submit", func() { admin.submit(submission(1, 1), 0) }); last != firstSubmit || last > 3 {
			t.Errorf("the first submission of a known video took %d statements, and the hundredth %d", firstSubmit, last)
		}
		const fields = `nodes { id labels { key } video { url labelledFrames coverage } labelSet { labels { key } } submittedBy { username } }`
		for name, query := range map[string]string{
			"Page":   `query Page($n: Int!) { labelSubmissions(first: $n) { ` + fields + ` totalCount } }`,
			"Videos": `query Videos($n: Int!) { videos(first: $n) { nodes { url coverage submissions(first: 2) { ` + fields + ` totalCount } } } }`,
		} {
			few := spent(name, func() { admin.must(nil, query, vars{"n": 1}) })
			many := spent(name, func() { admin.must(nil, query, vars{"n": 100}) })
			if few != many || many > 9 {
				t.Errorf("%s: %d statements for one and %d for a hundred", name, few, many)
			}
		}
	})
}
