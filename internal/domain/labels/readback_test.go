package labels

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/ent/generated/labelsubmission"
	"tagma/internal/domain/labelrepo"
)

// receivers is a file as the annotation receiver wrote it: without a line feed
// at its end.
func receivers(s *Submission) string {
	content, err := s.content()
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(content, "\n")
}

func TestReadBack_WhatOthersPushIsAdoptedWithItsAuthorAndTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		w.submit(rat(0, 1))
		r.drain()
		eva := r.foreigner()
		at := noon.Add(-48 * time.Hour)
		eva.push(at, "by hand", map[string]string{
			FanOut.path(rat(1, 1).filename()): receivers(rat(1, 1)),
			Flat.path(rat(2, 1).filename()):   receivers(rat(2, 1)), // in the other layout
			"annotations/README.md":           "what this is",
			"elsewhere.json":                  "{}",
		})
		r.drain()
		rows := w.all()
		same(t, "rows", len(rows), 3)
		for _, row := range rows[1:] {
			same(t, "author", row.Author, "Eva Berg <eva@example.org>")
			same(t, "time", row.CreatedAt, at)
			same(t, "pushed", *row.PushedAt, at)
			same(t, "status", row.Status, labelsubmission.StatusPUSHED)
			same(t, "commit", *row.CommitSha, strings.TrimSpace(git(t, r.dir, "rev-parse", "main")))
			same(t, "content", row.Content, receivers(rat(row.FrameIndex, 1)))
			if row.SubmittedByID != nil {
				t.Error("somebody of ours is said to have submitted it")
			}
		}
		// The same again by one of us is no news, whoever wrote the file.
		receipt, err := w.Submit(w.ana, rat(1, 1), 0)
		must(t, err)
		same(t, "outcome", receipt.Outcome, NoChange)
		labels, err := Decode(rows[1])
		must(t, err)
		same(t, "labels", len(labels), 6)
	})
}

func TestReadBack_AForeignChangeOfTheSameFileIsKeptAndOursComesOnTop(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		first := w.submit(rat(1, 1))
		r.drain()
		eva := r.foreigner()
		path := FanOut.path(first.Filename)
		eva.push(noon, "by hand", map[string]string{path: receivers(rat(1, 50))})

		// Ours is pushed without having looked.
		ours := w.submit(rat(1, 2))
		_, err := r.step(t.Context(), false)
		must(t, err)
		r.drain()
		same(t, "the file", r.show(path), ours.Content)
		same(t, "authors", r.commits("%an"), []string{"ana", "Eva Berg", "ana"})
		var revisions []string
		for _, row := range w.all() {
			revisions = append(revisions, fmt.Sprint(row.Revision, row.Author, row.Status))
		}
		same(t, "revisions", revisions, []string{
			"1ana <ana@example.org>PUSHED", "2ana <ana@example.org>PUSHED", "3Eva Berg <eva@example.org>PUSHED",
		})
		report, err := r.Verify(t.Context())
		must(t, err)
		same(t, "report", *report, Report{Same: 1})
	})
}

func TestReadBack_NothingIsRecordedTwice(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		for n := range 3 {
			w.submit(rat(n, 1))
		}
		r.drain()
		eva := r.foreigner()
		eva.push(noon, "one", map[string]string{FanOut.path(rat(7, 1).filename()): receivers(rat(7, 1))})
		eva.push(noon.Add(time.Hour), "two", map[string]string{FanOut.path(rat(7, 1).filename()): receivers(rat(7, 2))})
		r.drain()
		before := fmt.Sprint(w.all())

		tally, err := r.Import(t.Context())
		must(t, err)
		same(t, "tally", tally, Tally{Read: 5})
		w.db.Checkpoint.Delete().ExecX(t.Context())
		r.drain()
		same(t, "rows", fmt.Sprint(w.all()), before)

		// Somebody writes the whole history anew, with other committers.
		git(t, eva.work, "fetch", "--quiet")
		git(t, eva.work, "reset", "--quiet", "--hard", "origin/main")
		git(t, eva.work, "filter-branch", "-f", "--env-filter", "GIT_COMMITTER_NAME=Other", "HEAD")
		git(t, eva.work, "push", "--quiet", "--force", "origin", "HEAD:main")
		r.drain()
		rows := w.all()
		same(t, "rows", len(rows), 5)
		commits := r.commits("%H")
		for n, row := range rows[:3] { // ours know where they are now
			same(t, "commit", *row.CommitSha, commits[n])
		}
		if !strings.Contains(r.logs.String(), "rewritten") {
			t.Error("the log does not tell")
		}
		report, err := r.Verify(t.Context())
		must(t, err)
		same(t, "report", *report, Report{Same: 4})
	})
}

