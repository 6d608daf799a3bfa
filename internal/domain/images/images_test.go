package images_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/images"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/bucket/buckettest"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/s3store"
	"tagma/internal/testing/testenv"
)

const trap = "0a5bb6f4"

// world is images in a new database and store, with a clock that the test
// moves.
type world struct {
	*images.Service
	t      *testing.T
	db     *database.DB
	bucket bucket.Bucket
	ahead  atomic.Int64 // milliseconds by which the clock is ahead of the machine's

	mu     sync.Mutex
	before func(query string) // called before each statement, if set
}

// each runs a test on both databases, and with the files in S3.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite and S3", func(t *testing.T) {
		server := testenv.S3(t)
		server.Enter(t)
		test(t, newWorldIn(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), inS3(t, server.URL())))
	})
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, testenv.Postgres(t))) })
}

// inS3 is the files at an address in S3.
func inS3(t *testing.T, address string) bucket.Bucket {
	t.Helper()
	store, err := s3store.Open(t.Context(), address, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func newWorld(t *testing.T, databaseURL string) *world {
	t.Helper()
	bucket, err := localblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	return newWorldIn(t, databaseURL, bucket)
}

func newWorldIn(t *testing.T, databaseURL string, bucket bucket.Bucket) *world {
	t.Helper()
	w := &world{t: t, bucket: bucket}
	var err error
	w.db, err = database.Open(t.Context(), databaseURL, database.Options{Observe: w.observe})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.db.Close() })
	clock := func() instant.Instant { return instant.System() + instant.Instant(w.ahead.Load()) }
	w.Service = images.New(w.db, w.bucket, clock, images.Limits{
		Page: page.Limits{Default: 10, Max: 100}, Pixels: 1_000_000, FileBytes: 1 << 20, Decoders: 2,
	})
	return w
}

func (w *world) observe(_ context.Context, query string) {
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before != nil {
		before(query)
	}
}

// beforeEach calls do before each statement, but not before those of do
// itself. Nil ends it.
func (w *world) beforeEach(do func(query string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.before = do
	if do != nil {
		w.before = func(query string) {
			w.beforeEach(nil)
			do(query)
			w.beforeEach(do)
		}
	}
}

var night, _ = instant.Parse("2020-06-20T20:00:00Z")

func key(n int) images.Key { return images.Key{Device: trap, TakenAt: night + instant.Instant(n*1000)} }

// add uploads the photograph n of the trap.
func (w *world) add(n int, seed uint64, policy images.Policy) images.Result {
	w.t.Helper()
	content := scene.JPEG(scene.Options{Width: 64, Height: 48, Seed: seed})
	results, err := w.Upload(w.t.Context(), []images.File{{
		Name: photo.Name(key(n)).String(), Size: int64(len(content)), Content: bytes.NewReader(content),
	}}, policy)
	if err != nil {
		w.t.Fatal(err)
	}
	return results[0]
}

// filesOf is the names of an image's files, in order.
func filesOf(all ...*ent.Image) []string {
	var names []string
	for _, i := range all {
		for _, v := range []images.Variant{images.Original, images.Thumbnail, images.ThumbnailMini} {
			names = append(names, images.FileKey(i, v))
		}
	}
	slices.Sort(names)
	return names
}

func (w *world) write(key string) {
	w.t.Helper()
	if err := bucket.WriteAll(w.t.Context(), w.bucket, key, []byte("x")); err != nil {
		w.t.Fatal(err)
	}
}

func TestSweep_TakesFilesWithoutARowWhenTheyAreOldAndNothingElse(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		kept, gone := w.add(0, 1, images.Refuse).Image, w.add(1, 1, images.Refuse).Image
		// A row that went and left its files, as after a crash.
		if err := w.db.Image.DeleteOneID(gone.ID).Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		// The file of an upload that lost a race with the image that is kept.
		lost := *kept
		lost.FileID = "0123456789abcdef"
		w.write(images.FileKey(&lost, images.ThumbnailMini))
		strangers := []string{"labels/x.jpg", "images/readme.txt", "images/0a5bb6f4/2020-06/photograph.jpg"}
		for _, name := range strangers {
			w.write(name)
		}

		sweep := func(want int) {
			t.Helper()
			removed, err := w.Sweep(t.Context())
			if err != nil || removed != want {
				t.Errorf("%d are removed, want %d (%v)", removed, want, err)
			}
		}
		before := buckettest.Keys(w.t, w.bucket)
		w.ahead.Store((images.Grace - time.Minute).Milliseconds())
		sweep(0)
		if after := buckettest.Keys(w.t, w.bucket); !slices.Equal(after, before) {
			t.Errorf("before their time there go files: %q, of %q", after, before)
		}
		w.ahead.Store((images.Grace + time.Minute).Milliseconds())
		sweep(4)
		want := append(filesOf(kept), strangers...)
		slices.Sort(want)
		if after := buckettest.Keys(w.t, w.bucket); !slices.Equal(after, want) {
			t.Errorf("there are %q, want %q", after, want)
		}
		sweep(0)
	})
}

