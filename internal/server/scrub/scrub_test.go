package scrub

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tagma/internal/base/instant"
	"tagma/internal/base/page"
	"tagma/internal/domain/images"
	"tagma/internal/domain/labelrepo"
	"tagma/internal/domain/labels"
	"tagma/internal/photo"
	"tagma/internal/photo/scene"
	"tagma/internal/server/integrity"
	"tagma/internal/storage/bucket"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/ownership"
	"tagma/internal/testing/testenv"
)

const night = instant.Instant(1_592_690_000_000)

// world is a store and a clock that goes on when the scrub waits.
type world struct {
	integrity.Store
	t *testing.T

	mu     sync.Mutex
	now    instant.Instant
	waited time.Duration // since the test last looked
	onWait func(context.Context) error
	log    bytes.Buffer
}

func each(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newWorld(t, testenv.Postgres(t))) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	bucket, err := localblob.Open(filepath.Join(t.TempDir(), "files"))
	must(t, err)
	t.Cleanup(func() { _ = bucket.Close() })
	db, err := database.Open(t.Context(), url, database.Options{})
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	pages := page.Limits{Default: 10, Max: 100}
	return &world{t: t, now: night, Store: integrity.Store{
		DB: db, Bucket: bucket,
		Images:     images.New(db, bucket, instant.System, images.Limits{Page: pages, Pixels: 1e6, FileBytes: 1e6, Decoders: 2}),
		Pairing:    ownership.New(db, bucket, instant.System),
		Labels:     labels.New(db, instant.System, pages),
		Repository: labelrepo.Config{Dir: filepath.Join(t.TempDir(), "labels.git")},
	}}
}

func (w *world) clock() instant.Instant {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) wait(ctx context.Context, d time.Duration) error {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.waited += d
	w.mu.Unlock()
	if err := ctx.Err(); err != nil || w.onWait == nil {
		return err
	}
	return w.onWait(ctx)
}

// upload puts in n photographs, and returns how many bytes their files have.
func (w *world) upload(n int) (bytesInAll int64) {
	w.t.Helper()
	for i := range n {
		name := photo.Name{Device: "0a5bb6f4", TakenAt: night + instant.Instant(1000*i)}
		content := scene.JPEG(scene.Options{Width: 160, Height: 120, Seed: uint64(i)})
		_, err := w.Images.Upload(w.t.Context(), []images.File{{Name: name.String(), Size: int64(len(content)), Content: bytes.NewReader(content)}}, images.Refuse)
		must(w.t, err)
	}
	for one, err := range images.AllStored(w.t.Context(), w.DB) {
		must(w.t, err)
		for _, key := range append(one.Thumbnails, one.Original) {
			info, err := w.Bucket.Stat(w.t.Context(), key)
			must(w.t, err)
			bytesInAll += info.Size
		}
	}
	return bytesInAll
}

// scrub returns a new scrub, as a server has that has just started.
func (w *world) scrub(rate int64) (*Scrub, *prometheus.Registry) {
	metrics := prometheus.NewRegistry()
	return New(w.Store, Options{
		Rate: rate, Clock: w.clock, Wait: w.wait, Metrics: NewMetrics(metrics),
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}), metrics
}

