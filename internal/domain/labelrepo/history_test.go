package labelrepo

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// collect returns the files of an iterator.
func collect(t *testing.T, files func(func(File, error) bool)) []File {
	t.Helper()
	var list []File
	for f, err := range files {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

// newTangledRepo creates a repository with branches, a merge, a conflict, a
// removed file, a link and wrong clocks, and returns its folder.
func newTangledRepo(t *testing.T) (dir string) {
	dir = newBare(t)
	work := gittest.Clone(t, dir)
	write := func(path, content string) {
		full := filepath.Join(work, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(who, date, message string) {
		gittest.Git(t, work, "add", "-A")
		gittest.Git(t, work, "-c", "user.name="+who, "commit", "-q", "--author", who+" <"+who+"@example.org>", "--date", date, "-m", message)
	}
	write("annotations/a.json", "1")
	write("annotations/b.json", "1")
	write("README", "x")
	commit("Ana", "2020-01-01T00:00:00Z", "start")
	gittest.Git(t, work, "branch", "-M", "main")
	gittest.Git(t, work, "checkout", "-q", "-b", "side")
	write("annotations/side.json", "1")
	write("annotations/a.json", "side")
	commit("Bob", "2031-01-01T00:00:00Z", "from the future")
	gittest.Git(t, work, "checkout", "-q", "main")
	write("annotations/a.json", "main")
	write("annotations/gone.json", "1")
	commit("Cy", "1999-01-01T00:00:00+05:00", "from the past")
	if _, err := githost.Git(work, "merge", "-q", "side"); err == nil {
		t.Fatal("got a merge without conflict, want a conflict")
	}
	write("annotations/a.json", "both")
	commit("Dee", "2021-01-01T00:00:00Z", "merge")
	gittest.Git(t, work, "rm", "-q", "annotations/gone.json")
	if err := os.Symlink("a.json", filepath.Join(work, "annotations", "link.json")); err != nil {
		t.Fatal(err)
	}
	write("annotations/c/d.json", "1")
	commit("Eve", "2022-01-01T00:00:00Z", "last\n\nSubmission-Id: 7")
	gittest.Git(t, work, "push", "-q", "origin", "main")
	return dir
}

func TestFiles_EachComesWithTheCommitThatGitLogShows(t *testing.T) {
	dir := newTangledRepo(t)
	r := open(t, config(t, dir))
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := collect(t, r.Files(t.Context(), "annotations/"))
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
		want := gittest.Git(t, dir, "log", "-1", "--format=%H|%an|%ae|%at|%ct|%B", "main", "--", f.Path)
		got := fmt.Sprintf("%s|%s|%s|%d|%d|%s\n", f.SHA, f.Author.Name, f.Author.Email, f.AuthorTime.Time().Unix(), f.CommitTime.Time().Unix(), f.Message)
		if got != want {
			t.Errorf("%s: got\n%swant\n%s", f.Path, got, want)
		}
		if content := show(t, dir, f.Path); content != string(f.Content) {
			t.Errorf("%s: got %q, want %q", f.Path, f.Content, content)
		}
	}
	slices.Sort(paths)
	if want := []string{"annotations/a.json", "annotations/b.json", "annotations/c/d.json", "annotations/side.json"}; !slices.Equal(paths, want) {
		t.Errorf("got the files %v, want %v", paths, want)
	}
}

func TestChanges_FromAnyCommitToTheTipNothingIsMissed(t *testing.T) {
	dir := newTangledRepo(t)
	r := open(t, config(t, dir))
	tip, err := r.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range append(strings.Fields(gittest.Git(t, dir, "rev-list", "main")), "") {
		interesting := tip
		if from != "" {
			interesting = from + ".." + tip
		}
		want := strings.Fields(gittest.Git(t, dir, "rev-list", "--topo-order", "--reverse", interesting))
		var got []string
		for _, f := range collect(t, r.Changes(t.Context(), from, "")) {
			if !slices.Contains(got, f.SHA) {
				got = append(got, f.SHA)
			}
			after, err := githost.Git(dir, "show", f.SHA+":"+f.Path)
			if isLink := strings.HasSuffix(f.Path, "link.json"); isLink != (f.Kind == Link) {
				t.Errorf("%s in %s: got the kind %d, want a link %v", f.Path, f.SHA, f.Kind, isLink)
			} else if isLink {
				after = "" // a link comes without content
			}
			if f.Removed != (err != nil) || !f.Removed && after != string(f.Content) {
				t.Errorf("%s in %s: got removed %v and content %q, want removed %v and content %q", f.Path, f.SHA, f.Removed, f.Content, err != nil, after)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("since %q: got commits %v, want %v", from, got, want)
		}
	}
}

func TestChanges_ParentsComeBeforeChildrenWhateverTheirClocksSaid(t *testing.T) {
	dir := newTangledRepo(t)
	r := open(t, config(t, dir))
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, f := range collect(t, r.Changes(t.Context(), "", "")) {
		if !slices.Contains(order, f.SHA) {
			order = append(order, f.SHA)
		}
	}
	for i, sha := range order {
		for _, parent := range strings.Fields(gittest.Git(t, dir, "log", "-1", "--format=%P", sha)) {
			if slices.Index(order, parent) > i {
				t.Errorf("got %s before its parent %s, want the parent first", sha, parent)
			}
		}
	}
}

func TestChanges_ShowWhatOthersPushedWhileRunning(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(1, "ours"))
	known := r.Tip()
	pushForeign(t, gittest.Clone(t, h.Dir), "annotations/01/000001.json", "theirs\n")
	mustPush(t, r, label(2, "ours"))
	var theirs []File
	for _, f := range collect(t, r.Changes(t.Context(), known, "annotations/")) {
		if f.Committer != service {
			theirs = append(theirs, f)
		}
	}
	if len(theirs) != 1 || theirs[0].Path != "annotations/01/000001.json" || string(theirs[0].Content) != "theirs\n" || theirs[0].Author.Name != "Foreign" {
		t.Errorf("got %+v, want one file annotations/01/000001.json of Foreign", theirs)
	}
}

func TestFiles_AnEmptyRepositoryHasNone(t *testing.T) {
	r := open(t, config(t, newBare(t)))
	if tip, err := r.Refresh(t.Context()); tip != "" || err != nil {
		t.Fatalf("got the tip %q, %v, want none", tip, err)
	}
	if files := collect(t, r.Files(t.Context(), "")); len(files) != 0 {
		t.Errorf("got the files %v, want none", files)
	}
	if files := collect(t, r.Changes(t.Context(), "", "")); len(files) != 0 {
		t.Errorf("got the changes %v, want none", files)
	}
}

func TestFiles_WritersNeedNotWaitForAReader(t *testing.T) {
	r := open(t, config(t, ""))
	mustPush(t, r, label(1, "x"), label(2, "x"), label(3, "x"))
	n := 0
	for f, err := range r.Files(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		mustPush(t, r, label(10+n, f.Path))
	}
	if n != 3 {
		t.Errorf("got %d files, want the 3 files of the tip at the start", n)
	}
}

func TestFiles_ALongHistoryIsReadFromDeltas(t *testing.T) {
	cfg := config(t, newBare(t))
	r := open(t, cfg)
	for batch := range 5 {
		var commits []Commit
		for i := range 60 {
			commits = append(commits, label((batch*60+i)%97, fmt.Sprint(batch)))
		}
		mustPush(t, r, commits...)
	}
	gittest.Git(t, cfg.Remote, "repack", "-adfq", "--depth=50")
	r.Close()
	cfg.Dir = filepath.Join(t.TempDir(), "fresh")
	r = open(t, cfg)
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	files := collect(t, r.Files(t.Context(), "annotations/"))
	if len(files) != 97 {
		t.Errorf("got %d files in %v, want 97", len(files), time.Since(began))
	}
	fsck(t, cfg.Dir)
}
