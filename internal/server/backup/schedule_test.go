package backup

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/storage/identity"
)

// timer is a clock that goes on only while a schedule sleeps.
type timer struct {
	now  instant.Instant
	end  instant.Instant
	each func(now instant.Instant) // called after each sleep
}

var errOver = errors.New("the test's time is over")

func (c *timer) sleep(_ context.Context, d time.Duration) error {
	c.now = c.now.Add(d)
	if c.each != nil {
		c.each(c.now)
	}
	if c.now >= c.end {
		return errOver
	}
	return nil
}

// scheduled is a schedule of a house's backups by a fake clock, and its log.
func (h *house) scheduled(path string, c *timer) (*Schedule, *bytes.Buffer) {
	h.t.Helper()
	store, err := identity.Of(h.t.Context(), h.db.Client)
	if err != nil {
		h.t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := NewSchedule(h.source(), store, Plan{Folder: path, Every: time.Hour, Keep: 3},
		func() instant.Instant { return c.now }, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		h.t.Fatal(err)
	}
	s.sleep = c.sleep
	return s, &log
}

const midnight = instant.Instant(1_800_000_000_000)

func generations(t *testing.T, path string) []string {
	t.Helper()
	names, err := folder{path: path}.names()
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestSchedule_MakesABackupEachHourAndGoesOnAfterARestart(t *testing.T) {
	eachKind(t, func(t *testing.T, h *house) {
		h.furnish()
		path := filepath.Join(t.TempDir(), "backup")
		c := &timer{now: midnight, end: midnight.Add(90 * time.Minute)}
		s, log := h.scheduled(path, c)
		if err := s.Run(t.Context()); !errors.Is(err, errOver) {
			t.Fatalf("run: got %v, want %v\n%s", err, errOver, log)
		}
		want := []string{midnight.Add(time.Hour).Time().Format(nameLayout), midnight.Time().Format(nameLayout)}
		if names := generations(t, path); !slices.Equal(names, want) {
			t.Errorf("generations after 90 minutes: got %q, want %q\n%s", names, want, log)
		}
		if age := s.Age(); age != 30*time.Minute {
			t.Errorf("age: got %v, want 30m", age)
		}
		c.end = c.now.Add(4 * time.Hour)
		again, log := h.scheduled(path, c) // the server has started again
		if err := again.Run(t.Context()); !errors.Is(err, errOver) {
			t.Fatal(err)
		}
		want = nil
		for n := range 3 {
			want = append(want, midnight.Add(time.Duration(5-n)*time.Hour).Time().Format(nameLayout))
		}
		if names := generations(t, path); !slices.Equal(names, want) {
			t.Errorf("generations after five hours and a half: got %q, want %q\n%s", names, want, log)
		}
	})
}

func TestSchedule_ABackupThatFailsIsLoggedAndTriedAgainAndItsAgeGrows(t *testing.T) {
	h := open(t, "")
	h.furnish()
	root := t.TempDir()
	path, elsewhere := filepath.Join(root, "backup"), filepath.Join(root, "unmounted")
	c := &timer{now: midnight, end: midnight.Add(3*time.Hour + 30*time.Minute)}
	s, log := h.scheduled(path, c)
	var ages []time.Duration
	c.each = func(now instant.Instant) {
		switch now {
		case midnight.Add(30 * time.Minute): // the disk goes away, and leaves an empty folder
			if err := errors.Join(os.Rename(path, elsewhere), os.Mkdir(path, 0o700)); err != nil {
				t.Error(err)
			}
		case midnight.Add(3 * time.Hour): // and is there again
			if err := errors.Join(os.Remove(path), os.Rename(elsewhere, path)); err != nil {
				t.Error(err)
			}
		}
		if now <= midnight.Add(3*time.Hour) {
			ages = append(ages, s.Age())
		}
	}
	if err := s.Run(t.Context()); !errors.Is(err, errOver) {
		t.Fatal(err)
	}
	if !slices.IsSorted(ages) || ages[len(ages)-1] != 3*time.Hour {
		t.Errorf("ages while no backup is made: got %v, want that they grow to 3h", ages)
	}
	failures := strings.Count(log.String(), "level=ERROR")
	if failures != 15 { // from 0:30 to 2:50, every 10 minutes
		t.Errorf("errors: got %d, want 15\n%s", failures, log)
	}
	if !strings.Contains(log.String(), "is the disk mounted") || !strings.Contains(log.String(), path) {
		t.Errorf("the log: got %s, want the folder and the remedy", log)
	}
	want := []string{midnight.Add(3 * time.Hour).Time().Format(nameLayout), midnight.Time().Format(nameLayout)}
	if names := generations(t, path); !slices.Equal(names, want) {
		t.Errorf("generations: got %q, want %q", names, want)
	}
}

// Of two servers with one database, the second has a folder of its own: that is
// told, and no second backup begins there.
func TestSchedule_AServerWhoseFolderIsNotTheOthersMakesNoBackup(t *testing.T) {
	h := open(t, "")
	h.furnish()
	root := t.TempDir()
	c := &timer{now: midnight, end: midnight.Add(time.Minute)}
	first, _ := h.scheduled(filepath.Join(root, "shared"), c)
	if err := first.Run(t.Context()); !errors.Is(err, errOver) {
		t.Fatal(err)
	}
	c.end = c.now.Add(time.Minute)
	second, log := h.scheduled(filepath.Join(root, "own"), c)
	if err := second.Run(t.Context()); !errors.Is(err, errOver) {
		t.Fatal(err)
	}
	if exists(filepath.Join(root, "own")) || !strings.Contains(log.String(), "Several servers must share the folder") {
		t.Errorf("the second server: got %s, want a refusal and no folder", log)
	}
	// Once somebody has begun a backup there by hand, it goes on.
	h.made(filepath.Join(root, "own"))
	c.end = c.now
	if err := second.Run(t.Context()); !errors.Is(err, errOver) {
		t.Fatal(err)
	}
	if names := generations(t, filepath.Join(root, "own")); len(names) != 2 {
		t.Errorf("generations: got %q, want 2\n%s", names, log)
	}
}

func TestSchedule_AFolderWithinTheStoreIsRefused(t *testing.T) {
	h := open(t, "")
	h.furnish()
	source := h.source()
	source.Place = Place{Data: t.TempDir(), Files: h.folder}
	for _, path := range []string{filepath.Join(source.Place.Data, "backup"), filepath.Join(h.folder, "backup"), filepath.Dir(h.folder)} {
		if _, err := NewSchedule(source, identity.Identity{ID: "x"}, Plan{Folder: path}, instant.System, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("backups into %s: got %v, want a refusal", path, err)
		}
	}
	var log bytes.Buffer
	if _, err := NewSchedule(source, identity.Identity{ID: "x"}, Plan{Folder: t.TempDir()}, instant.System, slog.New(slog.NewTextHandler(&log, nil))); err != nil || !strings.Contains(log.String(), "on the device of the store") {
		t.Errorf("backups on the same disk: got %v, %s, want a warning", err, &log)
	}
}
