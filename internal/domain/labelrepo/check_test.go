package labelrepo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tagma/internal/domain/labelrepo/bare"
	"tagma/internal/testing/gittest"
)

// history is a repository with packs of Tagma, and packs and loose objects of an
// ordinary git, and the files that a database knows.
type history struct {
	cfg     Config
	written []CommittedFile
	tip     string
	commits string
}

func newHistory(t *testing.T) *history {
	t.Helper()
	h := &history{cfg: config(t, "")}
	r := open(t, h.cfg)
	add := func(from, to int, text string) {
		var commits []Commit
		for i := from; i < to; i++ {
			commits = append(commits, label(i%40, fmt.Sprint(text, " ", i)))
		}
		for n, result := range mustPush(t, r, commits...) {
			h.written = append(h.written, CommittedFile{SHA: result.SHA, Paths: []string{"elsewhere.json", commits[n].Path}, Content: commits[n].Content})
		}
	}
	add(0, 30, "first")
	add(10, 60, "again")
	pushForeign(t, gittest.Clone(t, h.cfg.Dir), "README.md", "of somebody else\n") // git stores loose objects
	if _, err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	add(3, 20, "later")
	h.tip = r.Tip()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	h.commits = gittest.Git(t, h.cfg.Dir, "rev-list", "main")
	return h
}

// objectFiles returns the files of all objects, by path within the repository.
func (h *history) objectFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(filepath.Join(h.cfg.Dir, "objects"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			path, err = filepath.Rel(h.cfg.Dir, path)
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (h *history) check(t *testing.T) (objects int, faults []Fault) {
	t.Helper()
	objects, err := Check(t.Context(), h.cfg.Dir, noPace, func(f Fault) { faults = append(faults, f) })
	if err != nil {
		t.Fatal(err)
	}
	return objects, faults
}

func (h *history) all(context.Context) iter.Seq2[CommittedFile, error] {
	return func(yield func(CommittedFile, error) bool) {
		for _, w := range h.written {
			if !yield(w, nil) {
				return
			}
		}
	}
}

// demandMended fails the test if the repository has a fault or other commits.
func (h *history) demandMended(t *testing.T) {
	t.Helper()
	if _, faults := h.check(t); len(faults) > 0 {
		t.Errorf("got the faults %v after mending, want none", faults)
	}
	fsck(t, h.cfg.Dir)
	if got := gittest.Git(t, h.cfg.Dir, "rev-list", "main"); got != h.commits {
		t.Errorf("got the commits\n%swant\n%s", got, h.commits)
	}
}

// randomBit returns a bit of a file. In a loose object, it leaves out the byte
// before the last four: the deflate stream ends there with up to seven unused
// bits (RFC 1951, section 3.2.3), which no reader can check.
func randomBit(t *testing.T, random *rand.Rand, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if ext := filepath.Ext(path); ext == ".pack" || ext == ".idx" {
		return random.Int64N(8 * info.Size())
	}
	bit := random.Int64N(8 * (info.Size() - 1))
	if bit >= 8*(info.Size()-5) {
		bit += 8
	}
	return bit
}

// flip inverts one bit of a file.
func flip(t *testing.T, path string, bit int64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[bit/8%int64(len(content))] ^= 1 << (bit % 8)
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestCheck_AWholeRepositoryHasNoFaultsAndAFolderWithoutOneNoObjects(t *testing.T) {
	h := newHistory(t)
	if objects, faults := h.check(t); objects < 200 || len(faults) > 0 {
		t.Errorf("got %d objects and the faults %v, want at least 200 objects and no faults", objects, faults)
	}
	h.cfg.Dir = t.TempDir()
	if objects, faults := h.check(t); objects != 0 || len(faults) > 0 {
		t.Errorf("an empty folder: got %d objects and the faults %v, want none", objects, faults)
	}
}

func TestCheck_EveryFlippedBitIsNamedAndMendHealsEachUnderItsOwnHash(t *testing.T) {
	h := newHistory(t)
	backup := filepath.Join(t.TempDir(), "clone")
	gittest.Git(t, "", "clone", "--quiet", "--no-hardlinks", h.cfg.Dir, backup)
	random := rand.New(rand.NewPCG(1, 2))
	files := h.objectFiles(t)
	tries := 0
	for tries < 120 {
		for _, file := range files {
			tries++
			path := filepath.Join(h.cfg.Dir, file)
			bit := randomBit(t, random, path)
			flip(t, path, bit)
			_, faults := h.check(t)
			name, isLoose := strings.CutPrefix(filepath.ToSlash(file), "objects/")
			name = strings.ReplaceAll(name, "/", "")
			stem := strings.TrimSuffix(strings.TrimSuffix(filepath.ToSlash(file), ".idx"), ".pack")
			if !slices.ContainsFunc(faults, func(f Fault) bool {
				return strings.HasPrefix(f.File, stem) || isLoose && f.Object == name
			}) {
				t.Errorf("bit %d of %s: got the faults %v, want a fault of this file or object", bit, file, faults)
			}
			flip(t, path, bit)
		}
	}
	// Damage all files at once.
	for _, file := range files {
		path := filepath.Join(h.cfg.Dir, file)
		flip(t, path, randomBit(t, random, path))
	}
	if _, err := Mend(t.Context(), h.cfg, MendOptions{Files: h.all, Source: backup}); err != nil {
		t.Fatal(err)
	}
	h.demandMended(t)
}

func TestMend_FilesAndFoldersComeFromTheDatabaseAlone(t *testing.T) {
	for kind, want := range map[string]bare.Kind{"files": bare.Blob, "folders": bare.Tree} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			// Loose objects can be damaged one by one. The database does not know
			// the commit of somebody else.
			for _, pack := range slices.DeleteFunc(h.objectFiles(t), func(f string) bool { return filepath.Ext(f) != ".pack" }) {
				moved := filepath.Join(t.TempDir(), "moved.pack")
				if err := errors.Join(os.Rename(filepath.Join(h.cfg.Dir, pack), moved), os.Remove(filepath.Join(h.cfg.Dir, indexName(pack)))); err != nil {
					t.Fatal(err)
				}
				unpack(t, h.cfg.Dir, moved)
			}
			view, err := bare.OpenView(h.cfg.Dir)
			if err != nil {
				t.Fatal(err)
			}
			damaged := 0
			for _, file := range h.objectFiles(t) {
				hash := strings.ReplaceAll(strings.TrimPrefix(file, "objects/"), "/", "")
				known, content, err := view.Read(hashOf(hash))
				if err != nil {
					t.Fatal(err)
				}
				if known != want || strings.Contains(string(content), "somebody") || strings.Contains(string(content), "README") {
					continue
				}
				damaged++
				if damaged%2 == 0 {
					flip(t, filepath.Join(h.cfg.Dir, file), 200)
				} else if err := os.Remove(filepath.Join(h.cfg.Dir, file)); err != nil {
					t.Fatal(err)
				}
			}
			view.Close()
			if damaged < 50 {
				t.Fatalf("got %d objects damaged by the test, want at least 50", damaged)
			}
			mended, err := Mend(t.Context(), h.cfg, MendOptions{Files: h.all})
			if err != nil || mended != damaged {
				t.Errorf("got %d objects mended, %v, want %d", mended, err, damaged)
			}
			h.demandMended(t)
		})
	}
}

