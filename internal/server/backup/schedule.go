package backup

import (
	"context"
	stdsql "database/sql"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"entgo.io/ent/dialect/sql"

	ent "tagma/ent/generated"
	"tagma/ent/generated/checkpoint"
	"tagma/internal/base/instant"
	"tagma/internal/base/sleep"
	"tagma/internal/storage/identity"
)

// Schedule makes backups of a server's store at regular times, and reports the age
// of the newest backup. Among several servers of a store, only the leader calls
// Run, and every server calls Watch.
type Schedule struct {
	source Source
	folder string
	store  identity.Identity
	every  time.Duration
	keep   int
	clock  instant.Clock
	log    *slog.Logger

	newest atomic.Int64 // the instant of the newest generation, or of the store's id

	// sleep blocks until the duration has passed or the context ends. Tests pass
	// a fake.
	sleep func(context.Context, time.Duration) error
}

// Plan is the folder, the times and the number of generations of a Schedule.
type Plan struct {
	Folder string
	Every  time.Duration
	Keep   int
}

// The pauses of a Schedule.
const (
	// look is the time between two looks at the folder. A timer for a whole day
	// would not count the time of a sleeping machine.
	look = time.Minute
	// retryAfter is the time between a failed backup and the next try.
	retryAfter = 10 * time.Minute
)

// NewSchedule returns the schedule of a store's backups. NewSchedule refuses a
// folder within the store, and logs a warning if the folder is on the device of
// the store.
func NewSchedule(source Source, store identity.Identity, plan Plan, clock instant.Clock, log *slog.Logger) (*Schedule, error) {
	if err := source.Place.CheckApart(plan.Folder); err != nil {
		return nil, err
	}
	if source.Place.SharesDevice(plan.Folder) {
		log.Warn("the backups are on the device of the store: the loss of one disk loses both", "folder", plan.Folder)
	}
	s := &Schedule{source: source, folder: plan.Folder, store: store, every: plan.Every, keep: plan.Keep, clock: clock, log: log, sleep: sleep.For}
	s.newest.Store(int64(store.CreatedAt))
	return s, nil
}

// Age returns the time since the newest complete generation was begun. Without a
// generation, Age returns the age of the store's id. Age reads no file, so an
// unreachable folder does not block Age: see Watch.
func (s *Schedule) Age() time.Duration { return s.clock().Sub(instant.Instant(s.newest.Load())) }

// Watch reads the time of the newest generation from the folder every minute,
// until ctx ends. Watch closes the returned channel then. While the folder cannot
// be read, the time stays the same, and Age grows.
func (s *Schedule) Watch(ctx context.Context) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_, _ = s.read()
			_ = s.sleep(ctx, look)
		}
	}()
	return ended
}

// read returns the newest generation, and stores the time of the generation for
// Age.
func (s *Schedule) read() (Generation, error) {
	g, err := Newest(s.folder, s.store.ID)
	if err == nil {
		s.newest.Store(int64(g.Time))
	}
	return g, err
}

// Run makes a backup whenever the newest generation is older than the time
// between two backups, until ctx ends. A failed backup is logged, and tried
// again.
func (s *Schedule) Run(ctx context.Context) error {
	var retryAt instant.Instant
	for {
		if now := s.clock(); now >= retryAt && s.due(now) {
			if !s.once(ctx) {
				retryAt = s.clock().Add(min(retryAfter, s.every))
			}
		}
		if err := s.sleep(ctx, min(look, s.every)); err != nil {
			return err
		}
	}
}

// due reports whether a backup must be made now. If the folder cannot be read, due
// returns true: the failing backup reports the problem now and not only after the
// interval.
func (s *Schedule) due(now instant.Instant) bool {
	g, err := s.read()
	age := now.Sub(g.Time)
	return err != nil || age >= s.every || age < 0 // age < 0: the clock was turned back
}

// once makes a backup, logs the result, and reports whether the backup succeeded.
func (s *Schedule) once(ctx context.Context) bool {
	begin := s.clock()
	report, err := s.make(ctx)
	s.tell(ctx, report)
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		s.log.ErrorContext(ctx, "the scheduled backup failed", "folder", s.folder, "error", err)
		return false
	}
	s.log.InfoContext(ctx, "made a backup", "folder", s.folder, "generation", report.Generation.Name, "took", s.clock().Sub(begin),
		"rows", report.Rows, "files", report.Files, "copied", report.Copied, "bytes", report.Bytes, "reread", report.Reread)
	_, _ = s.read()
	return true
}

// tell logs the damage found by a backup.
func (s *Schedule) tell(ctx context.Context, report Report) {
	const most = 10
	if n := len(report.Replaced); n > 0 {
		s.log.WarnContext(ctx, "files of the backup were damaged or missing, and are copied again: look at the disk", "folder", s.folder, "count", n, "files", report.Replaced[:min(n, most)])
	}
	if n := len(report.Lost); n > 0 {
		s.log.ErrorContext(ctx, "files of older generations are damaged, and the store has them no more: look at the disk", "folder", s.folder, "count", n, "files", report.Lost[:min(n, most)])
	}
}

// make makes a backup. After the first scheduled backup, make returns an error for
// a folder without a backup of this store: probably the disk is not mounted, or
// the servers do not share the folder.
func (s *Schedule) make(ctx context.Context) (Report, error) {
	begun, err := s.begun(ctx)
	if err != nil {
		return Report{}, err
	}
	report, err := Make(ctx, s.source, s.folder, Options{Keep: s.keep, Existing: begun, Clock: s.clock})
	if err == nil && !begun {
		err = s.note(ctx)
	}
	return report, err
}

// checkpointID is the id of a row with the id of the store, written after the
// first scheduled backup. In a restored database the row has the id of the origin,
// so the restored store counts as not backed up.
const checkpointID = "scheduled backup"

// begun reports whether any server has made a scheduled backup of this store
// before.
func (s *Schedule) begun(ctx context.Context) (bool, error) {
	row, err := s.source.DB.Checkpoint.Get(ctx, checkpointID)
	if ent.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return row.Value == s.store.ID, nil
}

func (s *Schedule) note(ctx context.Context) error {
	db := s.source.DB
	err := db.Write(ctx, func() error {
		return db.Checkpoint.Create().SetID(checkpointID).SetValue(s.store.ID).
			OnConflict(sql.ConflictColumns(checkpoint.FieldID), sql.ResolveWithNewValues()).Exec(ctx)
	})
	if errors.Is(err, stdsql.ErrNoRows) {
		return nil
	}
	return err
}
