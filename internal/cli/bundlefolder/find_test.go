package bundlefolder

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bundle writes files into a folder, each with its key as the content.
func bundle(t *testing.T, keys ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, key := range keys {
		path := filepath.Join(folder, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(key), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func link(t *testing.T, folder, key, target string) {
	t.Helper()
	if err := os.Symlink(target, filepath.Join(folder, filepath.FromSlash(key))); err != nil {
		t.Fatal(err)
	}
}

func TestFindFiles_LinksAreFollowedAndLoopsEnd(t *testing.T) {
	elsewhere := bundle(t, "model_final.pth", "run 7/log.txt", "run 7/state.bin")
	folder := bundle(t, "config/config.yaml", "data/a.svg")
	link(t, folder, "weights.pth", filepath.Join(elsewhere, "model_final.pth"))
	link(t, folder, "output", elsewhere)
	link(t, folder, "data/again", "..")
	link(t, elsewhere, "run 7/up", "../../"+filepath.Base(elsewhere))
	link(t, folder, "config/shared.yaml", "config.yaml")
	content, err := findFiles(t.Context(), folder, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"config/config.yaml", "config/shared.yaml", "data/a.svg", "output/model_final.pth", "output/run 7/log.txt"}
	if got := slices.Sorted(maps.Keys(content.files)); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	if f := content.files["output/model_final.pth"]; f != nil && f.Size != int64(len("model_final.pth")) {
		t.Errorf("size of a linked file: got %d, want that of the file", f.Size)
	}
	want = []string{
		"data/again (a link back to a folder that holds it)", "output/run 7/state.bin (of another kind)",
		"output/run 7/up (a link back to a folder that holds it)", "weights.pth (of another kind)",
	}
	if got := content.skippedList(); !slices.Equal(got, want) {
		t.Errorf("passed over: got %q, want %q", got, want)
	}
}

func TestFindFiles_ALinkToNothingIsAnError(t *testing.T) {
	for _, target := range []string{"nowhere", "model_final.pth"} { // the second one leads to itself
		folder := bundle(t, "output/log.txt")
		link(t, folder, "output/model_final.pth", target)
		if _, err := findFiles(t.Context(), folder, Options{}); err == nil || !strings.Contains(err.Error(), "output/model_final.pth is a link to nothing") {
			t.Errorf("link to %s: got error %v, want one that names the link", target, err)
		}
	}
}

func TestFindFiles_TakesTheKindsAndWhatIsIncluded(t *testing.T) {
	folder := bundle(t, "output/weights.pt", "output/old/weights.pt", "output/model.onnx", "data/a.SVG", "data/.cache/b.svg", "c.cache", ".git/a", ".git/b/c", "notes.md")
	for _, c := range []struct {
		options       Options
		files, others []string
	}{
		{Options{}, []string{"data/a.SVG"}, []string{".git/ (2 files)", "c.cache (a cache)", "data/.cache (a cache)", "notes.md (of another kind)", "output/ (3 files)"}},
		{Options{Include: []string{"weights.pt"}}, []string{"data/a.SVG", "output/old/weights.pt", "output/weights.pt"},
			[]string{".git/ (2 files)", "c.cache (a cache)", "data/.cache (a cache)", "notes.md (of another kind)", "output/model.onnx (of another kind)"}},
		{Options{Include: []string{"output/*.pt", "*.onnx"}}, []string{"data/a.SVG", "output/model.onnx", "output/weights.pt"},
			[]string{".git/ (2 files)", "c.cache (a cache)", "data/.cache (a cache)", "notes.md (of another kind)", "output/old/ (1 file)"}},
		{Options{All: true}, []string{".git/a", ".git/b/c", "data/a.SVG", "notes.md", "output/model.onnx", "output/old/weights.pt", "output/weights.pt"},
			[]string{"c.cache (a cache)", "data/.cache (a cache)"}},
	} {
		content, err := findFiles(t.Context(), folder, c.options)
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(content.files)); !slices.Equal(got, c.files) {
			t.Errorf("files with %+v: got %q, want %q", c.options, got, c.files)
		}
		if got := content.skippedList(); !slices.Equal(got, c.others) {
			t.Errorf("passed over with %+v: got %q, want %q", c.options, got, c.others)
		}
	}
	if _, err := findFiles(t.Context(), folder, Options{Include: []string{"wieghts.pt"}}); err == nil || !strings.Contains(err.Error(), `"wieghts.pt"`) {
		t.Errorf("a pattern without a file: got error %v, want one that names the pattern", err)
	}
	if err := (Options{Include: []string{"*.pt", "["}}).CheckInclude(); err == nil {
		t.Error("the pattern [: got no error, want one")
	}
}

func TestDoubt_AWrongFolderAndMissingWeightsAreNoticed(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want string
	}{
		{[]string{"data/a.svg", "config/c.yaml"}, ""}, // before the first training
		{[]string{"output/model_final.pth", "output/log.json"}, ""},
		{[]string{"a.svg", "model_final.pth"}, "no file is in data/, config/ or output/"},
		{[]string{"models/data/a.svg"}, "no file is in data/, config/ or output/"},
		{[]string{"config/c.yaml", "output/weights.pt"}, "no file of output/ is taken"},
	} {
		content, err := findFiles(t.Context(), bundle(t, c.keys...), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := content.doubt(); !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("doubt about %q: got %q, want %q", c.keys, got, c.want)
		}
	}
}