// unpack writes the objects of a pack as loose objects.
func unpack(t *testing.T, dir, pack string) {
	t.Helper()
	in, err := os.Open(pack)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	cmd := exec.CommandContext(t.Context(), "git", "unpack-objects", "-q")
	cmd.Dir, cmd.Stdin = dir, in
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git unpack-objects: %v\n%s", err, out)
	}
}

func indexName(pack string) string { return strings.TrimSuffix(pack, ".pack") + ".idx" }

func TestMend_ACommitComesFromACloneOrRemoteAndElseNothingIsTakenAway(t *testing.T) {
	h := newHistory(t)
	remote := filepath.Join(t.TempDir(), "remote.git")
	gittest.Git(t, "", "clone", "--quiet", "--no-hardlinks", "--bare", h.cfg.Dir, remote)
	files := h.objectFiles(t)
	for _, file := range files {
		flip(t, filepath.Join(h.cfg.Dir, file), 12345)
	}
	var lost *NotMendedError
	if _, err := Mend(t.Context(), h.cfg, MendOptions{Files: h.all}); !errors.As(err, &lost) || len(lost.Objects) == 0 {
		t.Fatalf("got %v, want the objects that are lost", err)
	}
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(h.cfg.Dir, file)); err != nil {
			t.Errorf("%s: got %v, want the file in its place", file, err)
		}
	}
	if _, err := Mend(t.Context(), h.cfg, MendOptions{Source: "file://" + remote}); err != nil {
		t.Fatal(err)
	}
	h.demandMended(t)
	// The repository can be used again.
	r := open(t, h.cfg)
	if r.Tip() != h.tip {
		t.Errorf("got the tip %s, want %s", r.Tip(), h.tip)
	}
	mustPush(t, r, label(99, "after"))
	fsck(t, h.cfg.Dir)
}

func TestMend_ABranchPointsAgainToTheLastCommitThatTheDatabaseKnows(t *testing.T) {
	h := newHistory(t)
	ref := filepath.Join(h.cfg.Dir, "refs", "heads", "main")
	for name, content := range map[string]string{"emptied": "", "another digit": strings.Repeat("7", 40) + "\n", "text": "main\n"} {
		if err := os.WriteFile(ref, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, faults := h.check(t); len(faults) == 0 {
			t.Errorf("%s: got no faults, want one", name)
		}
		notedTip := h.written[len(h.written)-5].SHA // four more commits were pushed before a crash
		if _, err := Mend(t.Context(), h.cfg, MendOptions{Files: h.all, Tip: notedTip}); err != nil {
			t.Fatalf("%s: got %v, want the branch mended", name, err)
		}
		h.demandMended(t)
	}
}

func TestCheck_BesideAWriterFindsNothing(t *testing.T) {
	cfg := config(t, "")
	r := open(t, cfg)
	ended := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 150 && err == nil; i++ { // enough for several merges of packs
			_, err = push(t.Context(), r, label(i, "text"))
		}
		ended <- err
	}()
	for checks := 0; ; checks++ {
		var faults []Fault
		if _, err := Check(t.Context(), cfg.Dir, noPace, func(f Fault) { faults = append(faults, f) }); err != nil || len(faults) > 0 {
			t.Fatalf("got the faults %v, %v, want none", faults, err)
		}
		select {
		case err := <-ended:
			if err != nil || checks == 0 {
				t.Errorf("got %d checks during the pushes, %v, want at least 1 and no error", checks, err)
			}
			return
		default:
		}
	}
}
