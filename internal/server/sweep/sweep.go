// Package sweep owns the work that a server does on its own, now and then: to
// clear away what crashes, lost races and deletions left behind. Several
// servers may sweep the same store at once.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"tagma/internal/domain/bundles"
	"tagma/internal/domain/images"
	"tagma/internal/domain/people"
	"tagma/internal/gql/idempotency"
	"tagma/internal/storage/database"
	"tagma/internal/storage/localblob"
	"tagma/internal/storage/ownership"
)

// every is the time between two sweeps.
const every = time.Hour

// Start sweeps now and every hour until ctx ends. The channel is closed when
// it has stopped. Folder is that of a store on the local disk, or empty.
func Start(ctx context.Context, log *slog.Logger, db *database.DB, folder string, pair *ownership.Proof, photos *images.Service, packs *bundles.Service, persons *people.Service, keyed *idempotency.Keeper) <-chan struct{} {
	jobs := []job{
		{"SQLite's statistics", func(ctx context.Context) (int, error) { return 0, db.DropStatistics(ctx) }},
		{"files without a row", func(ctx context.Context) (int, error) {
			if err := pair.Renew(ctx); err != nil {
				return 0, err
			}
			ofImages, err := photos.Sweep(ctx)
			ofBundles, also := packs.Sweep(ctx)
			return ofImages + ofBundles, errors.Join(err, also)
		}},
		{"expired tokens", persons.Sweep},
		{"answers kept for a day", keyed.Sweep},
	}
	if folder != "" {
		jobs = append(jobs, job{"unfinished files", func(ctx context.Context) (int, error) {
			return localblob.Sweep(ctx, folder, time.Now())
		}})
	}
	return start(ctx, log, jobs)
}

// job clears one kind of thing away, and tells how many.
type job struct {
	what string
	do   func(context.Context) (int, error)
}

func start(ctx context.Context, log *slog.Logger, jobs []job) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			for _, j := range jobs {
				j.once(ctx, log)
			}
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}()
	return stopped
}

func (j job) once(ctx context.Context, log *slog.Logger) {
	if ctx.Err() != nil {
		return
	}
	removed, err := j.do(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.WarnContext(ctx, "cannot sweep", "what", j.what, "error", err)
	case removed > 0:
		log.InfoContext(ctx, "swept", "what", j.what, "removed", removed)
	}
}
