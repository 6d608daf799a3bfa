package labels

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"tagma/ent/generated/labelsubmission"
)

// git runs git in the working copy.
func (f *foreigner) git(args ...string) string {
	f.t.Helper()
	return strings.TrimSpace(git(f.t, f.work, args...))
}

func TestReadBack_WhatOtherProgramsWriteIsRead(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		eva := r.foreigner()
		floats := receivers(rat(1, 1))
		for _, number := range []string{`"frame_index": 1`, `"total_frames": 1000`, `"frame_width": 1920`, `"frame_height": 1080`} {
			floats = strings.Replace(floats, number+",", number+".0,", 1)
		}
		exponent := strings.Replace(receivers(rat(2, 1)), `"total_frames": 1000,`, `"total_frames": 1E3,`, 1)
		eva.push(noon, "by pandas", map[string]string{
			FanOut.path(rat(1, 1).filename()): floats,
			FanOut.path(rat(2, 1).filename()): exponent,
			FanOut.path(rat(3, 1).filename()): "\ufeff" + receivers(rat(3, 1)),
		})
		r.drain()
		rows := w.all()
		if len(rows) != 3 {
			t.Fatalf("rows: got %d, want 3; the log:\n%s", len(rows), r.logs)
		}
		for n, row := range rows {
			same(t, "frame", row.FrameIndex, n+1)
			all, err := Decode(row)
			must(t, err)
			same(t, "labels", len(all), 6)
			// The same by one of us is no news.
			receipt, err := w.Submit(w.ana, rat(n+1, 1), 0)
			must(t, err)
			same(t, "outcome", receipt.Outcome, NoChange)
		}
		same(t, "frames of the video", w.db.Video.Query().OnlyX(t.Context()).TotalFrames, 1000)
		report, err := r.Verify(t.Context())
		must(t, err)
		same(t, "report", *report, Report{Same: 3})

		// A commit in another encoding, as an old git on Windows writes one.
		for charset, author := range map[string]string{"ISO-8859-1": "J\xfcrgen", "cp1252": "J\xfcrgen", "Shift_JIS": "\x8bg\x93c"} {
			eva.git("config", "i18n.commitEncoding", charset)
			frame := 10 + len(charset)
			path := FanOut.path(rat(frame, 1).filename())
			must(t, os.MkdirAll(filepath.Dir(filepath.Join(eva.work, path)), 0o700))
			must(t, os.WriteFile(filepath.Join(eva.work, path), []byte(receivers(rat(frame, 1))), 0o600))
			eva.git("add", path)
			gitAs(t, eva.work, []string{"GIT_AUTHOR_NAME=" + author}, "commit", "--quiet", "-m", "by hand")
			eva.git("push", "--quiet", "origin", "HEAD:main")
			if object := eva.git("cat-file", "commit", "HEAD"); !strings.Contains(object, "encoding "+charset) {
				t.Fatalf("the commit has no header encoding: %s", object)
			}
			r.drain()
			row := w.db.LabelSubmission.Query().Where(labelsubmission.FrameIndex(frame)).OnlyX(t.Context())
			want := "Jürgen <f@example.org>"
			if charset == "Shift_JIS" {
				want = "吉田 <f@example.org>"
			}
			same(t, charset, row.Author, want)
		}
	})
}

