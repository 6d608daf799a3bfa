package backup

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/domain/images"
	"tagma/internal/storage/bucket"
)

// checkSums runs sha256sum -c in the folder of a generation, as the manual says.
func checkSums(t *testing.T, backup, name string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sha256sum", "--check", "--quiet", "--strict", sumsFile)
	command.Dir = filepath.Join(backup, generationsFolder, name)
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("sha256sum -c in %s: got %v, %s, want no error", command.Dir, err, out)
	}
}

// stopAt returns a disk of which the step with a number, and all after it, fail,
// as they do for a process that is killed. The steps are counted.
func stopAt(step int) (disk, *int) {
	stopped, count := errors.New("the disk has stopped"), new(int)
	next := func() error {
		if *count >= step {
			return stopped
		}
		*count++
		return nil
	}
	real := realDisk()
	d := real
	d.flush = func(f *os.File) error { return errors.Join(next(), real.flush(f)) }
	d.rename = func(from, to string) error {
		if err := next(); err != nil {
			return err
		}
		return real.rename(from, to)
	}
	d.remove = func(path string) error {
		if err := next(); err != nil {
			return err
		}
		return real.remove(path)
	}
	d.removeAll = func(path string) error {
		if err := next(); err != nil {
			return err
		}
		return real.removeAll(path)
	}
	return d, count
}

// once is a disk of which one step fails, and no other.
func once(step int) (disk, *int) {
	d, count := stopAt(1 << 30)
	failed := func() error {
		if *count == step {
			*count++
			return errors.New("the disk is failing")
		}
		return nil
	}
	flush, rename, removeAll := d.flush, d.rename, d.removeAll
	d.flush = func(f *os.File) error {
		if err := failed(); err != nil {
			return err
		}
		return flush(f)
	}
	d.rename = func(from, to string) error {
		if err := failed(); err != nil {
			return err
		}
		return rename(from, to)
	}
	d.removeAll = func(path string) error {
		if err := failed(); err != nil {
			return err
		}
		return removeAll(path)
	}
	return d, count
}

func TestMake_ABackupThatFailsAtAnyStepLeavesTheLastWhole(t *testing.T) {
	h := open(t, "")
	h.furnish()
	pattern := t.TempDir()
	h.made(pattern)
	old, err := (folder{path: pattern}).names()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.upload(5, 6); err != nil {
		t.Fatal(err)
	}
	if _, err := h.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night}}, false); err != nil {
		t.Fatal(err)
	}
	for how, faulty := range map[string]func(int) (disk, *int){"from there on": stopAt, "once": once} {
		for _, keep := range []int{1, 7} {
			failures := 0
			for step := 0; step < 100; step++ {
				path := filepath.Join(t.TempDir(), "backup")
				if err := os.CopyFS(path, os.DirFS(pattern)); err != nil {
					t.Fatal(err)
				}
				d, _ := faulty(step)
				report, err := maker{h.source(), folder{path, d}, Options{Keep: keep}}.make(t.Context())
				if err == nil {
					break
				}
				failures++
				names, listing := (folder{path: path}).names()
				if listing != nil || len(names) == 0 {
					t.Fatalf("step %d %s: got generations %q, %v, want one or more", step, how, names, listing)
				}
				for _, name := range names {
					checkSums(t, path, name)
				}
				if !slices.Contains(names, old[0]) && (keep > 1 || names[0] != report.Generation.Name) {
					t.Errorf("step %d %s, %d generations: got %q, want %s or the new one", step, how, keep, names, old[0])
				}
				if made := h.made(path); made.Files != 9 { // 9 + 3 - 3
					t.Errorf("step %d %s: the next backup: got %+v, want 9 files", step, how, made)
				}
				after, listing := (folder{path: path}).names()
				if listing != nil {
					t.Fatal(listing)
				}
				checkSums(t, path, after[0])
			}
			if failures < 6 {
				t.Errorf("%s, %d generations: the run failed at %d steps, want 6 or more", how, keep, failures)
			}
		}
	}
}

