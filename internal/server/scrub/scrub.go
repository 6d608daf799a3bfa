// Package scrub owns the pace of a server's check of its own store: slow, with a
// whole pass in days, so that faults of a disk are known while there are backups.
// The server that leads runs the scrub.
//
// The package does not own the check itself (package integrity). A scrub mends
// nothing, and does not look for files without a row: the sweep removes those.
package scrub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"entgo.io/ent/dialect/sql"
	"github.com/prometheus/client_golang/prometheus"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/base/sleep"
	"tagma/internal/server/integrity"
)

const (
	// checkpointID is the id of the row with the scrub's state.
	checkpointID = "scrub"

	// minPassInterval is the least time between the beginnings of two passes: a small
	// store is read in minutes.
	minPassInterval = 24 * time.Hour

	// saveInterval is the number of images or contents of bundles between two writes of the
	// checkpoint. After a crash the scrub reads at most this number again.
	saveInterval = 500

	// pauseFactor is the pause after the check of a table, as a multiple of the duration of
	// the check: a check is one statement, which cannot be slowed.
	pauseFactor = 9
)

// part is a part of a pass.
type part string

// The parts, in their order.
const (
	tables  part = "tables"
	repo    part = "labels"
	pairs   part = "pairing"
	photos  part = "images"
	bundled part = "bundles"
	ended   part = "" // the pass is complete
)

// state is the progress of the scrub, as stored in the checkpoint.
type state struct {
	Part  part            `json:"part"`
	Table string          `json:"table,omitempty"` // the last checked table
	ID    int64           `json:"id,omitempty"`    // the last checked image or content
	Began instant.Instant `json:"began"`           // the pass
	Ended instant.Instant `json:"ended,omitempty"` // the last complete pass
}

// Metrics are the metrics of a scrub.
type Metrics struct {
	lastPass prometheus.Gauge
	bytes    prometheus.Counter
	findings *prometheus.CounterVec
}

// NewMetrics registers the metrics of a scrub.
func NewMetrics(to prometheus.Registerer) *Metrics {
	m := &Metrics{
		lastPass: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tagma_scrub_last_pass_timestamp_seconds",
			Help: "When the last complete pass of the scrub ended, in seconds since 1970, on the server that leads; 0 if there was none.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tagma_scrub_read_bytes_total",
			Help: "Bytes that the scrub of this server has read.",
		}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tagma_scrub_findings_total",
			Help: "Faults that the scrub of this server has found, by kind. A fault that stays counts once in each pass.",
		}, []string{"kind"}),
	}
	for _, kind := range integrity.Kinds {
		m.findings.WithLabelValues(string(kind))
	}
	to.MustRegister(m.lastPass, m.bytes, m.findings)
	return m
}

// Options of New.
type Options struct {
	Rate    int64 // bytes to read in a second, above 0
	Clock   instant.Clock
	Log     *slog.Logger
	Metrics *Metrics
	// Wait blocks for a while or until ctx ends; nil waits by the machine's clock.
	Wait func(context.Context, time.Duration) error
}

// Scrub checks a store, again and again.
type Scrub struct {
	Options
	checker *integrity.Checker
	debt    time.Duration // time still to wait for the bytes read
	unsaved int           // images or contents checked since the last write of the checkpoint
}

// New returns a scrub of a store.
func New(st integrity.Store, o Options) *Scrub {
	if o.Wait == nil {
		o.Wait = sleep.For
	}
	s := &Scrub{Options: o}
	s.checker = &integrity.Checker{Store: st, Found: s.found, Pace: s.pace}
	return s
}

// Run makes passes until ctx ends or the check itself fails. A later Run, also
// after a restart, goes on from the checkpoint.
func (s *Scrub) Run(ctx context.Context) error {
	for {
		now, err := s.load(ctx)
		if err != nil {
			return err
		}
		s.Metrics.lastPass.Set(float64(now.Ended) / 1000)
		if now.Part == ended {
			if pause := now.Began.Add(minPassInterval).Sub(s.Clock()); now.Began != 0 && pause > 0 {
				if err := s.Wait(ctx, pause); err != nil {
					return err
				}
			}
			now = state{Part: tables, Began: s.Clock(), Ended: now.Ended}
		}
		if err := s.pass(ctx, now); err != nil {
			return err
		}
	}
}

