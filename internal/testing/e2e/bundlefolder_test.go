package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBundleFolder_GoesUpOnceAndComesDownIdentical(t *testing.T) {
	eachStore(t, func(t *testing.T, s *server) {
		d := deskAt(t, s.URL, s.admin().Token)
		up := filepath.Join(d.Home, "up")
		for name, content := range map[string]string{
			"data/a.svg": "<svg/>", "config/config.yaml": "a: 1\n", "output/model_final.pth": strings.Repeat("weights", 100_000),
			"data/x.cache": "not this", "output/log.json": "nor this",
		} {
			fill(t, filepath.Join(up, filepath.Dir(name)), file{filepath.Base(name), []byte(content)})
		}
		got := d.must("push", "bundle", "insects", up)
		got.says(t, "Sent 3 of 3 files (700 kB); published insects@1")
		fill(t, filepath.Join(up, "config"), file{"config.yaml", []byte("a: 2\n")})
		d.must("push", "bundle", "insects", up).says(t, "Sent 1 of 3 files (5 B); published insects@2")
		d.must("push", "bundle", "insects", up).says(t, "Sent 0 of 3 files (0 B); there is no new version: it is the same as insects@2")

		for _, path := range []string{"data/x.cache", "output/log.json"} {
			if err := os.Remove(filepath.Join(up, path)); err != nil {
				t.Fatal(err)
			}
		}
		down := filepath.Join(d.Home, "down")
		d.must("pull", "bundle", "insects", down).says(t, "Fetched 3 of 3 files of insects@2")
		if out, err := exec.CommandContext(t.Context(), "diff", "-r", up, down).CombinedOutput(); err != nil {
			t.Errorf("it comes down otherwise: %s", out)
		}
		before, _ := os.Stat(filepath.Join(up, "output", "model_final.pth"))
		after, err := os.Stat(filepath.Join(down, "output", "model_final.pth"))
		if err != nil || before.ModTime().UnixMilli() != after.ModTime().UnixMilli() {
			t.Errorf("time of the fetched file: got %v, %v, want the time of %v", after, err, before)
		}
		fill(t, filepath.Join(down, "config"), file{"config.yaml", []byte("a: 9\n")})
		if got := d.run("", "pull", "bundle", "insects", down); got.OK || !strings.Contains(got.Said, "changed here and no version has them: config/config.yaml.") {
			t.Errorf("pull over a changed file: got success %v, %q, want a failure that names the file", got.OK, got.Said)
		}
		if content, err := os.ReadFile(filepath.Join(down, "config", "config.yaml")); err != nil || string(content) != "a: 9\n" {
			t.Errorf("the changed file: got %q, %v, want it untouched", content, err)
		}
		d.must("pull", "bundle", "insects", down, "--force").says(t, "Fetched 1 of 3 files of insects@2")
		d.must("pull", "bundle", "insects", down, "--part", "model", "--version", "1").says(t, "Fetched 1 of 2 files of insects@1")
		if got := d.run("", "pull", "bundle", "moths", filepath.Join(d.Home, "none")); got.OK || !strings.Contains(got.Said, `no bundle "moths"`) {
			t.Errorf("pull of an unknown bundle: got success %v, %q, want a failure that names the bundle", got.OK, got.Said)
		}
	})
}

func TestBundleFolder_NoVersionLacksItsWeightsUnnoticed(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	d := deskAt(t, s.URL, s.admin().Token)
	scratch, up := filepath.Join(d.Home, "scratch"), filepath.Join(d.Home, "up")
	fill(t, scratch, file{"model_final.pth", []byte("weights")})
	fill(t, filepath.Join(up, "config"), file{"config.yaml", []byte("a: 1\n")})
	fill(t, filepath.Join(up, "output"), file{"weights.pt", []byte("others")})

	got := d.run("", "push", "bundle", "insects", up)
	if got.OK || !strings.Contains(got.Said, "passed over: output/ (1 file)") || !strings.Contains(got.Said, "no file of output/ is taken") || !strings.Contains(got.Said, "--yes") {
		t.Errorf("push without weights: got success %v, %q, want a failure that names output/ and --yes", got.OK, got.Said)
	}
	if err := os.Symlink(filepath.Join(scratch, "model_final.pth"), filepath.Join(up, "output", "model_final.pth")); err != nil {
		t.Fatal(err)
	}
	got = d.must("push", "bundle", "insects", up)
	got.says(t, "Sent 2 of 2 files (12 B); published insects@1")
	if !strings.Contains(got.Said, "passed over: output/weights.pt (of another kind)") {
		t.Errorf("push: got %q, want the name of the other file", got.Said)
	}
	d.must("push", "bundle", "insects", up, "--include", "weights.pt").says(t, "Sent 1 of 3 files (6 B); published insects@2")
	d.must("pull", "bundle", "insects", up).says(t, "Fetched 0 of 3 files of insects@2") // a link with the same content is left alone

	for _, c := range [][]string{{"push", "bundle", "scratch", scratch}, {"push", "bundle", "scratch", scratch, "--include", "["}} {
		if got := d.run("", c...); got.OK {
			t.Errorf("tagma %v: got success and %q, want a failure", c, got.Out)
		}
	}
	d.must("push", "bundle", "scratch", scratch, "--yes").says(t, "Sent 0 of 1 files (0 B); published scratch@1")
}