// at is a clock that stands.
func at(text string) instant.Clock {
	moment, err := instant.Parse(text)
	if err != nil {
		panic(err)
	}
	return func() instant.Instant { return moment }
}

func TestMake_OnlyTheNewestGenerationsRemainAndTheirFiles(t *testing.T) {
	h := open(t, "")
	h.furnish()
	path := t.TempDir()
	for n, c := range []struct {
		clock string
		names []string
		files int // in the folder
	}{
		{"2026-01-01T00:00:00Z", []string{"20260101T000000Z"}, 9},
		{"2026-01-02T00:00:00Z", []string{"20260102T000000Z", "20260101T000000Z"}, 9}, // without an image, whose files the first has
		{"2026-01-02T00:00:00Z", []string{"20260102T000001Z", "20260102T000000Z"}, 6}, // in the same second
		{"2025-01-01T00:00:00Z", []string{"20260102T000002Z", "20260102T000001Z"}, 6}, // the clock was turned back
	} {
		if n == 1 {
			if _, err := h.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night}}, false); err != nil {
				t.Fatal(err)
			}
		}
		report, err := Make(t.Context(), h.source(), path, Options{Keep: 2, Clock: at(c.clock)})
		if err != nil || report.Generation.Name != c.names[0] || report.Generation.Time.String() != c.clock {
			t.Errorf("backup %d: got %+v, %v, want %s", n, report, err, c.names[0])
		}
		names, err := (folder{path: path}).names()
		if err != nil || !slices.Equal(names, c.names) {
			t.Errorf("generations after backup %d: got %q, %v, want %q", n, names, err, c.names)
		}
		for _, name := range names {
			checkSums(t, path, name)
		}
		if files := regular(t, filepath.Join(path, filesFolder)); len(files) != c.files {
			t.Errorf("files after backup %d: got %d, want %d", n, len(files), c.files)
		}
	}
	newest, err := Newest(path, (*house)(h).id())
	if err != nil || newest.Name != "20260102T000002Z" || newest.Time.String() != "2025-01-01T00:00:00Z" {
		t.Errorf("newest: got %+v, %v, want 20260102T000002Z", newest, err)
	}
	if _, err := Newest(path, "another"); !errors.Is(err, ErrNone) {
		t.Errorf("newest of another store: got %v, want %v", err, ErrNone)
	}
}

func (h *house) id() string {
	h.t.Helper()
	store, err := maker{h.source(), folder{h.t.TempDir(), realDisk()}, Options{}}.examine(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return store.ID
}

// regular is the names of all files below a folder.
func regular(t *testing.T, path string) []string {
	t.Helper()
	var names []string
	for name := range tree(t, path) {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}

func TestMake_WhatAKilledRunLeftIsRemoved(t *testing.T) {
	h := open(t, "")
	h.furnish()
	path := t.TempDir()
	h.made(path)
	for _, name := range []string{"20200101T000000Z" + incompleteSuffix, "20200102T000000Z" + removedSuffix} {
		write(t, filepath.Join(makeFolder(t, filepath.Join(path, generationsFolder, name)), databaseFile), "x")
	}
	makeFolder(t, filepath.Join(path, filesFolder, "images", "a"))
	for _, name := range []string{"images/a/%tmp-x", "images/a/old.jpg"} {
		write(t, filepath.Join(path, filesFolder, name), "x")
	}
	h.made(path)
	entries, err := os.ReadDir(filepath.Join(path, generationsFolder))
	if err != nil || len(entries) != 2 {
		t.Errorf("generations: got %v, %v, want 2", entries, err)
	}
	if files := regular(t, filepath.Join(path, filesFolder)); len(files) != 9 {
		t.Errorf("files: got %q, want 9", files)
	}
}

func TestMake_ADamagedOldFileIsFoundWithinThirtyRunsAndReplaced(t *testing.T) {
	for how, damage := range map[string]func(path string) error{
		"other bytes": func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) },
		"gone":        os.Remove,
	} {
		t.Run(how, func(t *testing.T) {
			h := open(t, "")
			h.furnish()
			path := t.TempDir()
			h.made(path)
			keys := keysOf(t, h.bucket)
			damaged := []string{keys[0], keys[4]} // an original and a small picture of another
			for _, key := range damaged {
				if err := damage(filepath.Join(path, filesFolder, key)); err != nil {
					t.Fatal(err)
				}
			}
			var replaced []string
			reread := 0
			for range rereadRuns {
				report, err := Make(t.Context(), h.source(), path, Options{Keep: 3})
				if err != nil || len(report.Lost) > 0 {
					t.Fatalf("backup: got %+v, %v, want nothing lost", report, err)
				}
				replaced = append(replaced, report.Replaced...)
				reread += report.Reread
			}
			slices.Sort(replaced)
			slices.Sort(damaged)
			if !slices.Equal(replaced, damaged) || reread < len(keys) {
				t.Errorf("replaced: got %q, want %q; read again: got %d, want %d", replaced, damaged, reread, len(keys))
			}
			names, err := (folder{path: path}).names()
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				checkSums(t, path, name)
			}
		})
	}
}