// pass completes a pass from a state.
func (s *Scrub) pass(ctx context.Context, now state) error {
	for now.Part != ended {
		next, err := s.step(ctx, now)
		if err != nil {
			return err
		}
		if next.Part == ended {
			next.Ended = s.Clock()
			s.Metrics.lastPass.Set(float64(next.Ended) / 1000)
			s.Log.InfoContext(ctx, "the scrub has read everything", "took", next.Ended.Sub(next.Began))
		}
		if err := s.save(ctx, next); err != nil {
			return err
		}
		now = next
	}
	return nil
}

// step checks one part, or one table, and returns the next state.
func (s *Scrub) step(ctx context.Context, now state) (state, error) {
	s.unsaved = 0
	checked := func(id int64) error {
		now.ID = id
		if s.unsaved++; s.unsaved < saveInterval {
			return nil
		}
		s.unsaved = 0
		return s.save(ctx, now)
	}
	nextState := func(next part, err error) (state, error) {
		return state{Part: next, Began: now.Began, Ended: now.Ended}, err
	}
	switch now.Part {
	case tables:
		table, err := s.nextTable(ctx, now.Table)
		if err != nil || table == "" {
			return nextState(repo, err)
		}
		now.Table = table
		return now, s.table(ctx, table)
	case repo:
		return nextState(pairs, s.checker.LabelRepository(ctx, false))
	case pairs:
		return nextState(photos, s.checker.PairingFile(ctx))
	case photos:
		return nextState(bundled, s.checker.ImagesAfter(ctx, now.ID, checked))
	case bundled:
		return nextState(ended, s.checker.BundlesAfter(ctx, now.ID, checked))
	}
	return nextState(ended, fmt.Errorf("the scrub does not know the part %q of its checkpoint", now.Part))
}

// nextTable returns the table after last, or "" at the end.
func (s *Scrub) nextTable(ctx context.Context, last string) (string, error) {
	names, err := s.checker.DB.Tables(ctx)
	for _, name := range names {
		if name > last {
			return name, err
		}
	}
	return "", err
}

// table checks a table, and blocks in proportion.
func (s *Scrub) table(ctx context.Context, name string) error {
	began := s.Clock()
	if err := s.checker.Table(ctx, name); err != nil {
		return err
	}
	return s.Wait(ctx, pauseFactor*s.Clock().Sub(began))
}

// found counts and logs a finding.
func (s *Scrub) found(f integrity.Finding) {
	s.Metrics.findings.WithLabelValues(string(f.Kind)).Inc()
	s.Log.Error("the scrub has found a fault: run tagma verify --mend with the server's settings", "kind", f.Kind, "key", f.Key, "about", f.About, "error", f.Err)
}

// pace blocks for the time of bytes at the rate.
func (s *Scrub) pace(ctx context.Context, bytes int64) error {
	s.Metrics.bytes.Add(float64(bytes))
	s.debt += time.Duration(float64(bytes) / float64(s.Rate) * float64(time.Second))
	const minPause = 20 * time.Millisecond // shorter waits cost more than they spare
	if s.debt < minPause {
		return nil
	}
	debt := s.debt
	s.debt = 0
	return s.Wait(ctx, debt)
}

func (s *Scrub) load(ctx context.Context) (now state, err error) {
	row, err := s.checker.DB.Checkpoint.Get(ctx, checkpointID)
	if ent.IsNotFound(err) {
		return state{}, nil
	}
	if err != nil {
		return state{}, err
	}
	if err := json.Unmarshal([]byte(row.Value), &now); err != nil {
		return state{}, errors.Join(errors.New("the checkpoint of the scrub cannot be read"), err)
	}
	return now, nil
}

func (s *Scrub) save(ctx context.Context, now state) error {
	value, err := json.Marshal(now)
	if err != nil {
		return err
	}
	db := s.checker.DB
	return db.Write(ctx, func() error {
		return db.Checkpoint.Create().SetID(checkpointID).SetValue(string(value)).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID)).UpdateNewValues().Exec(ctx)
	})
}