func TestReadBack_WhatCannotBeReadIsToldByName(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.remote(FanOut)
		eva := r.foreigner()
		path := func(n int) string { return FanOut.path(rat(n, 1).filename()) }
		wide := []byte{0xff, 0xfe}
		for _, c := range utf16.Encode([]rune(receivers(rat(2, 1)))) {
			wide = append(wide, byte(c), byte(c>>8))
		}
		number := func(n int, value string) string {
			return strings.Replace(receivers(rat(n, 1)), `"frame_width": 1920,`, `"frame_width": `+value+`,`, 1)
		}
		eva.push(noon, "odd ones", map[string]string{
			path(1):                             "version https://git-lfs.github.com/spec/v1\noid sha256:" + strings.Repeat("0", 64) + "\nsize 900\n",
			path(2):                             string(wide),
			path(3):                             number(3, "9.5"),
			path(4):                             number(4, `"1920"`),
			path(5):                             number(5, "1e300"),
			path(6):                             strings.Replace(receivers(rat(6, 1)), `"id": "nose"`, `"id": 5`, 1),
			path(7):                             receivers(rat(7, 1)),
			"annotations/123456789abc_frame1_5": "no submission",
		})
		must(t, os.Remove(filepath.Join(eva.work, path(7))))
		must(t, os.Symlink("../elsewhere.json", filepath.Join(eva.work, path(7))))
		must(t, os.Symlink("elsewhere", filepath.Join(eva.work, "annotations", "link")))
		eva.git("add", "annotations")
		eva.git("update-index", "--add", "--cacheinfo", "160000,"+eva.git("rev-parse", "HEAD")+",annotations/module")
		eva.git("commit", "--quiet", "-m", "links")
		eva.git("push", "--quiet", "origin", "HEAD:main")
		r.drain()
		same(t, "rows", len(w.all()), 1) // the file before the link was there
		for path, why := range map[string]string{
			path(1): "pointer of Git LFS", path(2): "it is UTF-16", path(3): "frame_width is 9.5, which is not a whole number",
			path(4): `frame_width is \"1920\", which is not a whole number`, path(5): "frame_width is 1e300, which is not a whole number",
			path(6): "labels.id is number, which is not a string", path(7): "it is a symbolic link",
			"annotations/link": "it is a symbolic link", "annotations/module": "it is a submodule",
		} {
			logged := false
			for line := range strings.Lines(r.logs.String()) {
				logged = logged || strings.Contains(line, "passed over") && strings.Contains(line, "path="+path+" ") && strings.Contains(line, why)
			}
			if !logged {
				t.Errorf("log: got no line of %s with %q, want one:\n%s", path, why, r.logs)
			}
		}

		// A link in the place of the whole folder.
		eva.git("rm", "-r", "--quiet", "--force", "annotations")
		must(t, os.RemoveAll(filepath.Join(eva.work, "annotations")))
		must(t, os.Symlink("labels", filepath.Join(eva.work, "annotations")))
		eva.git("add", "annotations")
		eva.git("commit", "--quiet", "-m", "a link")
		eva.git("push", "--quiet", "origin", "HEAD:main")
		r.drain()
		if !strings.Contains(r.logs.String(), "path=annotations ") {
			t.Errorf("the log does not name the link annotations:\n%s", r.logs)
		}
	})
}

func TestReadBack_AnOldRevisionThatOthersBringBackIsANewRevision(t *testing.T) {
	ways := map[string]func(f *foreigner, path, old, last string){
		"revert":      func(f *foreigner, _, _, last string) { f.git("revert", "--no-edit", last) },
		"cherry-pick": func(f *foreigner, _, old, _ string) { f.git("cherry-pick", "-X", "theirs", old) },
		"commit -C": func(f *foreigner, path, old, _ string) {
			f.git("checkout", old, "--", path)
			f.git("commit", "--quiet", "-C", old)
		},
	}
	each(t, func(t *testing.T, w *world) {
		frame := 0
		for _, whose := range []string{"ours", "theirs"} {
			for way, bringBack := range ways {
				name := whose + ", " + way
				w.db.LabelSubmission.Delete().ExecX(t.Context())
				w.db.Checkpoint.Delete().ExecX(t.Context())
				r := w.remote(FanOut)
				frame++
				path := FanOut.path(rat(frame, 1).filename())
				if whose == "ours" {
					w.submit(rat(frame, 1))
					w.submit(rat(frame, 2))
					r.drain()
				}
				eva := r.foreigner()
				if whose == "theirs" {
					eva.push(noon.Add(-time.Hour), "one", map[string]string{path: receivers(rat(frame, 1))})
					eva.push(noon, "two", map[string]string{path: receivers(rat(frame, 2))})
					r.drain()
				}
				commits := r.commits("%H")
				bringBack(eva, path, commits[0], commits[1])
				eva.git("push", "--quiet", "origin", "HEAD:main")
				r.drain()

				check := func(when string) {
					t.Helper()
					rows := w.all()
					if len(rows) != 3 {
						t.Fatalf("%s, %s: rows: got %d, want 3", name, when, len(rows))
					}
					for n, row := range rows {
						same(t, fmt.Sprintf("%s, %s: revision and commit of row %d", name, when, n),
							[]any{row.Revision, *row.CommitSha, row.Status}, []any{n + 1, r.commits("%H")[n], labelsubmission.StatusPUSHED})
					}
					same(t, name+", "+when+": the content", rows[2].Content, rows[0].Content)
					report, err := r.Verify(t.Context())
					must(t, err)
					same(t, name+", "+when+": report", *report, Report{Same: 1})
				}
				check("at once")
				tally, err := r.Import(t.Context()) // the whole history again
				must(t, err)
				same(t, name+": recorded by import", tally.Recorded, 0)
				check("after import")
				w.db.Checkpoint.Delete().ExecX(t.Context())
				r.drain()
				check("read again")
			}
		}
	})
}