func TestMake_ADamagedFileThatTheStoreHasNoMoreIsToldAndStays(t *testing.T) {
	h := open(t, "")
	h.furnish()
	path := t.TempDir()
	h.made(path)
	if _, err := h.photos.Delete(t.Context(), []images.Key{{Device: "0a5bb6f4", TakenAt: night}}, false); err != nil {
		t.Fatal(err)
	}
	remaining := keysOf(t, h.bucket)
	var key string
	for _, name := range regular(t, filepath.Join(path, filesFolder)) {
		relative, err := filepath.Rel(filepath.Join(path, filesFolder), name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(remaining, relative) && !strings.Contains(relative, "mini") {
			key = relative
		}
	}
	write(t, filepath.Join(path, filesFolder, key), "x")
	var lost []string
	for range rereadRuns {
		report, err := Make(t.Context(), h.source(), path, Options{Keep: rereadRuns + 1})
		if err != nil {
			t.Fatal(err)
		}
		lost = append(lost, report.Lost...)
	}
	if !slices.Equal(lost, []string{key}) || !exists(filepath.Join(path, filesFolder, key)) {
		t.Errorf("lost: got %q, want %q, which stays", lost, key)
	}
}

// A store whose file is not what its database says must not spoil the backup's
// good copy.
func TestMake_ADamagedFileOfTheStoreNeverGoesIntoTheBackup(t *testing.T) {
	h := open(t, "")
	h.furnish()
	path := t.TempDir()
	h.made(path)
	key := keysOf(t, h.bucket)[0]
	if err := errors.Join(
		bucket.WriteAll(t.Context(), h.bucket, key, []byte("damaged")),
		os.Remove(filepath.Join(path, filesFolder, key)),
	); err != nil {
		t.Fatal(err)
	}
	failed := false
	for range rereadRuns {
		if _, err := Make(t.Context(), h.source(), path, Options{Keep: 3}); err != nil {
			failed = failed || strings.Contains(err.Error(), "tagma verify")
		}
	}
	if content, err := os.ReadFile(filepath.Join(path, filesFolder, key)); !failed || bytes.Equal(content, []byte("damaged")) {
		t.Errorf("the backup: got %q, %v, told %t, want the damaged file refused", content, err, failed)
	}
}

func TestMake_ABackupThatIsGivenUpLeavesTheLastWhole(t *testing.T) {
	h := open(t, "")
	h.furnish()
	path := t.TempDir()
	made := h.made(path)
	before := tree(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if _, err := Make(ctx, h.source(), path, Options{Keep: 1}); err == nil {
		t.Error("backup: got no error, want that of the context")
	}
	checkSums(t, path, made.Generation.Name)
	if after := tree(t, path); len(after) != len(before) {
		t.Errorf("the backup: got %v, want %v", after, before)
	}
}
