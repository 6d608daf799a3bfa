package sweep

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/base/password"
	"tagma/internal/base/throttle"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/people"
	"tagma/internal/gql/idempotency"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/ownership"
)

func TestStart_SweepsNowAndEveryHourUntilItIsToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		stopped := start(ctx, slog.New(slog.DiscardHandler), []job{{"things", func(context.Context) (int, error) {
			at = append(at, time.Since(began))
			return 0, nil
		}}})
		<-time.After(150 * time.Minute) // of a clock that jumps
		synctest.Wait()
		if want := []time.Duration{0, time.Hour, 2 * time.Hour}; !slices.Equal(at, want) {
			t.Errorf("it swept at %v, want %v", at, want)
		}
		cancel()
		<-stopped
		<-time.After(150 * time.Minute)
		if len(at) != 3 {
			t.Errorf("it swept on: %v", at)
		}
	})
}

func TestStart_OneThatFailsKeepsNoOtherFromItsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var lines bytes.Buffer
		times := 0
		stopped := start(ctx, slog.New(slog.NewTextHandler(&lines, nil)), []job{
			{"broken things", func(context.Context) (int, error) { return 0, errors.New("no") }},
			{"things", func(context.Context) (int, error) { times++; return 3, nil }},
			{"nothing", func(context.Context) (int, error) { return 0, nil }},
		})
		<-time.After(90 * time.Minute)
		synctest.Wait()
		cancel()
		<-stopped
		if times != 2 || strings.Count(lines.String(), "cannot sweep") != 2 || strings.Count(lines.String(), "removed=3") != 2 ||
			strings.Contains(lines.String(), "nothing") {
			t.Errorf("%d times:\n%s", times, &lines)
		}
	})
}

func TestStart_ToStopEndsTheSweepUnderWayAndBeginsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var lines bytes.Buffer
		stopped := start(ctx, slog.New(slog.NewTextHandler(&lines, nil)), []job{
			{"much", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }},
			{"more", func(context.Context) (int, error) { t.Error("another was begun"); return 0, nil }},
		})
		synctest.Wait()
		cancel()
		<-stopped
		if lines.Len() > 0 {
			t.Errorf("to stop is no news:\n%s", &lines)
		}
	})
}

func emptyBucket(t *testing.T) bucket.Bucket {
	t.Helper()
	files, err := localblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return files
}

// abandoned puts files into a store that no row speaks of.
func abandoned(t *testing.T, files bucket.Bucket) []string {
	t.Helper()
	orphans := []string{
		"images/0a5bb6f4/2020-06/0a5bb6f4.2020-06-20_21-33-24.0123456789abcdef.jpg",
		"bundles/0123456789abcdef/0123456789abcdef0123456789abcdef",
	}
	for _, orphan := range orphans {
		if err := bucket.WriteAll(t.Context(), files, orphan, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	return orphans
}

// tomorrow is when files of now may be swept.
func tomorrow() instant.Instant { return instant.System().Add(images.Grace + time.Hour) }

// sweepOf sweeps a new database and that store until the first two lines of the
// log.
func sweepOf(t *testing.T, files bucket.Bucket) (log [2]string) {
	t.Helper()
	db, err := database.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan string, 10)
	stopped := Start(ctx, slog.New(slog.NewTextHandler(lines(heard), nil)), db, filepath.Join(t.TempDir(), "gone"),
		ownership.New(db, files, tomorrow), images.New(db, files, tomorrow, images.Limits{}), bundles.New(db, files, tomorrow, bundles.Limits{}),
		people.New(db, tomorrow, password.New(password.Options{Cheap: true}), throttle.New(tomorrow, throttle.Options{}), page.Limits{}), idempotency.New(db, tomorrow))
	log = [2]string{<-heard, <-heard}
	cancel()
	<-stopped
	return log
}

func TestStart_FilesTokensAndLeftoversAreSwept(t *testing.T) {
	files := emptyBucket(t)
	orphans := abandoned(t, files)
	log := sweepOf(t, files)
	if !strings.Contains(log[0], "files without a row") || !strings.Contains(log[0], "removed=2") {
		t.Error(log[0])
	}
	if !strings.Contains(log[1], "unfinished files") { // whose folder has gone
		t.Error(log[1])
	}
	for _, orphan := range orphans {
		if exists, err := bucket.Exists(t.Context(), files, orphan); exists || err != nil {
			t.Errorf("%s exists: got %t, %v, want false", orphan, exists, err)
		}
	}
}

func TestStart_TheFilesOfAnotherDatabaseAreKept(t *testing.T) {
	files := emptyBucket(t)
	abandoned(t, files)
	sweepOf(t, files) // by the database to which the store belongs
	orphans := abandoned(t, files)
	if log := sweepOf(t, files); !strings.Contains(log[0], "cannot sweep") || !strings.Contains(log[0], "verify --claim") {
		t.Error(log[0])
	}
	for _, orphan := range orphans {
		if exists, err := bucket.Exists(t.Context(), files, orphan); !exists || err != nil {
			t.Errorf("%s exists: got %t, %v, want true", orphan, exists, err)
		}
	}
}

// lines passes on what is written, line by line.
type lines chan<- string

func (l lines) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}