func TestReadBack_ARepositoryThatIsFoundEmptyIsMadeAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		for n := range 4 {
			w.submit(rat(n%2, float64(n)))
		}
		r.drain()
		r.foreigner().push(noon, "by hand", map[string]string{FanOut.path(rat(7, 1).filename()): receivers(rat(7, 1))})
		r.drain()
		before := r.commits("%an %at %s")

		git(t, r.dir, "update-ref", "-d", "refs/heads/main")
		r.drain()
		after := r.commits("%an %at %s")
		same(t, "commits", after[:4], before[:4])
		same(t, "the foreign one", after[4], fmt.Sprintf("Eva Berg %d annotation: %s", noon.Time().Unix(), rat(7, 1).filename()))
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 5})
		same(t, "a foreign file", r.show(FanOut.path(rat(7, 1).filename())), receivers(rat(7, 1)))
		report, err := r.Verify(t.Context())
		must(t, err)
		same(t, "report", *report, Report{Same: 3})
	})
}

// oldRepository is a repository of the annotation receiver with a history.
func oldRepository(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "old.git")
	git(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	eva := (&remote{t: t, dir: dir}).foreigner()
	eva.push(noon.Add(-10*time.Hour), "Initial commit", map[string]string{"README.md": "labels"})
	for n := range 5 {
		s := rat(n%4, float64(n))
		eva.push(noon.Add(time.Duration(n)*time.Hour), "annotation: "+s.filename(), map[string]string{Flat.path(s.filename()): receivers(s)})
	}
	return dir
}

func TestImport_ARepositoryOfTheAnnotationReceiverMovesInWithItsHistory(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		dir := oldRepository(t)
		eva := (&remote{t: t, dir: dir}).foreigner()
		// What the receiver took and Tagma reads: a time without a zone, whose
		// moment only the name tells, and fields of no interest.
		zoneless := strings.Replace(receivers(rat(8, 1)), `"2024-05-01T12:00:00Z"`, `"2024-05-01T14:00:00"`, 1)
		zoneless = strings.Replace(zoneless, `"fps"`, `"browser": "x", "fps"`, 1)
		// And what it does not.
		outside := rat(9, 5000)
		latin := strings.Replace(receivers(rat(10, 1)), "Nose", "N\xe4se", 1)
		wrongName := rat(11, 1)
		eva.push(noon, "odd ones", map[string]string{
			Flat.path(rat(8, 1).filename()):                    zoneless,
			Flat.path(outside.filename()):                      receivers(outside),
			Flat.path(rat(10, 1).filename()):                   latin,
			"annotations/123456789abc_frame1_5.json":           receivers(wrongName),
			"annotations/123456789abc_frame1_6.json":           "[]",
			"annotations/123456789abc_frame1_7.json":           `{"frame_index": true}`,
			"annotations/notes.txt":                            "hello",
			Flat.path(rat(12, 1).filename()):                   strings.Repeat(" ", maxFileSize) + receivers(rat(12, 1)),
			"annotations/123456789abc_frame99999999999_7.json": "{}",
		})
		r := w.to(dir, Flat)
		tally, err := r.Import(t.Context())
		must(t, err)
		same(t, "tally", tally, Tally{Read: 14, Recorded: 6, PassedOver: 8})
		rows := w.all()
		same(t, "rows", len(rows), 6)
		for n, row := range rows[:5] {
			same(t, "time", row.CreatedAt, noon.Add(time.Duration(n)*time.Hour))
			same(t, "author", row.Author, "Eva Berg <eva@example.org>")
		}
		same(t, "the second of a file", rows[4].Revision, 2)
		same(t, "zoneless", []any{rows[5].Timestamp, rows[5].Content == zoneless, rows[5].FrameIndex}, []any{noon, true, 8})
		if all, err := Decode(rows[5]); err != nil || len(all) != 6 {
			t.Errorf("its labels are not read: %v", err)
		}
		for _, word := range []string{"frame9_", "UTF-8", "annotations/123456789abc_frame1_5.json", "is not that of its content"} {
			if !strings.Contains(r.logs.String(), word) {
				t.Errorf("the log does not tell of %s:\n%s", word, r.logs)
			}
		}

		// Work goes on in the flat form, and nothing is read again.
		row := w.submit(rat(20, 1))
		r.drain()
		same(t, "rows", len(w.all()), 7)
		same(t, "the file", r.show("annotations/"+row.Filename), row.Content)
		tally, err = r.Import(t.Context())
		must(t, err)
		same(t, "tally", tally, Tally{Read: 15, Recorded: 0, PassedOver: 8})

		// A new repository, from the database alone.
		again := w.local(FanOut)
		must(t, again.Rebuild(t.Context()))
		same(t, "zoneless", again.show(FanOut.path(rows[5].Filename)), zoneless)
		same(t, "authors and times", again.commits("%an %at")[0], fmt.Sprint("Eva Berg ", noon.Time().Unix()))
	})
}

