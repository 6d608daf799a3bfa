package backup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tagma/internal/storage/database"
)

// unmark makes a backup in the layout without generations: tagma.db, files and
// SHA256SUMS at the top.
func (h *house) unmark(path string) {
	h.t.Helper()
	h.made(path)
	move := func(from, to string) {
		if err := os.Rename(from, filepath.Join(path, to)); err != nil {
			h.t.Fatal(err)
		}
	}
	text, err := os.ReadFile(generation(h.t, path, sumsFile))
	if err != nil {
		h.t.Fatal(err)
	}
	move(generation(h.t, path, databaseFile), databaseFile)
	var lines strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(text), filesPrefix, filesFolder+"/")) {
		if !strings.HasSuffix(line, aboutFile+"\n") {
			lines.WriteString(line)
		}
	}
	write(h.t, filepath.Join(path, sumsFile), lines.String())
	for _, name := range []string{generationsFolder, markFile, lockFile} {
		if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
			h.t.Fatal(err)
		}
	}
}

// unmarkWithoutID is unmark of a store before stores had ids.
func (h *house) unmarkWithoutID(path string) {
	h.t.Helper()
	h.unmark(path)
	db, err := database.Open(h.t.Context(), "sqlite:"+filepath.Join(path, databaseFile), database.Options{Connections: 1})
	if err != nil {
		h.t.Fatal(err)
	}
	err = errors.Join(db.Checkpoint.DeleteOneID("store").Exec(h.t.Context()), withoutLog(h.t.Context(), db), db.Close())
	if err != nil {
		h.t.Fatal(err)
	}
	f := folder{path: path}
	c, err := f.unmarkedContents()
	if err != nil {
		h.t.Fatal(err)
	}
	sum, err := sumOf(f.in(databaseFile))
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := os.ReadFile(f.in(sumsFile))
	if err != nil {
		h.t.Fatal(err)
	}
	write(h.t, f.in(sumsFile), strings.ReplaceAll(string(text), c.database.String(), sum.String()))
}

func TestMake_ABackupWithoutGenerationsBecomesTheFirstGeneration(t *testing.T) {
	for name, build := range map[string]func(h *house, path string){
		"of a store with an id":    (*house).unmark,
		"of a store without an id": (*house).unmarkWithoutID,
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, "")
			h.furnish()
			path := t.TempDir()
			build(h, path)
			before := open(t, "")
			if _, err := before.restore(path); err != nil {
				t.Fatalf("restore in place: got %v, want no error", err)
			}
			if err := h.upload(5, 6); err != nil {
				t.Fatal(err)
			}
			report, err := Make(t.Context(), h.source(), path, Options{Keep: 7, Adopt: name == "of a store without an id"})
			if err != nil || report.First || report.Copied != 3 || report.Files != 12 {
				t.Errorf("backup: got %+v, %v, want 3 of 12 files copied", report, err)
			}
			f := folder{path: path}
			names, err := f.names()
			if err != nil || len(names) != 2 || exists(f.in(databaseFile)) || exists(f.in(sumsFile)) {
				t.Fatalf("generations: got %q, %v, want 2 and nothing at the top", names, err)
			}
			for n, want := range []int{12, 9} {
				checkSums(t, path, names[n])
				found, err := Find(t.Context(), path, names[n])
				if err != nil || len(found.contents.files) != want {
					t.Errorf("generation %s: got %d files, %v, want %d", names[n], len(found.contents.files), err, want)
				}
			}
			// The second time needs no --adopt.
			h.made(path)
		})
	}
}

// Whatever step of the upgrade is the last that takes effect, the state of before
// can be restored, and the next run ends the upgrade.
func TestMake_AnUpgradeThatStopsAtAnyStepLeavesTheOldStateRestorable(t *testing.T) {
	h := open(t, "")
	h.furnish()
	pattern := t.TempDir()
	h.unmark(pattern)
	before, err := Find(t.Context(), pattern, "")
	if err != nil {
		t.Fatal(err)
	}
	stopped := 0
	for step := 0; ; step++ {
		path := filepath.Join(t.TempDir(), "backup")
		if err := os.CopyFS(path, os.DirFS(pattern)); err != nil {
			t.Fatal(err)
		}
		d, steps := stopAt(step)
		_, err := maker{h.source(), folder{path, d}, Options{Keep: 7}}.make(t.Context())
		if err == nil {
			if *steps != step {
				t.Errorf("the upgrade took %d steps, and did not stop at step %d", *steps, step)
			}
			break
		}
		stopped++
		if left := exists(filepath.Join(path, sumsFile)) && exists(filepath.Join(path, databaseFile)); !left {
			if names, err := (folder{path: path}).names(); err != nil || len(names) == 0 {
				t.Fatalf("step %d: got generations %q, %v, want one", step, names, err)
			}
		}
		found, err := Find(t.Context(), path, "")
		if err != nil {
			t.Fatalf("step %d: find: got %v, want the state of before", step, err)
		}
		if found.contents.database != before.contents.database && len(found.contents.files) != 9 {
			t.Errorf("step %d: got a state of %d files, want that of before or a new one", step, len(found.contents.files))
		}
		if step%4 == 0 { // each takes a while
			if _, err := open(t, "").restore(path); err != nil {
				t.Errorf("step %d: restore: got %v, want no error", step, err)
			}
		}
		h.made(path)
		if names, err := (folder{path: path}).names(); err != nil || len(names) < 2 || exists(filepath.Join(path, sumsFile)) {
			t.Errorf("step %d: after the next run: got generations %q, %v, want two or more", step, names, err)
		}
	}
	if stopped < 10 {
		t.Errorf("the run was stopped at %d steps, want 10 or more", stopped)
	}
}
