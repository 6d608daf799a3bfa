package integrity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ent "tagma/ent/generated"
	"tagma/internal/base/caller"
	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/ownership"
	"tagma/internal/storage/s3store"
	"tagma/internal/testing/testenv"
)

// world is a store with everything in it that is checked.
type world struct {
	Store
	t      *testing.T
	folder string // of the files, if they are in one
	by     context.Context
}

const night = instant.Instant(1_592_690_000_000)

var pages = page.Limits{Default: 10, Max: 100}

// each runs a test with a store of each kind.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, inFolder(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, inFolder(t, testenv.Postgres(t))) })
	t.Run("S3", func(t *testing.T) {
		server := testenv.S3(t)
		server.Enter(t)
		store, err := s3store.Open(t.Context(), server.URL(), slog.New(slog.DiscardHandler))
		must(t, err)
		test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"), store))
	})
}

func inFolder(t *testing.T, url string) *world {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "files")
	bucket, err := localblob.Open(folder)
	must(t, err)
	w := newWorld(t, url, bucket)
	w.folder = folder
	return w
}

func newWorld(t *testing.T, url string, bucket bucket.Bucket) *world {
	t.Helper()
	t.Cleanup(func() { _ = bucket.Close() })
	db, err := database.Open(t.Context(), url, database.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	w := &world{t: t, Store: Store{
		DB: db, Bucket: bucket,
		Images:  images.New(db, bucket, instant.System, images.Limits{Page: pages, Pixels: 1e6, FileBytes: 1e6, Decoders: 2}),
		Pairing: ownership.New(db, bucket, instant.System),
		Labels:  labels.New(db, instant.System, pages),
		Repository: labelrepo.Config{
			Dir: filepath.Join(t.TempDir(), "labels.git"), Committer: labelrepo.Identity{Name: "Tagma", Email: "tagma@example.org"},
		},
	}}
	must(t, w.Labels.Ensure(t.Context()))
	must(t, w.Pairing.Renew(t.Context()))
	ana := db.User.Create().SetUsername("ana").SetRole(caller.Writer).SetPasswordHash("").SetCreatedAt(night).SaveX(t.Context())
	w.by = caller.With(t.Context(), &caller.Caller{UserID: ana.ID, Role: caller.Writer})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// upload puts in the photographs from one number to another.
func (w *world) upload(from, to int) error {
	for n := from; n < to; n++ {
		name := photo.Name{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*n)}
		content := scene.JPEG(scene.Options{Width: 160, Height: 120, Seed: uint64(n)})
		_, err := w.Images.Upload(w.by, []images.File{{Name: name.String(), Size: int64(len(content)), Content: bytes.NewReader(content)}}, images.Refuse)
		if err != nil {
			return err
		}
	}
	return nil
}

// publish publishes a version of a bundle with one file, and returns the file's
// name in the store.
func (w *world) publish(content string) string {
	w.t.Helper()
	packs := bundles.New(w.DB, w.Bucket, instant.System, bundles.Limits{Files: 1, FileBytes: 1000, Bytes: 1000})
	upload, err := packs.Request(w.by, "insects", []bundles.NewFile{{Key: "output/w", MD5: md5Of(content), Size: int64(len(content))}})
	must(w.t, err)
	to := upload.Requested[0]
	if w.folder == "" {
		must(w.t, bucket.WriteAll(w.by, w.Bucket, to.Incoming, []byte(content)))
	} else {
		must(w.t, packs.Receive(w.by, to.StoredAs, to.Size, strings.NewReader(content)))
	}
	made, err := packs.Publish(w.by, upload.ID)
	must(w.t, err)
	files, err := packs.Files(w.by, []*ent.BundleVersion{made.Version}, bundles.All)
	must(w.t, err)
	return files[made.Version.ID][0].StoredAs
}

// label brings submissions into the label repository, and returns its folder.
func (w *world) label(n int) string {
	w.t.Helper()
	repo, err := labelrepo.Open(w.t.Context(), w.Repository)
	must(w.t, err)
	for frame := range n {
		x := float64(frame)
		s := &labels.Submission{VideoURL: "https://example.org/rat.mp4", FrameIndex: frame, TotalFrames: 1000, FPS: 30, FrameWidth: 1920, FrameHeight: 1080, Timestamp: night}
		for _, id := range [][2]string{{"left_front_paw", "Left front paw"}, {"right_front_paw", "Right front paw"}, {"left_hind_paw", "Left hind paw"}, {"right_hind_paw", "Right hind paw"}, {"nose", "Nose"}, {"tail_base", "Tail base"}} {
			s.Labels = append(s.Labels, labels.Label{ID: id[0], Name: id[1], Placed: true, PixelX: &x, PixelY: &x})
		}
		_, err := w.Labels.Submit(w.by, s, 0)
		must(w.t, err)
	}
	must(w.t, labels.NewOutbox(w.Labels, repo, labels.FanOut, slog.New(slog.DiscardHandler)).Rebuild(w.t.Context()))
	must(w.t, repo.Close())
	return w.Repository.Dir
}

// stored is the files of all images, by age.
func (w *world) stored() []images.Stored {
	w.t.Helper()
	var all []images.Stored
	for one, err := range images.AllStored(w.t.Context(), w.DB) {
		must(w.t, err)
		all = append(all, one)
	}
	return all
}

// keys are the names of all files of images.
func (w *world) keys() []string {
	w.t.Helper()
	var keys []string
	for _, one := range w.stored() {
		keys = append(append(keys, one.Original), one.Thumbnails...)
	}
	return keys
}

// flip turns one bit of a file, wherever.
func (w *world) flip(key string, random *rand.Rand) {
	w.t.Helper()
	content, err := bucket.ReadAll(w.t.Context(), w.Bucket, key)
	must(w.t, err)
	content[random.IntN(len(content))] ^= 1 << random.IntN(8)
	must(w.t, bucket.WriteAll(w.t.Context(), w.Bucket, key, content))
}

// verify checks all, with files old enough to be orphans.
func (w *world) verify(mend bool) (Report, []Finding) {
	w.t.Helper()
	var findings []Finding
	c := &Checker{Store: w.Store, Mend: mend, Found: func(f Finding) { findings = append(findings, f) }}
	report, err := c.Verify(w.t.Context(), time.Now().Add(2*images.Grace))
	must(w.t, err)
	return report, findings
}

// lines are findings as they are printed, without what the disk says, sorted.
func lines(findings []Finding) []string {
	all := make([]string, len(findings))
	for n, f := range findings {
		all[n] = fmt.Sprintf("%s %s %t", f.Kind, f.Key, f.Mended)
	}
	slices.Sort(all)
	return all
}

// demand compares findings with what is wanted: kind, key and whether mended.
func demand(t *testing.T, findings []Finding, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := lines(findings); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var errPaced = errors.New("the pace has ended it")
