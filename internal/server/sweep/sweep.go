// Package sweep owns the regular cleaning of a store by a server: a sweep removes the
// leftovers of crashes, lost races and deletions, and expired rows. Several servers may
// sweep the same store at once. Package sweep does not own the rules of removal: each domain
// package removes files and rows of its own.
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

// interval is the time between two sweeps.
const interval = time.Hour

// Start sweeps now and every hour until ctx ends. Start closes the returned channel when the
// last sweep has ended. Folder is the folder of the bucket, or empty for S3.
func Start(ctx context.Context, log *slog.Logger, db *database.DB, folder string, pair *ownership.Proof, photos *images.Service, packs *bundles.Service, persons *people.Service, keyed *idempotency.Keeper) <-chan struct{} {
	jobs := []job{
		{"SQLite's statistics", func(ctx context.Context) (int, error) { return 0, db.DropStatistics(ctx) }},
		{"files without a row", func(ctx context.Context) (int, error) {
			if err := pair.Renew(ctx); err != nil {
				return 0, err
			}
			ofImages, err := photos.Sweep(ctx)
			ofBundles, bundlesErr := packs.Sweep(ctx)
			return ofImages + ofBundles, errors.Join(err, bundlesErr)
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

// job removes items of one kind. remove returns the number of removed items.
type job struct {
	name   string
	remove func(context.Context) (int, error)
}

func start(ctx context.Context, log *slog.Logger, jobs []job) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			for _, j := range jobs {
				j.run(ctx, log)
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

func (j job) run(ctx context.Context, log *slog.Logger) {
	if ctx.Err() != nil {
		return
	}
	removed, err := j.remove(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.WarnContext(ctx, "cannot sweep", "what", j.name, "error", err)
	case removed > 0:
		log.InfoContext(ctx, "swept", "what", j.name, "removed", removed)
	}
}
