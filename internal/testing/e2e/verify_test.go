package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/gittest"
)

// check runs `tagma verify` with the settings of a server.
func (s *server) check(t *testing.T, flags ...string) (out string, ok bool) {
	t.Helper()
	args := append([]string{"verify", "--data", s.Data}, flags...)
	if s.Database != "" {
		args = append(args, "--database", s.Database)
	}
	out, said, ok := tagma(t, s.env, append(args, s.args...)...)
	return out + said, ok
}

// flipIn turns one bit of a file that a pattern names, in the middle.
func flipIn(t *testing.T, pattern string) {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("files like %s: got %q (%v), want at least one", pattern, found, err)
	}
	content, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := errors.Join(os.Chmod(found[0], 0o600), os.WriteFile(found[0], content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestVerify_BesideAServerNamesEachFaultStopsPushesAndMends(t *testing.T) {
	each(t, func(t *testing.T, s *server) {
		admin := s.admin()
		admin.upload("REFUSE", snapshots(trap, 4)...)
		for frame := range 6 {
			admin.submit(submission(frame, 1), 20)
		}
		admin.settle(time.Minute)
		if out, ok := s.check(t); !ok || !strings.Contains(out, "12 files and 30 objects") || !strings.Contains(out, " 0 are left.") {
			t.Fatalf("of a whole store verify says %s", out)
		}
		repository := filepath.Join(s.Data, "labels.git")
		commits := strings.Fields(gittest.Git(t, repository, "rev-list", "main"))
		flipIn(t, filepath.Join(s.Data, "files/images/*/*/*.thumbnail.jpg"))
		flipIn(t, filepath.Join(repository, "objects/pack/*.pack"))

		out, ok := s.check(t)
		for _, part := range []string{"altered: images/", "(thumbnail of the image of " + trap, "damaged: ", "objects/pack/pack-"} {
			if ok || !strings.Contains(out, part) {
				t.Errorf("verify says %s, and not %q", out, part)
			}
		}
		waiting := admin.submit(submission(50, 1), 0).Submission
		until(t, "the submission says why it waits", time.Minute, func() bool {
			for _, one := range admin.submissions("QUEUED") {
				if one.ID == waiting.ID && one.Failure != nil {
					return strings.Contains(*one.Failure, "tagma verify --mend")
				}
			}
			return false
		})
		if _, metrics := s.get("/metrics"); !strings.Contains(string(metrics), "\ntagma_labels_damaged 1\n") {
			t.Error("the metrics do not say that nothing is pushed")
		}
		if said := s.logs.String(); !strings.Contains(said, "level=ERROR msg=\"the label repository is damaged") {
			t.Errorf("the log says %s", said)
		}

		if out, ok := s.check(t, "--mend"); !ok || !strings.Contains(out, ": mended\n") || !strings.Contains(out, " 0 are left.") {
			t.Errorf("verify --mend says %s", out)
		}
		admin.settle(time.Minute)
		if out, ok := s.check(t); !ok {
			t.Errorf("after it, verify says %s", out)
		}
		gittest.Git(t, repository, "fsck", "--strict", "--full")
		if now := strings.Fields(gittest.Git(t, repository, "rev-list", "main")); len(now) != len(commits)+1 || fmt.Sprint(now[1:]) != fmt.Sprint(commits) {
			t.Errorf("the commits are %v, want one more than %v", now, commits)
		}
	})
}

func TestVerify_ADamagedDatabaseIsFoundAndOneThatCannotBeOpenedNamesTheRemedy(t *testing.T) {
	s := start(t, "")
	s.admin().upload("REFUSE", snapshots(trap, 3)...)
	s.stop()
	path := filepath.Join(s.Data, "tagma.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	for name, damage := range map[string]func([]byte){
		"a header":      func(file []byte) { copy(file, "no SQLite") },
		"the first":     func(file []byte) { file[100] ^= 0xff },
		"a third of it": func(file []byte) { clear(file[len(file)/3/page*page : len(file)*2/3/page*page]) },
		"the last page": func(file []byte) { file[len(file)-page] ^= 0xff },
	} {
		damaged := append([]byte{}, whole...)
		damage(damaged)
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		out, ok := s.check(t)
		if ok || !strings.Contains(out, "damaged: ") && !strings.Contains(out, "restore the newest backup") {
			t.Errorf("%s: verify says %s", name, out)
		}
		t.Logf("%s: %s", name, out)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, ok := s.check(t); !ok {
		t.Errorf("of the whole one verify says %s", out)
	}
}