// value returns what a metric of some kind, or the one without, says.
func value(t *testing.T, metrics *prometheus.Registry, name, kind string) float64 {
	t.Helper()
	families, err := metrics.Gather()
	must(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (kind == "" || m.GetLabel()[0].GetValue() == kind) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s of kind %q", name, kind)
	return 0
}

var errEnough = errors.New("the test has seen enough")

// onePass makes a pass, and ends when the scrub waits for the next.
func (w *world) onePass(s *Scrub) {
	w.t.Helper()
	before, err := s.load(w.t.Context())
	must(w.t, err)
	w.onWait = func(context.Context) error {
		if now, err := s.load(w.t.Context()); err != nil || now.Part == ended && now.Ended != before.Ended {
			return errors.Join(errEnough, err)
		}
		return nil
	}
	if err := s.Run(w.t.Context()); !errors.Is(err, errEnough) {
		w.t.Fatalf("got %v", err)
	}
}

func TestScrub_FindsAFaultInEveryPassTellsOfItOnceAndCounts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.upload(5)
		var key string
		for one, err := range images.AllStored(t.Context(), w.DB) {
			must(t, err)
			key = one.Thumbnails[0]
		}
		s, metrics := w.scrub(1 << 20)
		w.onePass(s)
		if w.log.Len() > 0 && strings.Contains(w.log.String(), "ERROR") {
			t.Errorf("of a whole store the log says %s", w.log.String())
		}
		if got := value(t, metrics, "tagma_scrub_last_pass_timestamp_seconds", ""); got*1000 < float64(night) {
			t.Errorf("the last pass ended at %f", got)
		}
		content, err := bucket.ReadAll(t.Context(), w.Bucket, key)
		must(t, err)
		content[len(content)/2] ^= 1
		must(t, bucket.WriteAll(t.Context(), w.Bucket, key, content))
		for pass := 1; pass <= 2; pass++ {
			w.log.Reset()
			w.mu.Lock()
			w.now = w.now.Add(minPassInterval)
			w.mu.Unlock()
			w.onePass(s)
			if got := value(t, metrics, "tagma_scrub_findings_total", "altered"); got != float64(pass) {
				t.Errorf("after pass %d it has counted %f", pass, got)
			}
			if said := w.log.String(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, key) {
				t.Errorf("in pass %d the log says %s", pass, said)
			}
		}
		if got := value(t, metrics, "tagma_scrub_findings_total", "missing"); got != 0 { // and it is there
			t.Errorf("it has counted %f of what did not happen", got)
		}
	})
}

func TestScrub_ReadsNoFasterThanItsRate(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	size := w.upload(8)
	const rate = 1000
	s, metrics := w.scrub(rate)
	w.onePass(s)
	least := time.Duration(float64(size)/rate*float64(time.Second)) - time.Second
	if w.waited < least {
		t.Errorf("%d bytes took %s at %d bytes a second, want at least %s", size, w.waited, rate, least)
	}
	if read := value(t, metrics, "tagma_scrub_read_bytes_total", ""); read != float64(size) {
		t.Errorf("it has read %f bytes, want %d", read, size)
	}
}

func TestScrub_AfterARestartItGoesOnWhereItWas(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.upload(3)
		var last int64
		for one, err := range images.AllStored(t.Context(), w.DB) {
			must(t, err)
			last = one.ImageID
		}
		first, _ := w.scrub(1 << 20)
		// All but the last image was read when the server was stopped.
		must(t, first.save(t.Context(), state{Part: photos, ID: last - 1, Began: night, Ended: night - 5000}))
		second, metrics := w.scrub(1 << 20)
		w.onePass(second)
		size := int64(0)
		one, _, err := images.StoredByID(t.Context(), w.DB, last)
		must(t, err)
		for _, key := range append(one.Thumbnails, one.Original) {
			info, err := w.Bucket.Stat(t.Context(), key)
			must(t, err)
			size += info.Size
		}
		if got := value(t, metrics, "tagma_scrub_read_bytes_total", ""); got != float64(size) {
			t.Errorf("it has read %f bytes, want %d of the last image", got, size)
		}
	})
}

func TestScrub_BeginsAPassADayAfterTheLastBegan(t *testing.T) {
	w := newWorld(t, "sqlite:"+filepath.Join(t.TempDir(), "tagma.db"))
	s, _ := w.scrub(1 << 20)
	w.onePass(s)
	began := w.clock()
	passes := 0
	w.onWait = func(ctx context.Context) error {
		now, err := s.load(ctx)
		if passes++; err != nil || now.Began != night && now.Part == tables {
			return errors.Join(errEnough, err)
		}
		return nil
	}
	if err := s.Run(t.Context()); !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	if waited := w.clock().Sub(night); waited < minPassInterval {
		t.Errorf("it began again after %s (%s)", waited, began)
	}
}
