package labelrepo

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tagma/internal/testing/githost"
	"tagma/internal/testing/gittest"
)

// raceWords is how hosts word a lost race: git before and after 2.51, JGit, Azure
// DevOps, Gitea and GitLab. The last is the word of a hook.
var raceWords = []string{
	"failed to update ref", "incorrect old value provided", "reference already exists", "reference does not exist",
	"failed to lock", "invalid old id sent", "fast-forward needed", "lock error: OK", "TF402455: the ref has been updated by another client",
	"cannot lock ref 'refs/heads/main': is at 1 but expected 2", "pre-receive hook declined",
}

func TestPush_ALostRaceIsKnownByTheBranchWhateverTheWordsOfTheHost(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	work := gittest.Clone(t, h.Dir)
	for i, words := range raceWords {
		t.Run(words, func(t *testing.T) {
			pushes := 0
			h.SetReporter(func(func()) []string {
				if pushes++; pushes > 1 {
					return nil
				}
				pushForeign(t, work, "theirs", words)
				return []string{"unpack ok", "ng refs/heads/main " + words}
			})
			defer h.SetReporter(nil)
			before := commitCount(t, h.Dir)
			mustPush(t, r, label(i+1, "x"))
			if got := commitCount(t, h.Dir); got != before+2 || pushes != 2 {
				t.Errorf("got %d commits after %d pushes, want %d after 2", got, pushes, before+2)
			}
		})
	}
	fsck(t, h.Dir)
}

func TestPush_ARefusalThatTookTheCommitsIsAPush(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	work := gittest.Clone(t, h.Dir)
	for i, foreign := range []bool{false, true} {
		pushes := 0
		h.SetReporter(func(take func()) []string {
			pushes++
			take()
			if foreign {
				pushForeign(t, work, "theirs", "x")
			}
			return []string{"unpack ok", "ng refs/heads/main failed to lock"}
		})
		before := commitCount(t, h.Dir)
		results := mustPush(t, r, label(10*i+1, "x"), label(10*i+1, "y"), label(10*i+2, "x"))
		h.SetReporter(nil)
		want := before + 3
		if foreign {
			want++
		}
		if got := commitCount(t, h.Dir); got != want || pushes != 1 {
			t.Errorf("foreign push %t: got %d commits after %d pushes, want %d after 1", foreign, got, pushes, want)
		}
		for n, result := range results {
			gittest.Git(t, h.Dir, "merge-base", "--is-ancestor", result.SHA, "main")
			if !result.Changed {
				t.Errorf("foreign push %t: result %d: got %+v, want a new commit", foreign, n, result)
			}
		}
		mustPush(t, r, label(10*i+3, "x"))
	}
	fsck(t, h.Dir)
	fsck(t, r.cfg.Dir)
}

func TestPush_AHostWithReplicasMayShowTheOldCommitAfterALostRace(t *testing.T) {
	h := newHost(t)
	cfg := config(t, h.Address())
	cfg.RecheckDelay = time.Millisecond
	r := open(t, cfg)
	mustPush(t, r, label(0, "x"))
	work := gittest.Clone(t, h.Dir)
	pushes := 0
	h.SetReporter(func(func()) []string {
		if pushes++; pushes > 1 {
			return nil
		}
		old := advertisement(t, h)
		pushForeign(t, work, "theirs", "x")
		h.SetFault(func(w http.ResponseWriter, _ *http.Request) { // the first look alone
			h.SetFault(nil)
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = w.Write(old)
		})
		return []string{"unpack ok", "ng refs/heads/main failed to lock"}
	})
	mustPush(t, r, label(1, "x"))
	if got := commitCount(t, h.Dir); got != 3 || pushes != 2 {
		t.Errorf("got %d commits after %d pushes, want 3 after 2", got, pushes)
	}
}

// advertisement returns what the host advertises to a fetch.
func advertisement(t *testing.T, h *githost.Host) []byte {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.Address()+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(testUser, testToken)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestPush_ARefusalWithoutARaceIsToldAtOnceInTheWordsOfTheHost(t *testing.T) {
	for _, words := range raceWords {
		t.Run(words, func(t *testing.T) {
			h := newHost(t)
			cfg := config(t, h.Address())
			cfg.RecheckDelay = time.Millisecond
			r := open(t, cfg)
			pushes := 0
			h.SetReporter(func(func()) []string {
				pushes++
				return []string{"unpack ok", "ng refs/heads/main " + words}
			})
			_, err := push(t.Context(), r, label(1, "x"))
			if !errors.Is(err, ErrRejected) || !strings.Contains(err.Error(), words) || pushes != 1 {
				t.Errorf("got %v after %d pushes, want ErrRejected with %q after 1", err, pushes, words)
			}
			h.SetReporter(nil)
			mustPush(t, r, label(1, "x"))
		})
	}
	for name, obstacle := range map[string]func(t *testing.T, dir string){
		"a lock file that was left": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, "refs/heads/main.lock"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a branch in the way": func(t *testing.T, dir string) {
			tree := strings.TrimSpace(gittest.Git(t, dir, "hash-object", "-t", "tree", "-w", "/dev/null"))
			commit := strings.TrimSpace(gittest.Git(t, dir, "commit-tree", "-m", "x", tree))
			gittest.Git(t, dir, "update-ref", "refs/heads/main/x", commit)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newBare(t)
			obstacle(t, dir)
			cfg := config(t, dir)
			cfg.RecheckDelay = time.Millisecond
			_, err := push(t.Context(), open(t, cfg), label(1, "x"))
			if !errors.Is(err, ErrRejected) || strings.Contains(err.Error(), "others have pushed") || !strings.Contains(err.Error(), "refs/heads/main") {
				t.Errorf("got %v, want ErrRejected with git's words about refs/heads/main", err)
			}
		})
	}
}

func TestPush_AFailedUnpackIsAnOutageWhateverTheBranch(t *testing.T) {
	h := newHost(t)
	r := open(t, config(t, h.Address()))
	mustPush(t, r, label(0, "x"))
	work := gittest.Clone(t, h.Dir)
	h.SetReporter(func(func()) []string {
		pushForeign(t, work, "theirs", "x")
		return []string{"unpack index-pack abnormal exit", "ng refs/heads/main unpacker error"}
	})
	if _, err := push(t.Context(), r, label(1, "x")); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "index-pack abnormal exit") {
		t.Errorf("got %v, want ErrUnavailable with the words of the host", err)
	}
	h.SetReporter(func(func()) []string { return []string{"unpack ok"} })
	if _, err := push(t.Context(), r, label(1, "x")); !errors.Is(err, ErrRejected) {
		t.Errorf("a report without the branch: got %v, want ErrRejected", err)
	}
}