func TestSweep_TwoAtOnceDoNotStumbleOverEachOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stray := ent.Image{DeviceID: trap, TakenAt: night}
		for n := range 50 {
			stray.FileID = fmt.Sprintf("%016x", n)
			w.write(images.FileKey(&stray, images.Original))
		}
		w.ahead.Store(2 * images.Grace.Milliseconds())
		// The second sweeps when the first has listed its files and looks
		// them up.
		w.beforeEach(func(string) {
			if _, err := w.Sweep(context.Background()); err != nil {
				t.Error(err)
			}
		})
		_, err := w.Sweep(t.Context())
		w.beforeEach(nil)
		if left := buckettest.Keys(w.t, w.bucket); err != nil || len(left) != 0 {
			t.Errorf("%v; there are left %q", err, left)
		}
	})
}

// Files that an upload has written and whose row is not there yet are what a
// sweep must not touch, at whichever statement it comes in between.
func TestSweep_DuringAnUploadLeavesItsFilesAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		old := w.add(0, 1, images.Refuse).Image
		w.ahead.Store((images.Grace - time.Minute).Milliseconds())
		swept := 0
		w.beforeEach(func(string) {
			swept++
			if removed, err := w.Sweep(context.Background()); err != nil || removed > 0 {
				t.Errorf("%d are removed (%v)", removed, err)
			}
		})
		replaced := w.add(0, 2, images.Replace)
		w.beforeEach(nil)
		if replaced.Verdict != images.Replaced || replaced.Image.ID == old.ID || swept < 3 {
			t.Errorf("the verdict is %s, after %d sweeps", replaced.Verdict, swept)
		}
		if files := buckettest.Keys(w.t, w.bucket); !slices.Equal(files, filesOf(replaced.Image)) {
			t.Errorf("there are %q", files)
		}
	})
}

// removeBeforeFirst deletes an image just before the next statement of the
// images, and returns the number of statements since then.
func (w *world) removeBeforeFirst(t *testing.T, id int64) (statements func() int) {
	count := 0
	w.beforeEach(func(string) {
		if count++; count == 1 {
			if err := w.db.Image.DeleteOneID(id).Exec(context.Background()); err != nil {
				t.Errorf("delete image %d: %v", id, err)
			}
		}
	})
	return func() int {
		w.beforeEach(nil)
		return count
	}
}

// Between two statements, an image that the first has chosen could be deleted,
// and a page without that image would look like the last page.
func TestOfDevices_APageIsReadInOneStatement(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var all []*ent.Image
		for n := range 4 {
			all = append(all, w.add(n, 1, images.Refuse).Image)
		}
		device, err := w.Device(t.Context(), trap)
		if err != nil {
			t.Fatal(err)
		}
		first := 2
		statements := w.removeBeforeFirst(t, all[1].ID)
		pages, err := w.OfDevices(t.Context(), []*ent.Device{device}, images.Range{}, page.Request{First: &first})
		if sent := statements(); err != nil || sent != 1 {
			t.Fatalf("a page of a device: got %d statements, %v, want 1 statement", sent, err)
		}
		p := pages[trap]
		if len(p.Nodes) != 2 || p.Nodes[0].ID != all[0].ID || p.Nodes[1].ID != all[2].ID || !p.PageInfo.HasNextPage {
			t.Errorf("a page without the second image: got %+v, want the images %d and %d and a next page", p, all[0].ID, all[2].ID)
		}
	})
}

func TestNext_IsReadInOneStatement(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var all []*ent.Image
		for n := range 3 {
			all = append(all, w.add(n, 1, images.Refuse).Image)
		}
		statements := w.removeBeforeFirst(t, all[1].ID)
		next, err := w.Next(t.Context(), all)
		if sent := statements(); err != nil || sent != 1 {
			t.Fatalf("the next images: got %d statements, %v, want 1 statement", sent, err)
		}
		if got := next[all[0].ID]; got == nil || got.ID != all[2].ID || len(next) != 1 {
			t.Errorf("the next images: got %v, want image %d after image %d alone", next, all[2].ID, all[0].ID)
		}
	})
}
