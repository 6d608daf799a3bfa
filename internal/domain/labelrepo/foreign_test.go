package labelrepo

import (
	"os"
	"path/filepath"
	"testing"

	"tagma/internal/testing/gittest"
)

func TestChanges_LinksAndSubmodulesComeWithoutContent(t *testing.T) {
	dir := newBare(t)
	work := gittest.Clone(t, dir)
	pushForeign(t, work, "annotations/a", "x")
	r := open(t, config(t, dir))
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	from := r.Tip()
	if err := os.Remove(filepath.Join(work, "annotations/a")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("x", filepath.Join(work, "annotations/a")); err != nil { // the blob of the link is that of the file
		t.Fatal(err)
	}
	gittest.Git(t, work, "add", ".")
	gittest.Git(t, work, "update-index", "--add", "--cacheinfo", "160000,"+from+",annotations/module")
	gittest.Git(t, work, "commit", "--quiet", "-m", "links")
	gittest.Git(t, work, "push", "--quiet", "origin", "HEAD:main")
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]FileKind{}
	for f, err := range r.Changes(t.Context(), from, "annotations/") {
		if err != nil {
			t.Fatal(err)
		}
		got[f.Path] = f.Kind
		if f.Content != nil || f.Removed {
			t.Errorf("%s: got %+v, want no content", f.Path, f)
		}
	}
	if len(got) != 2 || got["annotations/a"] != Link || got["annotations/module"] != Submodule {
		t.Errorf("changes: got %v, want the link annotations/a and the submodule annotations/module", got)
	}
	for f, err := range r.Files(t.Context(), "annotations/") {
		t.Errorf("files: got %+v, %v, want none", f, err)
	}
}

func TestHasFile_TellsWhatTheBranchHas(t *testing.T) {
	r := open(t, config(t, ""))
	if has, err := r.HasFile("a/b", []byte("x")); has || err != nil {
		t.Errorf("an empty branch: got %v, %v, want no file", has, err)
	}
	mustPush(t, r, Commit{Path: "a/b", Content: "x", Author: ana})
	for path, content := range map[string]string{"a/b": "x", "a/b ": "x", "a/c": "x", "a/b/c": "x", "a": "x", "c/b": "x", " a/b": "y"} {
		if has, err := r.HasFile(path, []byte(content)); err != nil || has != (path == "a/b") {
			t.Errorf("%q with %q: got %v, %v, want %v", path, content, has, err, path == "a/b")
		}
	}
	if has, err := r.HasFile("a/b", []byte("y")); has || err != nil {
		t.Errorf("other content: got %v, %v, want no file", has, err)
	}
}
