package store

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"tagma/internal/config"
	"tagma/internal/instant"
	"tagma/internal/labelrepo"
)

// OpenLabels opens the label repository that the settings name. One that is
// damaged is laid aside, and an empty one takes its place: the database has
// everything that was in it.
func OpenLabels(ctx context.Context, c *config.Config, log *slog.Logger) (*labelrepo.Repo, error) {
	settings, err := c.LabelRepo()
	if err != nil {
		return nil, err
	}
	settings.Clock, settings.Log = instant.System, log
	repo, err := labelrepo.Open(ctx, settings)
	if !errors.Is(err, labelrepo.ErrDamaged) {
		return repo, err
	}
	aside := settings.Dir + ".damaged-" + instant.System().Time().Format("20060102T150405Z")
	log.WarnContext(ctx, "the label repository is damaged: it is laid aside, and made again", "error", err, "aside", aside)
	if err := os.Rename(settings.Dir, aside); err != nil {
		return nil, err
	}
	return labelrepo.Open(ctx, settings)
}
