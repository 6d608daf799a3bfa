package labelrepo

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/testing/gittest"
)

// fill adds n files in one commit to a bare repository and turns
// receive.fsckObjects off, as in git's default.
func fill(b *testing.B, dir string, n int) {
	b.Helper()
	gittest.Git(b, dir, "config", "receive.fsckObjects", "false")
	var in strings.Builder
	in.WriteString("commit refs/heads/main\ncommitter A <a@example.org> 1600000000 +0000\ndata 5\nstart\n")
	for i := range n {
		c := label(i, "start")
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", benchPath(i), len(c.Content), c.Content)
	}
	cmd := exec.Command("git", "-C", dir, "fast-import", "--quiet")
	cmd.Stdin = strings.NewReader(in.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("git fast-import: got %v, want exit status 0: %s", err, out)
	}
}

// benchPath returns a path in the layout with folders of two hex digits.
func benchPath(i int) string {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("annotations/%02x/%012x_frame%d_1714557600000.json", h>>56, h>>16, i)
}

// submission returns a commit of one kilobyte to the i-th file.
func submission(i int) Commit {
	c := label(i, "new")
	c.Path = benchPath(i)
	c.Content = fmt.Sprintf("{\n  \"id\": %d,\n  \"labels\": %q\n}\n", i, strings.Repeat("keypoint ", 110))
	return c
}

// BenchmarkPush pushes to a bare repository over smart HTTP on loopback. The
// baseline runs the git commands of a simple server for each submission, one
// after the other. Compare submissions/s.
func BenchmarkPush(b *testing.B) {
	for _, files := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("files=%d/git-commands", files), func(b *testing.B) {
			h := newHost(b)
			fill(b, h.Dir, files)
			work := filepath.Join(b.TempDir(), "work")
			auth := "http.extraHeader=Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(testUser+":"+testToken))
			gittest.Git(b, "", "-c", auth, "clone", "--quiet", h.Address(), work)
			gittest.Git(b, work, "config", "http.extraHeader", strings.TrimPrefix(auth, "http.extraHeader="))
			i := files
			for b.Loop() {
				c := submission(i)
				i++
				full := filepath.Join(work, c.Path)
				if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
					b.Fatal(err)
				}
				if err := os.WriteFile(full, []byte(c.Content), 0o600); err != nil {
					b.Fatal(err)
				}
				gittest.Git(b, work, "add", full)
				gittest.Git(b, work, "status", "--porcelain")
				gittest.Git(b, work, "commit", "--quiet", "-m", c.Message)
				gittest.Git(b, work, "push", "--quiet", "origin", "main")
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submissions/s")
		})
		for _, size := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("files=%d/batch=%d", files, size), func(b *testing.B) {
				h := newHost(b)
				fill(b, h.Dir, files)
				r := open(b, config(b, h.Address()))
				if _, err := r.Refresh(b.Context()); err != nil {
					b.Fatal(err)
				}
				i := files
				for b.Loop() {
					var commits []Commit
					for range size {
						commits = append(commits, submission(i))
						i++
					}
					mustPush(b, r, commits...)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "submissions/s")
			})
		}
	}
}

// BenchmarkWriter is BenchmarkPush without a remote.
func BenchmarkWriter(b *testing.B) {
	for _, files := range []int{1_000, 100_000} {
		for _, size := range []int{1, 100} {
			b.Run(fmt.Sprintf("files=%d/batch=%d", files, size), func(b *testing.B) {
				cfg := config(b, "")
				open(b, cfg).Close()
				fill(b, cfg.Dir, files)
				r := open(b, cfg)
				i := files
				for b.Loop() {
					var commits []Commit
					for range size {
						commits = append(commits, submission(i))
						i++
					}
					mustPush(b, r, commits...)
				}
				b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "submissions/s")
			})
		}
	}
}
