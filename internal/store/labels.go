package store

import (
	"context"
	"log/slog"

	"tagma/internal/config"
	"tagma/internal/instant"
	"tagma/internal/labelrepo"
)

// OpenLabels opens the label repository that the settings name. One that is
// damaged and no cache is labelrepo.ErrDamaged: to make it again from the database
// would change the hashes of all commits.
func OpenLabels(ctx context.Context, c *config.Config, log *slog.Logger) (*labelrepo.Repo, error) {
	settings, err := c.LabelRepo()
	if err != nil {
		return nil, err
	}
	settings.Clock, settings.Log = instant.System, log
	return labelrepo.Open(ctx, settings)
}
