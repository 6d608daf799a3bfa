package ownership

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/testing/testenv"
)

// each runs a test on both databases. What it makes has a clock on which every
// renewal is due.
func each(t *testing.T, test func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof)) {
	t.Helper()
	for name, address := range map[string]func() string{
		"SQLite":     func() string { return "sqlite:" + filepath.Join(t.TempDir(), "tagma.db") },
		"PostgreSQL": func() string { return testenv.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			clock := new(hours)
			test(t, opened(t, address()), func(db *database.DB, files bucket.Bucket) *Proof { return New(db, files, clock.now) })
		})
	}
}

// hours is a clock that goes on by an hour each time that it is looked at.
type hours struct{ at atomic.Int64 }

func (h *hours) now() instant.Instant {
	return instant.Instant(h.at.Add(time.Hour.Milliseconds()))
}

func opened(t *testing.T, address string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), address, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func store(t *testing.T) bucket.Bucket {
	t.Helper()
	files, err := localblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = files.Close() })
	return files
}

// together renews, which must go well.
func together(t *testing.T, p *Proof) {
	t.Helper()
	if err := p.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// apart renews, which must be refused.
func apart(t *testing.T, p *Proof) {
	t.Helper()
	if err := p.Renew(t.Context()); !errors.Is(err, ErrApart) {
		t.Fatalf("together: %v", err)
	}
}

func TestRenew_ADatabaseAndItsStoreStayTogether(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof) {
		files := store(t)
		for range 3 {
			together(t, pair(db, files))
		}
	})
}

func TestRenew_ANewDatabaseIsApartFromTheFilesOfAnother(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof) {
		files := store(t)
		together(t, pair(opened(t, "sqlite:"+filepath.Join(t.TempDir(), "other.db")), files))
		apart(t, pair(db, files))
		if err := pair(db, files).Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		together(t, pair(db, files))
	})
}

func TestRenew_AnOlderStateIsApartFromTheFilesOfALater(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof) {
		files := store(t)
		p := pair(db, files)
		together(t, p)
		old, err := db.Checkpoint.Get(t.Context(), checkpointID)
		if err != nil {
			t.Fatal(err)
		}
		together(t, p)
		together(t, p)
		db.Checkpoint.Update().Where(checkpoint.ID(checkpointID)).SetValue(old.Value).ExecX(t.Context())
		apart(t, p)
		apart(t, p) // and stays so
		if err := p.Claim(t.Context()); err != nil {
			t.Fatal(err)
		}
		together(t, p)
	})
}

func TestRenew_ACopyThatWentItsOwnWayIsApartHoweverOftenItRenewed(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof) {
		files, copied := store(t), store(t)
		together(t, pair(db, files))
		clone := opened(t, "sqlite:"+filepath.Join(t.TempDir(), "clone.db"))
		of, err := db.Checkpoint.Get(t.Context(), checkpointID)
		if err != nil {
			t.Fatal(err)
		}
		clone.Checkpoint.Create().SetID(checkpointID).SetValue(of.Value).ExecX(t.Context())
		for range 2 {
			together(t, pair(db, files))
			together(t, pair(clone, copied))
		}
		apart(t, pair(clone, files))
		together(t, pair(db, files))
	})
}

func TestRenew_ACrashBetweenTheDatabaseAndTheStoreDoesNotPartThem(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, pair func(*database.DB, bucket.Bucket) *Proof) {
		files := store(t)
		p := pair(db, files)
		together(t, p)
		before, err := bucket.ReadAll(t.Context(), files, bucketKey)
		if err != nil {
			t.Fatal(err)
		}
		together(t, p)
		for range 3 { // the store has not heard of the last renewal
			if err := bucket.WriteAll(t.Context(), files, bucketKey, before); err != nil {
				t.Fatal(err)
			}
			dbMarks, err := p.databaseMarks(t.Context())
			if err != nil || dbMarks.Previous != string(before) {
				t.Fatalf("marks of the database: got %+v, %v, want the former mark %s", dbMarks, err, before)
			}
			together(t, p)
			if before, err = bucket.ReadAll(t.Context(), files, bucketKey); err != nil {
				t.Fatal(err)
			}
			together(t, p)
		}
	})
}

func TestRenew_ManyServersAtOnceAreNoContradiction(t *testing.T) {
	each(t, func(t *testing.T, db *database.DB, _ func(*database.DB, bucket.Bucket) *Proof) {
		files := store(t)
		for hour := range 3 {
			var wait sync.WaitGroup
			for range 8 {
				wait.Go(func() {
					now := func() instant.Instant { return instant.Instant(time.Duration(hour) * time.Hour / time.Millisecond) }
					if err := New(db, files, now).Renew(context.WithoutCancel(t.Context())); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
		}
	})
}