func TestReadBack_ACommitIsJudgedByTheVersionOfTheSetThatItNames(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// Another server's repository comes to an empty database.
		other := newWorld(t, "sqlite:"+t.TempDir()+"/other.db")
		from := other.remote(FanOut)
		for _, in := range []*world{w, other} {
			_, err := in.CreateSet(t.Context(), "rat", paws)
			must(t, err)
		}
		s := rat(1, 1)
		s.LabelSet = ptr("rat")
		other.submit(s)
		for _, in := range []*world{w, other} {
			_, err := in.CreateSet(t.Context(), "rat", paws[:2])
			must(t, err)
		}
		s = rat(2, 1)
		s.LabelSet, s.Labels = ptr("rat"), s.Labels[:2]
		other.submit(s)
		_, err := other.CreateSet(t.Context(), "only there", paws[:1])
		must(t, err)
		s = rat(3, 1)
		s.LabelSet, s.Labels = ptr("only there"), s.Labels[:1]
		other.submit(s)
		from.drain()

		mine := w.submit(rat(9, 1)) // has the id of another commit's trailer
		r := w.to(from.dir, FanOut)
		r.drain()
		rows := w.all()
		same(t, "rows", len(rows), 3)
		for n, row := range rows[1:] {
			set, err := w.SetsByID(t.Context(), []int64{row.LabelSetID})
			must(t, err)
			same(t, "version", set[row.LabelSetID].Version, n+1)
		}
		same(t, "ours", w.again(mine).Status, labelsubmission.StatusPUSHED)
		if !strings.Contains(r.logs.String(), "its label set is not known") {
			t.Errorf("the log does not tell:\n%s", r.logs)
		}
	})
}

func TestReadBack_AStrangeAuthorOrTimeStopsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		git(t, r.dir, "config", "receive.fsckObjects", "false")
		eva := r.foreigner()
		path := filepath.Join(eva.work, "annotations", rat(1, 1).filename())
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(receivers(rat(1, 1))), 0o600))
		git(t, eva.work, "add", ".")
		tree := strings.TrimSpace(git(t, eva.work, "write-tree"))
		object := filepath.Join(t.TempDir(), "commit")
		must(t, os.WriteFile(object, []byte("tree "+tree+"\nauthor N\xffl <> 99999999999999 +0000\ncommitter \x01 99999999999999 +0000\n\nx\n"), 0o600))
		commit := strings.TrimSpace(git(t, eva.work, "hash-object", "-t", "commit", "-w", "--literally", object))
		git(t, eva.work, "push", "--quiet", "origin", commit+":refs/heads/main")
		r.drain()
		rows := w.all()
		same(t, "rows", len(rows), 1)
		if at := rows[0].CreatedAt; at > latest {
			t.Errorf("it was written in %s", at)
		}
		w.submit(rat(2, 1))
		r.drain()
		same(t, "statuses", w.statuses(), map[labelsubmission.Status]int{labelsubmission.StatusPUSHED: 2})
	})
}

func TestReadBack_ADamagedCopyIsMadeAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		cache := filepath.Join(t.TempDir(), "cache")
		again := func() *remote { return w.open(labelrepo.Config{Dir: cache, Remote: r.dir}, r.dir, FanOut) }
		first := again()
		w.submit(rat(0, 1))
		first.drain()
		w.submit(rat(0, 2)) // so that the first file is not of the tip, which is looked at when the copy is opened
		first.drain()
		must(t, first.repo.Close())
		// The pack of the first commit is lost, as by a bad disk.
		lost := strings.TrimSpace(git(t, r.dir, "rev-parse", "main~1"))
		packs, err := filepath.Glob(filepath.Join(cache, "objects/pack/*.idx"))
		must(t, err)
		for _, index := range packs {
			if strings.Contains(git(t, cache, "verify-pack", "-v", index), lost) {
				must(t, os.Remove(index))
				must(t, os.Remove(strings.TrimSuffix(index, ".idx")+".pack"))
			}
		}

		second := again()
		if _, err := second.Import(t.Context()); !errors.Is(err, labelrepo.ErrUnavailable) {
			t.Fatalf("the damaged copy was read: %v", err)
		}
		tally, err := second.Import(t.Context())
		must(t, err)
		same(t, "files that were read", tally.Read, 2)
		git(t, cache, "fsck", "--strict")
	})
}

// Without its set, every old file would be passed over, and never looked at again.
func TestImport_WithoutTheDefaultSetIsRefusedAndReadsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		r.foreigner().push(noon, "one", map[string]string{FanOut.path(rat(7, 1).filename()): receivers(rat(7, 1))})
		w.db.LabelSet.Delete().ExecX(t.Context())
		if tally, err := r.Import(t.Context()); !errors.Is(err, ErrNoSet) || tally != (Tally{}) {
			t.Errorf("got %+v, %v, want %v", tally, err, ErrNoSet)
		}
		must(t, w.Ensure(t.Context()))
		tally, err := r.Import(t.Context())
		must(t, err)
		same(t, "files that are recorded after the server has made the set", tally.Recorded, 1)
	})
}
